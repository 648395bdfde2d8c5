"""Parquet and Arrow files, read in batches by pyarrow (extra `data`)."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

_ROWS = 256  # a batch of photographs of 100 kB each takes 25 MB


@dataclass(frozen=True)
class Table:
    """An open file: the names of its columns, and a function that yields its rows in batches."""

    names: tuple[str, ...]
    batches: Callable[[], Iterator[list[dict[str, Any]]]]


@contextmanager
def open_table(file: Path) -> Iterator[Table]:
    """Open a Parquet or Arrow file.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: the file is damaged, cut off or of another kind.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise ConfigError(
            f'{file.name}: Parquet and Arrow files need pyarrow: pip install "alignbench[data]"'
        ) from error
    try:
        if file.suffix.lower() == ".parquet":
            from pyarrow import parquet

            with parquet.ParquetFile(file) as source:
                classes = _class_names(source.schema_arrow.metadata)
                yield Table(
                    tuple(source.schema_arrow.names),
                    lambda: _named(
                        (batch.to_pylist() for batch in source.iter_batches(batch_size=_ROWS)), classes
                    ),
                )
        else:
            with pyarrow.memory_map(str(file)) as memory, _arrow_reader(pyarrow, memory) as batches:
                classes = _class_names(batches.schema.metadata)
                yield Table(tuple(batches.schema.names), lambda: _named(_slices(batches), classes))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{file.name}: can't be read as {file.suffix[1:].lower()}: {reason[:200]}") from error


def _arrow_reader(pyarrow: Any, memory: Any) -> Any:
    """Return a reader of batches: Hugging Face writes streams, others files with an index at the end."""
    try:
        source = pyarrow.ipc.open_file(memory)
    except pyarrow.ArrowInvalid:
        memory.seek(0)
        return pyarrow.ipc.open_stream(memory)
    batches = (source.get_batch(i) for i in range(source.num_record_batches))
    return pyarrow.RecordBatchReader.from_batches(source.schema, batches)


def _slices(batches: Any) -> Iterator[list[dict[str, Any]]]:
    for batch in batches:
        for start in range(0, len(batch), _ROWS):
            yield batch.slice(start, _ROWS).to_pylist()


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[Any]]:
    """Return column -> the names of its classes, which Hugging Face writes beside their numbers."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"].items()
        return {column: list(of["names"]) for column, of in features if of.get("_type") == "ClassLabel"}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}  # the numbers will do


def _named(
    batches: Iterable[list[dict[str, Any]]], classes: Mapping[str, list[Any]]
) -> Iterator[list[dict[str, Any]]]:
    """Yield batches with the names of classes in place of their numbers; -1 means that a row has none."""
    for rows in batches:
        for column, names in classes.items():
            for cells in rows:
                number = cells.get(column)
                if isinstance(number, int) and number < len(names):
                    cells[column] = str(names[number]) if number >= 0 else None
        yield rows
