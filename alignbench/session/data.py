"""The samples of a session: a named data set, the user's own data, or the rows of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.datasets.dataset import Dataset
from alignbench.datasets.reading import Layout
from alignbench.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.session.options import Options
    from alignbench.weights.arrays import ArrayFile


def with_data(options: dict[str, Any], data: object) -> dict[str, Any]:
    """Return options of Python with the one that says which data to take.

    Raises:
        ConfigError: `data` is nothing that names data, or another option names some, too.
    """
    if data is None or isinstance(data, Dataset):
        return options
    if not isinstance(data, str | Path):
        raise ConfigError(f"data: expected a Dataset, a name or a path, got a {type(data).__name__}")
    return {**options, "data": str(data)}


def read_data(options: Options, rows: Sequence[ArrayFile]) -> Dataset:
    """Return the samples that options name.

    Args:
        options: of the session.
        rows: the arrays whose rows are the samples; none where there is data.

    Raises:
        DataError: no data, or nothing in it that can be used.
    """
    if rows:
        return _rows_dataset(options, rows)
    from alignbench.datasets import load_dataset

    return nonempty(
        load_dataset(
            options.data or options.dataset,
            n_per_type=_count(options),
            types=options.data_types,
            seed=options.seed,
            root=options.data_root,
            text_field=options.text_field,
            layout=layout_of(options),
            config=options.config,
        )
    )


def layout_of(options: Options) -> Layout:
    """Return what the options say about how the data are laid out."""
    from alignbench.datasets.columns import parse_columns

    return Layout(
        columns=parse_columns(options.columns, options.spelled("columns")),
        type_from=options.type_from,
        image_root=options.image_root,
        follow_links=options.follow_links,
    )


def _count(options: Options) -> int | None:
    return None if options.n_samples == "all" else options.n_samples


def nonempty(dataset: Dataset) -> Dataset:
    """Return a data set that has samples.

    Raises:
        DataError: all of it was refused.
    """
    if len(dataset):
        return dataset
    first = f"; the first: {dataset.dropped[0].where}: {dataset.dropped[0].reason}" if dataset.dropped else ""
    raise DataError(f"{dataset.name} ({dataset.origin}): {len(dataset.dropped)} rows were refused{first}")


def _rows_dataset(options: Options, rows: Sequence[ArrayFile]) -> Dataset:
    """Return the rows of the arrays as the samples, with types and groups where files give them."""
    from alignbench.datasets.arrays import read_labels, rows_dataset

    first = rows[0]
    for other in rows:
        if other.rows != first.rows:
            raise DataError(
                f"{other.name}: {other.source}: {other.rows} rows; expected {first.rows}, one for each "
                f"row of {first.source}: no data was named, so row i of all arrays is one sample"
            )
    origin = f"the rows of {first.source}: no data was named"
    origin += "" if options.labels is None else f"; labels from {options.labels.name}"
    if options.groups is not None:
        origin += f"; groups from {options.groups.name if isinstance(options.groups, Path) else 'equal rows'}"
    return rows_dataset(
        first.rows,
        origin,
        labels=None if options.labels is None else read_labels(options.labels, first.rows),
        groups=_groups_of_rows(options, rows),
        types=options.data_types,
        n_per_type=_count(options) if options.is_given("n_samples") else None,
        seed=options.seed,
    )


def _groups_of_rows(options: Options, rows: Sequence[ArrayFile]) -> tuple[str, ...] | None:
    from alignbench.datasets.arrays import read_groups
    from alignbench.datasets.copies import groups_of_rows

    if isinstance(options.groups, Path):
        return read_groups(options.groups, rows[0].rows)
    return None if options.groups is None else groups_of_rows({file.source: file.values() for file in rows})
