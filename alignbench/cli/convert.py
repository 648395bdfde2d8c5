"""`alignbench convert`: a foreign checkpoint becomes a folder that loads, and every tensor's way is shown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from alignbench.cli.listing import table
from alignbench.files import check_vacant
from alignbench.paths import user_path
from alignbench.units import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from alignbench.encoders.timm_folder import ForeignCheckpoint
    from alignbench.weights.convert import KeyMapping

_LISTED = 3  # tensors that are left out for one reason; conversion.json has all of them
_DESCRIPTION = """\
Writes the weights of a .pt, .pth, .bin, .ckpt or .safetensors file into a folder that --encoders takes.
Nothing but plain data is read from a pickle. Keys of another implementation are mapped by shape and order,
and the mapping is shown. A file whose tensors are missing, superfluous or of another shape is refused.
"""


def add_commands(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "convert",
        help="turn a pickle, or weights under foreign names, into a folder that loads, and show the mapping",
        description=_DESCRIPTION,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the weights, also in tables such as state_dict")
    parser.add_argument(
        "--arch",
        required=True,
        metavar="timm:NAME",
        help="the architecture; +mean=, +std=, +crop= and +interpolation= at its end set its preprocessing",
    )
    parser.add_argument(
        "--to", metavar="DIR", help="the new folder; without it, the mapping is shown and nothing is written"
    )
    parser.add_argument(
        "--prefix",
        metavar="TEXT",
        help="take the keys that begin with it, as teacher.backbone (default: found)",
    )
    parser.add_argument(
        "--reference",
        metavar="FILE.npz",
        help="pixels [n, 3, h, w] and the original network's outputs [n, d], which the folder has to repeat",
    )
    parser.set_defaults(run=convert)


def convert(arguments: argparse.Namespace) -> int:
    """Print the mapping, and write the folder."""
    from alignbench.encoders.timm_folder import ForeignCheckpoint, Reference

    file, folder, reference = (
        None if text is None else user_path(text, origin)
        for text, origin in (
            (arguments.file, "convert"),
            (arguments.to, "--to"),
            (arguments.reference, "--reference"),
        )
    )
    assert file is not None
    # Before the mapping is shown, so that nobody has to look for the refusal below it.
    if folder is not None:
        check_vacant(folder)
    original = None if reference is None else Reference.read(reference)
    found = ForeignCheckpoint.read(file, arguments.arch, arguments.prefix)
    print("\n".join(mapped(found.mapping)), end="\n\n")
    print("\n".join(summed(found, proven=original is not None)))
    if original is not None:
        difference = found.compare(original)
        print(f"reference   the outputs differ by at most {difference:.1g} of the largest one")
    if folder is None:
        print("written     nothing; name a folder with --to")
        return 0
    found.write(folder)
    print("checked     the folder loads; its vectors of two images are finite and differ")
    # A registered name would be taken for itself.
    print(f"written     {folder}: --encoders {f'./{folder}' if folder.name == str(folder) else folder}")
    return 0


def mapped(mapping: KeyMapping) -> list[str]:
    """Return the table of the tensors that are used: from where, to where, and how that was found."""
    rows = [
        (
            place.source.removeprefix(mapping.prefix),
            place.target,
            " x ".join(map(str, place.shape)) or "1",
            place.how,
        )
        for place in mapping.placements
    ]
    return table(("from", "to", "shape", "found by"), rows)


def summed(found: ForeignCheckpoint, *, proven: bool) -> Iterator[str]:
    """Yield what the mapping comes to, and what a reader has to check unless a reference proves it."""
    from alignbench.encoders.timm_models import pixels_of

    mapping = found.mapping
    how = Counter(place.how for place in mapping.placements)
    by = ", ".join(f"{count} by {name}" for name, count in how.items())
    yield f"tensors     {plural(len(mapping.placements), 'tensor')}: {by}"
    if mapping.prefix:
        yield f"prefix      {mapping.prefix} is in front of each of their names in the file"
    for why in dict.fromkeys(mapping.left_out.values()):
        keys = [key.removeprefix(mapping.prefix) for key, said in mapping.left_out.items() if said == why]
        more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
        yield f"left out    {plural(len(keys), 'tensor')}, {why}: {', '.join(keys[:_LISTED])}{more}"
    pixels = pixels_of(found.architecture.config["pretrained_cfg"], "native")
    yield f"pixels      {pixels.said()}; nothing in the file confirms it"
    if how["shape and order"] and not proven:
        yield "note        equal shapes prove nothing: compare with outputs of the original (--reference)"
