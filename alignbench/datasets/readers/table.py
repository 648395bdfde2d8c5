"""Tables with a column for the image and columns for its texts: CSV, TSV, JSON, Parquet and Arrow."""

from __future__ import annotations

import base64
import binascii
import csv
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from alignbench.columns import is_missing
from alignbench.datasets.arrow import open_table
from alignbench.datasets.columns import check_complete, check_unique, choose_columns
from alignbench.datasets.conversation import image_cell
from alignbench.datasets.dataset import DroppedRow
from alignbench.datasets.finding import first_folder
from alignbench.datasets.formats import SUFFIXES, kind_of
from alignbench.datasets.reading import Place, Reader, Reading
from alignbench.datasets.records import first_record, lines, placed, records
from alignbench.datasets.row import Draft, Row
from alignbench.datatypes import check_type
from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_CSV = frozenset({".csv", ".tsv", ".txt"})
_JSON = frozenset({".json", ".jsonl"})
_BINARY = frozenset({".parquet", ".arrow"})
_DELIMITERS = (",", "\t", ";", "|")
_MAX_CELL = 256 * 2**20
_IMAGE_NAME = re.compile(rf".+({'|'.join(map(re.escape, SUFFIXES))})(#\d+)?", re.IGNORECASE)
_TEXT_KEYS = ("answer", "raw", "text", "caption", "sentence")

Cells: TypeAlias = "Sequence[Any] | Mapping[str, Any]"


class _Table:
    """What the columns of a table are, and the rows that its cells make.

    Args:
        name: the table's name, as rows are placed.
        names: the names of the columns.
        reading: how to read it.
        folders: where images are looked for.
        by_position: whether the cells are a sequence in the order of the names instead of a mapping.

    Raises:
        DataError: it is not known which column is what.
    """

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        reading: Reading,
        folders: tuple[Path, ...],
        by_position: bool,
    ) -> None:
        self.name, self.names, self.folders = name, names, folders
        columns = check_unique(check_complete(choose_columns(names, reading), names), names)
        place: dict[Any, Any] = {name: i if by_position else name for i, name in enumerate(names)}
        self.image = place[columns.image]
        self.texts = [place[text] for text in columns.texts]
        self.question, self.type, self.group, self.id = map(
            place.get, (columns.question, columns.type, columns.group, columns.id)
        )
        self.by_folder = reading.type_from == "folder"
        self.silent = columns.silent

    def drafts(self, rows: Iterable[tuple[int, Cells] | DroppedRow]) -> Iterator[Row | Draft | DroppedRow]:
        """Yield a draft for the number and the cells of each row, or the row itself if it has no text."""
        image, kind, by_folder, make = self.image, self.type, self.by_folder, self._row
        types = {"": ""}
        for row in rows:
            if isinstance(row, DroppedRow):
                yield row
                continue
            try:
                picture = row[1][image]
                if isinstance(picture, dict):
                    picture = picture.get("bytes") or picture.get("path")
                elif not isinstance(picture, str) or "#" in picture:
                    picture = _picture(picture)
                name = ""
                if kind is not None:
                    name = "" if is_missing(row[1][kind]) else str(row[1][kind])
                elif by_folder and isinstance(picture, str):
                    name = first_folder(picture)
                if name not in types:
                    types[name] = check_type(name)
                if self.silent:
                    yield self._silent(make(row), types[name])
                else:
                    yield picture, types[name], make, row
            except DataError as error:
                yield DroppedRow(self._where(row[0]), str(error))
            except LookupError:
                yield self._lacking(row[0])

    def _row(self, row: tuple[int, Cells]) -> Row | DroppedRow:
        number, cells = row
        where = self._where(number)
        try:
            return Row(
                where,
                _picture(cells[self.image]),
                tuple(chain.from_iterable(_wordings(cells[text]) for text in self.texts)),
                "" if self.question is None else cells[self.question] or "",
                group="" if self.group is None or is_missing(cells[self.group]) else str(cells[self.group]),
                id="" if self.id is None or cells[self.id] is None else cells[self.id],
                folders=self.folders,
            )
        except DataError as error:
            return DroppedRow(where, str(error))
        except LookupError:
            return self._lacking(number)

    @staticmethod
    def _silent(row: Row | DroppedRow, data_type: str) -> Row | DroppedRow:
        return row._replace(data_type=data_type) if isinstance(row, Row) else row

    def _where(self, number: int) -> str:
        return f"{self.name}{number}"

    def _lacking(self, number: int) -> DroppedRow:
        return DroppedRow(
            self._where(number), f"it lacks a column; the table has {', '.join(map(str, self.names))}"
        )


