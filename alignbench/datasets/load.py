"""Samples of whatever a user points at, drawn by seed over all of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, get_args

from alignbench.config import load_config
from alignbench.datasets.dataset import (
    Dataset,
    DroppedRow,
    Sample,
    TextField,
    Wordings,
    all_wordings,
    drawn_wordings,
    with_groups,
)
from alignbench.datasets.draw import Draw, draw_samples
from alignbench.datasets.finding import NOT_FOUND
from alignbench.datasets.readers.saved import hub_rows
from alignbench.datasets.readers.tree import missing_types, present_types
from alignbench.datasets.reading import ANY, Layout, Reading
from alignbench.datasets.recognise import HUB, recognise
from alignbench.datasets.roots import PACKAGED, Root, find_root
from alignbench.datasets.samples import with_unique_ids
from alignbench.datatypes import ALL, RESERVED
from alignbench.errors import DataError, InputError, UnknownNameError
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.config import Config
    from alignbench.datasets.row import Rows


def load_samples(
    data_type: str,
    n: int | None = None,
    *,
    root: str | Path | None = None,
    seed: int = 42,
    text_field: TextField = "answer",
    wordings: Wordings = "draw",
    layout: Layout = ANY,
    config: Config | None = None,
) -> Dataset:
    """Return samples of one data type; see `load_mixed`."""
    return load_mixed(
        n,
        [data_type],
        root=root,
        seed=seed,
        text_field=text_field,
        wordings=wordings,
        layout=layout,
        config=config,
    )


def load_mixed(
    n_per_type: int | None = 30,
    types: Sequence[str] | None = None,
    *,
    root: str | Path | None = None,
    seed: int = 42,
    text_field: TextField = "answer",
    wordings: Wordings = "draw",
    layout: Layout = ANY,
    config: Config | None = None,
) -> Dataset:
    """Return equally many samples of each of several data types.

    Images are drawn by `seed` over all rows and returned in the rows' order (named types one after the
    other). The draw does not depend on the order of the rows, that of one type not on the other types,
    and n samples are among those of any larger n. Rows that can't be used are in `Dataset.dropped`, with
    their place and the reason.

    Args:
        n_per_type: the number of images of each type; None for all. If there are fewer, all are taken and a
            note says so.
        types: the data types, in the order wanted; None for all, in their order in the data.
        root: a file, a folder or a pattern of files that a reader recognises; `READER:path` names the reader,
            and `hf:org/name` a data set on the Hugging Face Hub. None tries `VLM_DATA_ROOT`, then the
            configuration, then the packaged samples.
        seed: the seed of the draw.
        text_field: the text that the image is paired with: its answer, its question, or both.
        wordings: "draw" gives one sample per image, with one of its texts drawn by seed; "all" gives one
            sample for every text.
        layout: which columns are what, where types come from, and where images are.
        config: the configuration; None loads it.

    Raises:
        DataError: nothing is recognised there, or a type has no usable row.
        UnknownNameError: the data does not have a type.
        InputError: n_per_type is below 1, there are no types or a reserved one, or text_field or wordings is
            unknown.
    """
    _check(n_per_type, types, text_field, wordings)
    config = load_config() if config is None else config
    place = find_root(root, config)
    reading = layout.reading(config, types)
    rows, how, notes = _opened(place, reading)
    draw = draw_samples(
        rows,
        n=n_per_type,
        types=types,
        seed=seed,
        text_field=text_field,
        follow_links=layout.follow_links,
    )
    _check_draw(draw, types, place, reading, how)
    kinds = draw.samples if types is None else dict.fromkeys(types)
    images = [samples for name in kinds for samples in sorted(draw.samples[name], key=_row)]
    if types is None:
        images.sort(key=_row)
    samples = _drawn(images, seed) if wordings == "draw" else _all(images)
    return Dataset(
        name=_name(place),
        samples=with_groups(samples),
        origin=place.origin if place.rule == PACKAGED else f"{place.path} ({place.rule}; {how})",
        dropped=tuple(draw.dropped),
        notes=(*(notes if types is None else ()), *draw.notes),
        rows=draw.rows,
        usable_rows=partial(_usable_rows, rows, text_field, layout.follow_links),
    )


def _check(n: int | None, types: Sequence[str] | None, text_field: str, wordings: str) -> None:
    if n is not None and n < 1:
        raise InputError(f"n_per_type: expected at least 1 or None, got {n}")
    if types is not None and not types:
        raise InputError("types: expected at least one data type, or None for all")
    for what, value, known in (("text field", text_field, TextField), ("wordings", wordings, Wordings)):
        if value not in get_args(known):
            raise InputError(unknown(what, value, dict.fromkeys(get_args(known))))
    for name in types or ():
        if name in RESERVED:
            raise InputError(f"types: {name!r} is reserved: {RESERVED[name]}; give None to take all types")


def _opened(place: Root, reading: Reading) -> tuple[Rows, str, tuple[str, ...]]:
    """Return a function that yields the rows of a place, which reader reads them and why, and notes."""
    if place.reader == HUB:
        return partial(hub_rows, str(place.path), reading), "from the Hugging Face Hub", ()
    match = recognise(place.path, reading, reader=place.reader, origin=place.origin)
    notes = missing_types(match.place, reading) if match.reader.name == "tree" else ()
    return partial(match.reader.read, match.place, reading), match.described(place.path), notes


def _check_draw(draw: Draw, types: Sequence[str] | None, place: Root, reading: Reading, how: str) -> None:
    """Refuse a draw without samples, and one in which a type that was asked for has none.

    A type requested by name must exist; a type that a stray row made up need not.
    """
    known = dict.fromkeys(name or ALL for name in draw.samples)
    if types is not None and place.reader is None:
        known |= dict.fromkeys(present_types(place.path, reading))
    for name in types or ():
        if name not in known:
            raise UnknownNameError(f"{unknown('data type', name, known)} (in {place.origin})")
        if not draw.samples.get(name):
            raise DataError(_nothing(f"no usable row of type {name!r} in {place.origin}", draw.dropped))
    if not any(draw.samples.values()):
        lost = [row for row in draw.dropped if f": {NOT_FOUND} " in row.reason]
        if lost:
            raise DataError(
                f"no usable row in {place.origin}: {how}; of its {draw.rows:,} rows, {len(lost):,} name an "
                f"image that is not there: {lost[0].where}: {lost[0].reason}; "
                "--align-image-root DIR says where the images are"
            )
        raise DataError(_nothing(f"no usable row in {place.origin}", draw.dropped))


def _row(samples: Sequence[Sample]) -> int:
    return samples[0].row or 0


def _drawn(images: Sequence[Sequence[Sample]], seed: int) -> tuple[Sample, ...]:
    """Return a sample for each image: with a text drawn by seed in front, then all others about the image."""
    drawn = with_unique_ids(drawn_wordings((samples[0] for samples in images), seed))
    return tuple(
        sample.but(texts=tuple(dict.fromkeys((*sample.texts, *(text for of in others for text in of.texts)))))
        for sample, (_, *others) in zip(drawn, images, strict=True)
    )


def _all(images: Sequence[Sequence[Sample]]) -> list[Sample]:
    """Return a sample for every text of every image, in the order of the rows."""
    samples = sorted((sample for of in images for sample in of), key=lambda sample: sample.row or 0)
    return with_unique_ids(all_wordings(with_unique_ids(samples)))


def _usable_rows(rows: Rows, text_field: TextField, follow_links: bool) -> list[int]:
    """Return the usable rows of the data, including all types."""
    draw = draw_samples(rows, n=None, types=None, seed=0, text_field=text_field, follow_links=follow_links)
    samples = (sample for kind in draw.samples.values() for image in kind for sample in image)
    return sorted(sample.row for sample in samples if sample.row is not None)


def _name(place: Root) -> str:
    """Return a short name for tables: the folder's, or the file's without its ending."""
    path = place.path if place.reader == HUB else place.path.resolve()
    return path.stem if path.suffix and not path.is_dir() else path.name


def _nothing(what: str, dropped: Sequence[DroppedRow]) -> str:
    return (
        f"{what}; the first: {dropped[0].where}: {dropped[0].reason}" if dropped else f"{what}: it is empty"
    )
