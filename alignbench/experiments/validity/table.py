"""The table that validity is judged by: encoders with scores and outcomes, also read from a CSV file."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from alignbench.columns import is_missing
from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

METRIC_PREFIX, OUTCOME_PREFIX = "metric_", "performance_"
FEWEST = 3
_LONGEST_LINE = 1_000_000
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Table:
    """Scores and outcomes of encoders.

    Args:
        encoders: the names of the encoders.
        lineages: the training that each encoder comes from.
        families: the kind of that training.
        columns: an encoder has one value per column, such as an LLM, a data type, or a set of drawings.
        metrics: name -> values [encoders, columns].
        outcomes: name -> values [encoders, columns].
        left_out: encoder, metric or outcome -> why it is left out.
        specs: what names the weights of each encoder; "" where nothing is known, () if it was not asked.
    """

    encoders: tuple[str, ...]
    lineages: tuple[str, ...]
    families: tuple[str, ...]
    columns: tuple[str, ...]
    metrics: Mapping[str, Matrix]
    outcomes: Mapping[str, Matrix]
    left_out: Mapping[str, str]
    specs: tuple[str, ...] = ()


def complete_values(
    names: Iterable[str],
    rows_of: Callable[[str], list[list[float]]],
    left_out: dict[str, str],
    what: str,
) -> dict[str, Matrix]:
    """Return name -> values [encoders, columns]; names that lack a value are left out with the reason.

    Args:
        names: the names of metrics or outcomes.
        rows_of: returns the rows of values of a name, with NaN for those that are missing.
        left_out: name -> reason; names that lack a value are added.
        what: the kind of the columns, for the reason.
    """
    complete = {}
    for name in names:
        values = np.asarray(rows_of(name), dtype=np.float64)
        if np.isfinite(values).all():
            complete[name] = values
        else:
            left_out[name] = f"no value for every encoder and {what}"
    return complete


def read_table(
    path: Path, metrics: Sequence[str] | None = None, outcomes: Sequence[str] | None = None
) -> Table:
    """Return the table in a comma-separated file with a header and one row per encoder.

    Its columns are `encoder`, `family`, optionally `lineage` (rows of one lineage are checkpoints of one
    training), and numbers. Columns that are neither metric nor outcome are ignored.

    Args:
        path: the file.
        metrics: the columns of scores; by default those whose name begins with `metric_`.
        outcomes: the columns of performance; by default those that begin with `performance_`.

    Raises:
        DataError: the file can't be used, or has several blocks; the message has file, line and column.
    """
    blocks = read_blocks(path, metrics, outcomes)
    if len(blocks) > 1:
        raise DataError(
            f"{path.name}: column 'block': it has {len(blocks)} blocks ({_listed(blocks)}), whose "
            "values can't be pooled; keep the rows of one block, or use `alignbench validity --table`"
        )
    (table,) = blocks.values()
    return table


def read_blocks(
    path: Path,
    metrics: Sequence[str] | None = None,
    outcomes: Sequence[str] | None = None,
    *,
    scored: bool = True,
) -> dict[str, Table]:
    """Return block -> the table of its rows; a block is a source or a recipe, whose values belong together.

    The file is that of `read_table` with two further columns, both optional: `block`, where an encoder has
    one row in each block, and `spec`, which names the encoder's weights. A number may be missing only if its
    column is empty in the whole block, which then lacks that metric or outcome.

    Args:
        path: the file.
        metrics: the columns of scores; by default those whose name begins with `metric_`.
        outcomes: the columns of performance; by default those that begin with `performance_`.
        scored: whether there has to be a column of scores.

    Raises:
        DataError: the file can't be used; the message has file, line and column.
    """
    sheet = _TableFile.read(path)
    scores = sheet.chosen(metrics, METRIC_PREFIX, "metrics", needed=scored)
    goals = sheet.chosen(outcomes, OUTCOME_PREFIX, "outcomes")
    if both := sorted(set(scores) & set(goals)):
        raise DataError(f"{path.name}: column {both[0]!r} can't be both a metric and an outcome")
    for name in ("encoder", "family"):
        if name not in sheet.columns:
            raise DataError(f"{path.name}: line 1: no column {name!r}; it has {_listed(sheet.columns)}")
    nothing = [""] * len(sheet.lines)
    texts = {name: sheet.texts(name) for name in ("encoder", "family")}
    texts["lineage"] = sheet.texts("lineage") if "lineage" in sheet.columns else texts["encoder"]
    texts["block"] = sheet.texts("block") if "block" in sheet.columns else nothing
    texts["spec"] = sheet.columns.get("spec", nothing)
    sheet.check_encoders(texts["block"])
    places = {block: [i for i, own in enumerate(texts["block"]) if own == block] for block in texts["block"]}
    for block, own in places.items():
        if len(own) < FEWEST:
            where = f"block {block!r}: " if block else ""
            raise DataError(f"{path.name}: {where}expected at least {FEWEST} encoders, got {len(own)}")
    numbers = {name: sheet.numbers(name, places) for name in (*scores, *goals)}

    def of(block: str, names: Sequence[str]) -> dict[str, Matrix]:
        return {name: numbers[name][block] for name in names if block in numbers[name]}

    return {
        block: Table(
            encoders=tuple(texts["encoder"][i] for i in own),
            lineages=tuple(texts["lineage"][i] for i in own),
            families=tuple(texts["family"][i] for i in own),
            columns=(block,),
            metrics=of(block, scores),
            outcomes=of(block, goals),
            left_out={},
            specs=tuple(texts["spec"][i] for i in own),
        )
        for block, own in places.items()
    }


@dataclass(frozen=True, slots=True)
class _TableFile:
    """The cells of a file: its name, the line of each row, and the rows' cells by column."""

    file: str
    lines: list[int]
    columns: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> _TableFile:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: can't be read as UTF-8 text: {error}") from error
        if any(len(line) > _LONGEST_LINE for line in text.splitlines()):
            raise DataError(f"{path.name}: a line is longer than {_LONGEST_LINE:,} characters")
        reader = csv.reader(text.splitlines(), strict=True, skipinitialspace=True)
        lines: list[tuple[int, list[str]]] = []
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    lines.append((reader.line_num, [cell.strip() for cell in cells]))
        except csv.Error as error:
            raise DataError(f"{path.name}: line {reader.line_num}: {error}") from error
        if not lines:
            raise DataError(f"{path.name}: it is empty; expected a header and one row per encoder")
        (_, header), rows = lines[0], lines[1:]
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise DataError(f"{path.name}: line 1: two columns are called {twice[0]!r}")
        for line, cells in rows:
            if len(cells) != len(header):
                raise DataError(f"{path.name}: line {line}: expected {len(header)} cells, got {len(cells)}")
        if not rows:
            raise DataError(f"{path.name}: it has a header and no rows; expected one row per encoder")
        columns = {name: [cells[place] for _, cells in rows] for place, name in enumerate(header)}
        return cls(path.name, [line for line, _ in rows], columns)

    def chosen(
        self, names: Sequence[str] | None, prefix: str, what: str, *, needed: bool = True
    ) -> list[str]:
        if names is None:
            names = [name for name in self.columns if name.startswith(prefix)]
            if not names and needed:
                raise DataError(
                    f"{self.file}: line 1: no column begins with {prefix!r}; name the columns like that, or "
                    f"pass their names as {what}; it has {_listed(self.columns)}"
                )
        for name in names:
            if name not in self.columns:
                raise DataError(
                    f"{self.file}: line 1: no column {name!r} for {what}; it has {_listed(self.columns)}"
                )
        if not names and needed:
            raise DataError(f"{self.file}: no {what} are named")
        return list(dict.fromkeys(names))

    def check_encoders(self, blocks: Sequence[str]) -> None:
        """Check that no encoder has two rows in a block."""
        first: dict[tuple[str, str], int] = {}
        for row, (block, name) in enumerate(zip(blocks, self.columns["encoder"], strict=True)):
            line = self.lines[row]
            if (before := first.setdefault((block, name), line)) != line:
                where = f" of block {block!r}" if block else ""
                raise self._wrong(
                    row, "encoder", f"{name!r} is also on line {before}{where}; give each encoder one row"
                )

    def texts(self, name: str) -> list[str]:
        for row, cell in enumerate(self.columns[name]):
            if not cell:
                raise self._wrong(row, name, "it is empty")
            if is_missing(cell):
                how = "is how a missing value is written; use another name, or leave the row out"
                raise self._wrong(row, name, f"{cell!r} {how}")
        return self.columns[name]

    def numbers(self, name: str, places: Mapping[str, Sequence[int]]) -> dict[str, Matrix]:
        """Return block -> the numbers of a column [encoders, 1]; without the blocks in which it is empty."""
        cells = self.columns[name]
        empty = {block for block, own in places.items() if not any(cells[row] for row in own)}
        if len(empty) == len(places):
            empty = set()  # a column without any number is a mistake, which the first of its rows tells
        values = {
            block: np.asarray([self._number(row, name) for row in own], dtype=np.float64)[:, None]
            for block, own in places.items()
            if block not in empty
        }
        every = np.concatenate(list(values.values()))
        if len(np.unique(every)) == 1:
            raise DataError(f"{self.file}: column {name!r}: all {len(every)} values are {every[0, 0]:g}")
        return values

    def _number(self, row: int, name: str) -> float:
        cell = self.columns[name][row]
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self._wrong(row, name, f"expected a finite number, got {cell[:_SHOWN]!r}")
        return value

    def _wrong(self, row: int, name: str, what: str) -> DataError:
        return DataError(f"{self.file}: line {self.lines[row]}, column {name!r}: {what}")


def _listed(names: Collection[str]) -> str:
    listed = ", ".join(name[:_SHOWN] for name in islice(names, 12))
    return f"{listed}, ..." if len(names) > 12 else listed