def table_rows(
    rows: Iterable[tuple[int, Cells] | DroppedRow],
    name: str,
    names: Sequence[str],
    reading: Reading,
    folders: tuple[Path, ...],
    *,
    by_position: bool = False,
) -> Iterator[Row | Draft | DroppedRow]:
    """Yield the rows of a table.

    Args:
        rows: the number and the cells of each row.
        name: what stands before a row's number in messages: `captions.csv:` or `train: row `.
        names: the names of the columns.
        reading: how to read it.
        folders: where images are looked for.
        by_position: whether the cells are a sequence in the order of the names instead of a mapping.

    Raises:
        DataError: it is not known which column is what.
    """
    return _Table(name, names, reading, folders, by_position).drafts(rows)


def columns_of(place: Place) -> tuple[str, ...]:
    """Return the names of a table's columns; empty if it can't be read as a table."""
    try:
        return read_columns(place)
    except DataError:
        return ()


def read_columns(place: Place) -> tuple[str, ...]:
    """Return the names of a table's columns; empty if it is no table.

    Raises:
        DataError: it can't be read.
    """
    if not place.files:
        return ()
    file = place.files[0]
    suffix = file.suffix.lower()
    if suffix in _CSV:
        return _header(file)[0]
    if suffix in _JSON:
        record = first_record(file)
        return tuple(record) if isinstance(record, dict) else ()
    return tuple(_schema(file)) if suffix in _BINARY else ()


def _recognise(place: Place, reading: Reading) -> str | None:
    names = columns_of(place)
    if not names:
        return None
    try:
        columns = choose_columns(names, reading)
    except DataError:
        return "columns"  # reading it says which of them can't be told apart
    if columns.image is None or not (columns.texts or columns.silent):
        return None
    return f"the columns {columns}"


def _read(place: Place, reading: Reading) -> Iterator[Row | Draft | DroppedRow]:
    folders = reading.folders(place.folder)
    for file in place.files:
        suffix = file.suffix.lower()
        if suffix in _BINARY:
            yield from table_rows(_arrow_rows(file), f"{file.name}: row ", _schema(file), reading, folders)
        elif suffix in _JSON:
            names = columns_of(Place(place.folder, (file,)))
            yield from table_rows(_dict_rows(file), placed(file), names, reading, folders)
        else:
            yield from _csv_table(file, reading, folders)


def _csv_table(file: Path, reading: Reading, folders: tuple[Path, ...]) -> Iterator[Row | Draft | DroppedRow]:
    names, style, has_header = _header(file)
    if not names:
        raise DataError(f"{file}: it is empty")
    try:
        cells = _csv_rows(file, names, style, has_header)
        yield from table_rows(cells, f"{file.name}:", names, reading, folders, by_position=True)
    except DataError as error:
        raise DataError(f"{file.name}: {error}") from error


