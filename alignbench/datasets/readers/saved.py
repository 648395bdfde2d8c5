"""Data sets of the Hugging Face library `datasets` (extra `data`): saved to disk, or on the Hub."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from alignbench.datasets.finding import resolve_under
from alignbench.datasets.readers.table import table_rows
from alignbench.datasets.reading import Place, Reader, Reading
from alignbench.datasets.row import shown
from alignbench.errors import ConfigError, DataError
from alignbench.paths import is_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alignbench.datasets.dataset import DroppedRow
    from alignbench.datasets.row import Draft, Row

_STATE, _SPLITS = "state.json", "dataset_dict.json"


def hub_rows(spec: str, reading: Reading) -> Iterator[Row | Draft | DroppedRow]:
    """Yield the rows of a data set on the Hub, without downloading it as a whole.

    Args:
        spec: `org/name`, `org/name@revision`, with `#split` or `#configuration/split` at the end.
        reading: how to read it.

    Raises:
        ConfigError: the library `datasets` is not installed.
        DataError: there is no such data set, or it can't be reached.
    """
    datasets = _library(spec)
    name, _, part = spec.partition("#")
    name, _, revision = name.partition("@")
    configuration, slash, split = part.rpartition("/")
    try:
        data = datasets.load_dataset(
            name,
            configuration if slash else None,
            split=split or "train",
            revision=revision or None,
            streaming=True,
        )
    except Exception as error:  # the library raises whatever its many back ends raise
        raise DataError(f"hf:{spec}: can't be loaded: {' '.join(str(error).split())[:300]}") from error
    yield from _rows(f"hf:{spec}", datasets, data, reading, ())


def _recognise(place: Place, reading: Reading) -> str | None:
    if place.files:
        return None
    return next((f"a {name}" for name in (_STATE, _SPLITS) if is_file(place.folder / name)), None)


def _read(place: Place, reading: Reading) -> Iterator[Row | Draft | DroppedRow]:
    datasets = _library(str(place.folder))
    folder = (
        place.folder if is_file(place.folder / _STATE) else _only_split(place.folder, reading.follow_links)
    )
    _check_inside(folder, reading.follow_links)
    try:
        data = datasets.load_from_disk(str(folder))
    except Exception as error:
        raise DataError(f"{folder}: can't be loaded: {' '.join(str(error).split())[:300]}") from error
    yield from _rows(folder.name, datasets, data, reading, reading.folders(place.folder))


def _check_inside(folder: Path, follow_links: bool) -> None:
    """Refuse a data set whose description names files outside its folder: the library would open them.

    Raises:
        DataError: it does, or it can't be read.
    """
    try:
        state = json.loads((folder / _STATE).read_bytes())
        names = [file["filename"] for file in state["_data_files"]]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise DataError(f"{folder / _STATE}: can't be read") from error
    for name in names:
        _check_below(folder, name, _STATE, follow_links)


def _check_below(folder: Path, name: object, said_by: str, follow_links: bool) -> None:
    try:
        resolve_under(folder, str(name), follow_links=follow_links)
    except DataError as error:
        raise DataError(f"{folder / said_by} names {shown(str(name))}, which is not in its folder") from error


def _only_split(folder: Path, follow_links: bool) -> Path:
    try:
        splits = json.loads((folder / _SPLITS).read_text(encoding="utf-8"))["splits"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / _SPLITS}: can't be read") from error
    if not isinstance(splits, list):
        raise DataError(f"{folder / _SPLITS}: its 'splits' are not a list")
    if len(splits) != 1:
        raise DataError(
            f"{folder} has {len(splits)} splits, {', '.join(map(str, splits))}; "
            f"name the folder of one: {folder / str(splits[0])}"
        )
    _check_below(folder, splits[0], _SPLITS, follow_links)
    return folder / str(splits[0])


def _rows(
    name: str, datasets: Any, data: Any, reading: Reading, folders: tuple[Path, ...]
) -> Iterator[Row | Draft | DroppedRow]:
    """Yield the rows of a data set; images stay encoded."""
    features = data.features or {}
    for column, feature in features.items():
        if isinstance(feature, datasets.Image):
            data = data.cast_column(column, datasets.Image(decode=False))
    labels = {name: of for name, of in features.items() if isinstance(of, datasets.ClassLabel)}
    names = list(features) or list(next(iter(data), {}))

    def records() -> Iterator[tuple[int, dict[str, Any]]]:
        for number, cells in enumerate(data, 1):
            for column, label in labels.items():
                if cells[column] is not None:  # -1 is how rows without a class are written
                    cells[column] = label.int2str(cells[column]) if cells[column] >= 0 else None
            yield number, cells

    try:
        yield from table_rows(records(), f"{name}: row ", names, reading, folders)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{name}: can't be read: {' '.join(str(error).split())[:300]}") from error


def _library(what: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            f'{what}: Hugging Face data sets need the package datasets: pip install "alignbench[data]"'
        ) from error
    return datasets


DATASETS = Reader(
    "datasets",
    "a folder that Hugging Face `save_to_disk` wrote; `hf:org/name` reads the Hub",
    _recognise,
    _read,
)
