"""Samples from label files in the `messages` format, drawn by seed over the whole file."""

from __future__ import annotations

import itertools
import zlib
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, get_args

import numpy as np

from alignbench.datasets.dataset import (
    Dataset,
    DroppedRow,
    Sample,
    TextField,
    Wordings,
    all_wordings,
    drawn_wordings,
    field_texts,
    with_groups,
)
from alignbench.datasets.jsonl import MAX_LINE_BYTES, LineIndex, index_lines
from alignbench.datasets.roots import LabelSource, Root, find_root
from alignbench.datasets.rows import LabelRow, parse_row, printable, resolve_under, type_of
from alignbench.datatypes import RESERVED
from alignbench.errors import DataError, InputError, UnknownNameError
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.config import Config


def load_samples(
    data_type: str,
    n: int | None = None,
    *,
    root: str | Path | None = None,
    seed: int = 42,
    text_field: TextField = "answer",
    wordings: Wordings = "draw",
    config: Config | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Dataset:
    """Return samples of one data type; see `load_mixed`."""
    return load_mixed(
        n,
        [data_type],
        root=root,
        seed=seed,
        text_field=text_field,
        wordings=wordings,
        config=config,
        max_line_bytes=max_line_bytes,
    )


def load_mixed(
    n_per_type: int | None = 30,
    types: Sequence[str] | None = None,
    *,
    root: str | Path | None = None,
    seed: int = 42,
    text_field: TextField = "answer",
    wordings: Wordings = "draw",
    config: Config | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Dataset:
    """Return equally many samples of each of several data types.

    Rows are drawn by `seed` over the whole label file and returned in the file's order (named types one after
    the other). The draw of one type does not depend on the other types, and n samples are among those of any
    larger n. Rows that can't be used are in `Dataset.dropped`, with their line and the reason.

    Args:
        n_per_type: the number of samples of each type; None for all. If there are fewer, all are taken and a
            note says so.
        types: the data types, in the order wanted; None for all types of the root, in their order there.
        root: the data root; None tries `VLM_DATA_ROOT`, then the configuration, then the packaged samples.
        seed: the seed of the draw.
        text_field: the text that the image is paired with: its answer, its question, or both.
        wordings: "draw" gives one row per image, with one of its lines and one of its wordings drawn by seed;
            "all" gives one row for every line and wording.
        config: the configuration; None loads it.
        max_line_bytes: longer lines are dropped.

    Raises:
        DataError: the root is wrong, or a type has no usable row.
        UnknownNameError: the root does not have a type.
        InputError: n_per_type is below 1, there are no types or a reserved one, or text_field or wordings is
            unknown.
    """
    if n_per_type is not None and n_per_type < 1:
        raise InputError(f"n_per_type: expected at least 1 or None, got {n_per_type}")
    if types is not None and not types:
        raise InputError("types: expected at least one data type, or None for all")
    for what, value, known in (("text field", text_field, TextField), ("wordings", wordings, Wordings)):
        if value not in get_args(known):
            raise InputError(unknown(what, value, dict.fromkeys(get_args(known))))
    for name in types or ():
        if name in RESERVED:
            raise InputError(f"types: {name!r} is reserved: {RESERVED[name]}; give None to take all types")
    data_root = find_root(root, config)
    pools, dropped = _pools(data_root, types, max_line_bytes)
    draws = [_draw(pool, n_per_type, seed, text_field, wordings) for pool in pools]
    dropped += [row for draw in draws for row in draw.dropped]
    for pool, draw in zip(pools, draws, strict=True):
        # A type requested by name must exist; a type that a stray line made up need not.
        if not draw.samples and (types is not None or not any(of.samples for of in draws)):
            what = f"no usable row of type {pool.data_type!r} in {pool.index.path}"
            raise DataError(_nothing(what, draw.dropped))
    samples = [sample for draw in draws for sample in draw.samples]
    if types is None:
        samples.sort(key=attrgetter("row"))
    samples = _with_unique_ids(samples)
    shown = drawn_wordings(samples, seed) if wordings == "draw" else _with_unique_ids(all_wordings(samples))
    return Dataset(
        name=data_root.path.resolve().name,
        samples=with_groups(shown),
        origin=data_root.origin,
        dropped=tuple(dropped),
        notes=(*(data_root.notes if types is None else ()), *(note for draw in draws for note in draw.notes)),
        rows=max(pool.first + len(pool.index) for pool in pools),
        usable_rows=partial(_usable_rows, data_root, types, text_field, max_line_bytes),
    )


def _usable_rows(
    data_root: Root, types: Sequence[str] | None, text_field: TextField, max_line_bytes: int
) -> list[int]:
    """Return the usable rows of the data, including all types of a common label file."""
    pools, _ = _pools(data_root, None if data_root.sources[0].data_type is None else types, max_line_bytes)
    draws = [_draw(pool, None, 0, text_field, "all") for pool in pools]
    return sorted(sample.row for draw in draws for sample in draw.samples if sample.row is not None)


@dataclass(frozen=True, slots=True)
class _Pool:
    """The rows of one data type: a label file's index, and which of its rows belong to the type.

    Args:
        first: the position of the file's first row in the data: the label files of a tree follow each other.
    """

    data_type: str
    index: LineIndex
    rows: Sequence[int]
    images: Path
    first: int = 0


@dataclass(slots=True)
class _Draw:
    samples: list[Sample] = field(default_factory=list)
    dropped: list[DroppedRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _pools(
    data_root: Root, types: Sequence[str] | None, max_line_bytes: int
) -> tuple[list[_Pool], list[DroppedRow]]:
    """Return a pool for every requested type, and the rows whose type is unknown."""
    dropped: list[DroppedRow] = []
    pools: dict[str, _Pool] = {}
    for source in data_root.sources:
        if source.data_type is None:
            index = index_lines(source.labels, max_bytes=max_line_bytes)
            rows, untyped = _rows_by_type(index)
            dropped += [*index.dropped, *untyped]
            pools |= {name: _Pool(name, index, of, source.images) for name, of in rows.items()}
        elif types is None or source.data_type in types:
            first = sum(len(pool.index) for pool in pools.values())
            pools[source.data_type] = _tree_pool(source, source.data_type, max_line_bytes, first)
            dropped += pools[source.data_type].index.dropped
    known = dict.fromkeys([*pools, *(s.data_type for s in data_root.sources if s.data_type is not None)])
    for name in types or ():
        if name not in known:
            raise UnknownNameError(f"{unknown('data type', name, known)} (in {data_root.origin})")
    if not pools:
        raise DataError(_nothing(f"no usable row in {data_root.origin}", dropped))
    return [pools[name] for name in (dict.fromkeys(types) if types else pools)], dropped


def _tree_pool(source: LabelSource, data_type: str, max_line_bytes: int, first: int) -> _Pool:
    index = index_lines(source.labels, max_bytes=max_line_bytes)
    return _Pool(data_type, index, range(len(index)), source.images, first)


def _rows_by_type(index: LineIndex) -> tuple[dict[str, list[int]], list[DroppedRow]]:
    """Return the rows of each type, types by name; a line that can't be parsed has no type."""
    rows: dict[str, list[int]] = {}
    dropped = []
    for row, line in enumerate(index.read(range(len(index)))):
        try:
            rows.setdefault(type_of(parse_row(line).image), []).append(row)
        except DataError as error:
            dropped.append(DroppedRow(index.where(row), str(error)))
    return dict(sorted(rows.items())), dropped


def _draw(pool: _Pool, n: int | None, seed: int, text_field: TextField, wordings: Wordings) -> _Draw:
    """Visit the rows in an order drawn by seed until n are usable; report the unusable ones."""
    order = np.random.default_rng([seed, zlib.crc32(pool.data_type.encode())]).permutation(len(pool.rows))
    rows = [pool.rows[int(i)] for i in order]
    taken: dict[int, Sample] = {}
    dropped: dict[int, DroppedRow] = {}
    images: set[str] = set()
    further = 0
    for row, line in zip(rows, pool.index.read(rows), strict=True):
        if len(taken) == n:
            break
        try:
            parsed = parse_row(line)
            if wordings == "draw" and parsed.image in images:
                further += 1
                continue
            taken[row] = _sample(pool, row, parsed, text_field)
            images.add(parsed.image)
        except DataError as error:
            dropped[row] = DroppedRow(pool.index.where(row), str(error))
    drawn = _Draw([taken[row] for row in sorted(taken)], [dropped[row] for row in sorted(dropped)])
    if further and len(taken) != n:
        drawn.notes.append(
            f"{pool.data_type}: {further} further lines about the same images: one is drawn an image"
        )
    if n is not None and len(taken) < n:
        drawn.notes.append(
            f"{pool.data_type}: {len(taken)} samples; {n} were asked for and there are no more"
        )
    return drawn


def _nothing(what: str, dropped: Sequence[DroppedRow]) -> str:
    return (
        f"{what}; the first: {dropped[0].where}: {dropped[0].reason}" if dropped else f"{what}: it is empty"
    )


def _sample(pool: _Pool, row: int, parsed: LabelRow, text_field: TextField) -> Sample:
    """Return the sample of a row after checking its image.

    Raises:
        DataError: the row lacks the requested kind of text, or its image can't be used.
    """
    texts = field_texts(parsed.question, parsed.answers, text_field)
    if not texts:
        what = "question or no answer" if text_field == "both" else text_field
        raise DataError(f"no {what} at or after its image")
    sample = Sample(
        # A line's number is as stable as its file and, unlike a count, does not depend on the draw.
        id=parsed.id or f"{printable(parsed.image)}#{pool.index.numbers[row]}",
        image=resolve_under(pool.images, parsed.image),
        root=pool.images.resolve(),
        texts=texts,
        data_type=pool.data_type,
        question=parsed.question,
        exchanges=parsed.exchanges,
        row=pool.first + row,
    )
    sample.check()
    return sample


def _with_unique_ids(samples: Sequence[Sample]) -> list[Sample]:
    """Make duplicate ids unique: by type, then by count.

    An id that only one sample has is never given to another sample, nor changed.
    """
    counts = Counter(sample.id for sample in samples)
    taken = {name for name, count in counts.items() if count == 1}
    unique = []
    for sample in samples:
        name = sample.id
        if counts[name] > 1:
            typed = f"{sample.data_type}/{name}"
            numbered = (f"{typed}#{again}" for again in itertools.count(2))
            name = next(one for one in itertools.chain([typed], numbered) if one not in taken)
            taken.add(name)
        unique.append(sample.but(id=name))
    return unique