def _csv_rows(
    file: Path, names: Sequence[str], style: Mapping[str, Any], has_header: bool
) -> Iterator[tuple[int, Cells] | DroppedRow]:
    """Yield the line and the cells of each row; a row with too many or too few is reported."""
    width = len(names)
    try:
        with file.open("r", encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.reader(stream, strict=True, **style)
            try:
                while has_header and not next(reader):
                    pass  # blank lines above the names
            except csv.Error as error:
                reason = _not_csv(error, 1, reader.line_num)
                raise DataError(f"the names of its columns: {reason}") from error
            while True:
                first = reader.line_num + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield DroppedRow(f"{file.name}:{first}", _not_csv(error, first, reader.line_num))
                    continue
                if len(cells) == width:
                    yield reader.line_num, cells
                elif cells:
                    reason = f"{len(cells)} cells; expected {width}, one for each column"
                    yield DroppedRow(f"{file.name}:{reader.line_num}", reason)
    except OSError as error:
        raise DataError(f"can't be read ({error.strerror})") from error


def _not_csv(error: csv.Error, first: int, last: int) -> str:
    """Return why a row is refused: a quotation mark that nobody closes takes in all lines that follow."""
    if "unexpected end" in str(error):
        return f"not CSV: a quotation mark opens here and is never closed, up to line {last}"
    if "expected after" in str(error):
        through = f", through line {last}" if last > first else ""
        return f"not CSV: a quotation mark within a quoted cell is not doubled{through}: write it twice"
    return f"not CSV: {error}"


def _header(file: Path) -> tuple[tuple[str, ...], dict[str, Any], bool]:
    """Return the names of the columns, how rows are written, and whether the names stand in the file."""
    line = next((one[1] for one in lines(file) if not isinstance(one, DroppedRow)), b"")
    text = line.decode("utf-8", "replace").partition("\r")[0]  # the line ends of old Macs
    name, tab, caption = text.partition("\t")
    if tab and "\t" not in caption and _IMAGE_NAME.fullmatch(name.strip()):
        # Flickr8k's tokens: a name and a caption, in which quotation marks are part of the text.
        return ("image", "caption"), {"delimiter": "\t", "quoting": csv.QUOTE_NONE}, False
    candidates = ("\t",) if file.suffix.lower() == ".tsv" else _DELIMITERS
    rows = {by: _split(file, text, by) for by in candidates}
    for by, cells in rows.items():
        if len(cells) == 2 and _IMAGE_NAME.fullmatch(cells[0].strip()):
            return ("image", "caption"), {"delimiter": by}, False
    delimiter = max(candidates, key=lambda by: len(rows[by]))
    return tuple(cell.strip() for cell in rows[delimiter]), {"delimiter": delimiter}, True


def _split(file: Path, text: str, delimiter: str) -> list[str]:
    csv.field_size_limit(max(_MAX_CELL, csv.field_size_limit()))  # an image in base64 is one cell
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error as error:
        raise DataError(f"{file.name}:1: not CSV: {error}") from error


def _dict_rows(file: Path) -> Iterator[tuple[int, Cells] | DroppedRow]:
    place = placed(file)
    for record in records(file):
        if isinstance(record, DroppedRow) or isinstance(record[1], dict):
            yield record
        else:
            yield DroppedRow(f"{place}{record[0]}", f"expected an object, got {type(record[1]).__name__}")


def _schema(file: Path) -> list[str]:
    with open_table(file) as table:
        names: list[str] = list(table.names)
    return names


def _arrow_rows(file: Path) -> Iterator[tuple[int, Cells]]:
    with open_table(file) as table:
        yield from enumerate(chain.from_iterable(table.batches()), 1)


def _picture(cell: Any) -> Any:
    """Return the image of a cell: a name, or its content, which may be written in base64."""
    if isinstance(cell, str):
        cell = cell.strip()
        if len(cell) > 100 and "." not in cell[-6:]:
            try:
                if kind_of(base64.b64decode(cell[:64], validate=True)) is not None:
                    return base64.b64decode(cell, validate=True)
            except (binascii.Error, ValueError):
                pass
        if "#" in cell:  # Flickr8k numbers an image's captions: name.jpg#0
            name, _, number = cell.rpartition("#")
            if number.isdigit() and _IMAGE_NAME.fullmatch(name):
                return name
    return image_cell(cell)


def _wordings(cell: Any) -> Sequence[Any]:
    if isinstance(cell, list | tuple):
        return [_wording(value) for value in cell if value is not None]
    return () if cell is None else (_wording(cell),)


def _wording(value: Any) -> Any:
    if isinstance(value, dict):
        return next((value[key] for key in _TEXT_KEYS if value.get(key) is not None), value)
    return value


TABLE = Reader(
    "table",
    "CSV, TSV, JSON(L), Parquet or Arrow with a column of images and columns of texts",
    _recognise,
    _read,
)
