"""`alignbench data`: what a run would take of data, before there is a run."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.cli.options import add_options, given_options
from alignbench.errors import AlignbenchError, ConfigError, DataError
from alignbench.paths import is_dir, user_path
from alignbench.text import clean, cut, display_width
from alignbench.units import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from alignbench.datasets import Dataset, Sample
    from alignbench.datasets.survey import Survey
    from alignbench.session.options import Options

SHEET = "alignbench-data.png"
NO_SHEET = "none"
_GIVEN = {
    "data": (
        "n_samples",
        "data_types",
        "text_field",
        "columns",
        "type_from",
        "image_root",
        "follow_links",
        "data_root",
    ),
    "run": ("seed", "llms", "standins", "config"),
}
_ROWS = 3
_CARDS = 12
_REASONS = 5
_LEFT = 12  # columns of the headings
_NARROWEST, _WIDEST = 60, 110


def add_commands(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "data",
        help="what a run would take of your data: rows, types, texts, what can't be used, pictures",
        description="What a run would take of data, with a contact sheet of its pictures and texts; nothing "
        "is run. Data options are those of a run.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "spec",
        nargs="?",
        metavar="SPEC",
        help="a file, a folder, READER:path, hf:org/name, or a registered name (default: what a run takes)",
    )
    parser.add_argument(
        "--sheet",
        default=SHEET,
        metavar="FILE.png",
        help=f"where the contact sheet goes, or `{NO_SHEET}` (default: {SHEET})",
    )
    parser.add_argument(
        "--to",
        metavar="DIR",
        help="write the drawn samples there, with their images, as a set that can be shared and cited",
    )
    add_options(parser, _GIVEN)
    parser.set_defaults(run=show)


def show(given: argparse.Namespace) -> int:
    """Print what a run would take, draw the contact sheet, and write the samples where that is asked for."""
    from alignbench.datasets.share import write_messages
    from alignbench.files import check_can_write
    from alignbench.session.data import read_data
    from alignbench.session.options import Options

    sheet = None if given.sheet == NO_SHEET else _sheet_path(given.sheet)
    to = None if given.to is None else user_path(given.to, "--to")
    if to is not None and to.exists() and (not is_dir(to) or next(to.iterdir(), None) is not None):
        raise ConfigError(f"--to: {to} is there and not an empty folder; name a new one")
    for path in filter(None, (sheet, to)):
        check_can_write(path)
    options = Options({**given_options(given), **({} if given.spec is None else {"data": given.spec})})
    dataset = read_data(options, ())
    width = min(_WIDEST, max(_NARROWEST, shutil.get_terminal_size((80, 24)).columns))
    _print(lines_of(dataset, options), width)
    if sheet is not None:
        boxes = _draw_sheet(dataset, sheet)
        _print([("sheet", str(sheet))])
        if boxes:
            print(f"alignbench: {boxes}", file=sys.stderr)
    if to is not None:
        write_messages(dataset, to, seed=options.seed, config=options.config)
        seed = f" --align-seed {options.seed}" if options.is_given("seed") else ""
        _print(
            [
                ("written", f"{plural(len(dataset), 'sample')} to {to}"),
                ("digest", dataset.digest),
                ("use", f"--align-data {shlex.quote(str(to))} --align-n-samples all{seed}"),
            ]
        )
    return 0


def lines_of(dataset: Dataset, options: Options) -> Iterator[tuple[str, str]]:
    """Yield what there is to say of a data set, each with its heading; "" continues the one before."""
    from alignbench.datasets.survey import survey

    found = survey(dataset)
    yield "data", dataset.label
    yield "from", dataset.origin
    rows = "" if dataset.rows is None else f"{plural(dataset.rows, 'row')}; "
    groups = plural(dataset.n_groups, "group")
    yield "rows", f"{rows}a run takes {plural(len(dataset), 'sample')} in {groups}"
    yield "types", dataset.kinds
    yield "texts", _texts(found)
    yield "copies", _copies(found)
    for line in _tokens(dataset, options):
        yield "tokens", line
    for note in dataset.remarks:
        yield "note", note
    yield from _unusable(dataset, found)
    for i, sample in enumerate(dataset.samples[:_ROWS]):
        yield "", ""
        yield f"sample {i + 1}", f"{sample.id} (type {sample.data_type})"
        yield "  image", _image(sample)
        if sample.question:
            yield "  question", _short(sample.question)
        for text in sample.texts[:_ROWS]:
            yield "  text", _short(text)
        if len(sample.texts) > _ROWS:
            yield "", f"and {plural(len(sample.texts) - _ROWS, 'further text')}"
    yield "", ""


def _texts(found: Survey) -> str:
    least, median, most = found.texts
    if least == most:
        return f"{plural(least, 'text')} for each image" if least else "none"
    return f"{least} to {most} for an image, {median:g} in the median"


def _copies(found: Survey) -> str:
    counts = (
        (found.copied_images, "image is that of an earlier sample", "images are those of earlier samples"),
        (found.copied_texts, "text is that of an earlier sample", "texts are those of earlier samples"),
    )
    said = [f"{count:,} {one if count == 1 else many}" for count, one, many in counts if count]
    return "; ".join(said) + "; copies share a group" if said else "none"


def _tokens(dataset: Dataset, options: Options) -> Iterator[str]:
    """Yield for each LLM how many texts are longer than what it reads, where its tokenizer is at hand."""
    from alignbench.llms import LLM, resolve

    texts = [sample.text for sample in dataset.samples if sample.texts]
    for name in options.llms if texts else ():
        try:
            llm = resolve(name, standins=options.standins, sources=options.config.llms)
            count = llm.count_cut(texts) if isinstance(llm, LLM) else None
        except AlignbenchError as error:
            yield f"{name}: not counted: {error}"
            continue
        if count is None or not isinstance(llm, LLM):
            yield f"{name}: not counted: its tokenizer is not at hand without the model"
            continue
        limit = llm.options.max_length
        cut_off = f"{count:,} of {len(texts):,} lose their end" if count else "none is cut"
        yield f"{llm.name} reads {limit} tokens of a text: {cut_off}"


def _unusable(dataset: Dataset, found: Survey) -> Iterator[tuple[str, str]]:
    if not dataset.dropped:
        yield "unusable", "none of the rows that were looked at"
        return
    yield "unusable", f"{plural(len(dataset.dropped), 'row')} of those that were looked at:"
    for rows in found.unusable[:_REASONS]:
        such = "" if len(rows) == 1 else ", such as"
        yield "", f"{len(rows):,}{such} {rows[0].where}: {rows[0].reason}"
    if rest := found.unusable[_REASONS:]:
        yield "", f"and {plural(sum(map(len, rest)), 'row')} for {plural(len(rest), 'further reason')}"


def _image(sample: Sample) -> str:
    from alignbench.datasets.images import describe

    if sample.image is None:
        return "none"
    try:
        picture = sample.open_image()
    except DataError as error:
        return f"can't be opened: {error}"
    place = str(sample.image) if isinstance(sample.image, Path) else describe(sample.image)
    return f"{place}, {picture.width} x {picture.height}"


def _short(text: str) -> str:
    return cut(clean(text), 200)


def _sheet_path(text: str) -> Path:
    path = user_path(text, "--sheet")
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--sheet: expected a file that ends in .png, or `{NO_SHEET}`, got {text!r}")
    if not is_dir(path.parent):
        raise ConfigError(f"--sheet: there is no folder {path.parent}")
    return path


def _draw_sheet(dataset: Dataset, path: Path) -> str:
    """Draw twelve samples, of as many types as possible; return which letters are boxes, "" of none."""
    from alignbench.datasets.survey import across_types
    from alignbench.plots.sheet import Card, contact_sheet, save_sheet

    cards = []
    for sample in across_types(dataset.samples, _CARDS):
        picture: Any = "no image"
        if sample.image is not None:
            try:
                picture = sample.open_image()
            except DataError as error:
                picture = str(error)
        text = sample.texts[0] if sample.texts else ""
        cards.append(Card(picture, sample.id, sample.data_type, text, max(0, len(sample.texts) - 1)))
    title = f"{dataset.label}: {len(cards)} of {plural(len(dataset), 'sample')}"
    return save_sheet(contact_sheet(cards, title), path)


def _print(lines: Iterable[tuple[str, str]], width: int | None = None) -> None:
    """Print headings and what is said under them, in lines of a width; None for lines of any length."""
    from alignbench.show.text import encodable

    indent, last = " " * _LEFT, ""
    for heading, text in lines:
        shown = clean(text)
        parts = [shown] if width is None else _in_lines(shown, width - _LEFT)
        block = f"{'' if heading == last else heading:<{_LEFT}}" + f"\n{indent}".join(parts)
        print(encodable(block.rstrip(), sys.stdout.encoding or "utf-8"))
        last = heading or last


def _in_lines(text: str, width: int) -> list[str]:
    """Return a text in lines between words; a word wider than a line, such as a Japanese text, goes on."""
    from alignbench.show.text import wrap

    parts: list[str] = []
    for word in text.split():
        rest = word
        while display_width(rest) > width:
            parts.append(cut(rest, width, ""))
            rest = rest[len(parts[-1]) :]
        parts.append(rest)
    return wrap(" ".join(parts), width) or [""]
