"""The datasets with names, and the only place where an option's value becomes a dataset."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from alignbench.datasets.dataset import Dataset, Sample, TextField, drawn_wordings, field_texts, with_groups
from alignbench.datasets.load import load_mixed
from alignbench.datasets.reading import ANY, Layout
from alignbench.datasets.roots import PACKAGED
from alignbench.datatypes import check_type
from alignbench.errors import ConfigError, DataError, UnknownNameError
from alignbench.paths import exists, user_path
from alignbench.registry import Registry, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.config import Config


class DatasetFactory(Protocol):
    """A function that returns the dataset of a name."""

    def __call__(
        self,
        *,
        n_per_type: int | None,
        types: Sequence[str] | None,
        seed: int,
        root: str | Path | None,
        text_field: TextField,
    ) -> Dataset:
        """Return the dataset: `n_per_type` samples of each of `types`, drawn by `seed`."""


DATASETS: Registry[DatasetFactory] = Registry("dataset", "alignbench.datasets")


def load_dataset(
    spec: str | Path | None = None,
    *,
    n_per_type: int | None = 30,
    types: Sequence[str] | None = None,
    seed: int = 42,
    root: str | Path | None = None,
    text_field: TextField = "answer",
    layout: Layout = ANY,
    config: Config | None = None,
) -> Dataset:
    """Return the dataset that `--align-data`, `--align-dataset` or `--align-data-root` names.

    Args:
        spec: a name in `DATASETS`, what `load_mixed` takes as its root, or None for the usual search.
        n_per_type: the number of samples of each type; None for all.
        types: the data types; None for all.
        seed: the seed of the draw.
        root: what `load_mixed` takes as its root.
        text_field: the text that images are paired with.
        layout: how the data are laid out.
        config: the configuration; None loads it.

    Raises:
        DataError: the data can't be used.
        UnknownNameError: it is neither a name nor a path, or a data type is unknown.
        ConfigError: two places are given.
    """
    name = str(spec)
    if spec is not None and isinstance(spec, str) and spec in DATASETS:
        factory = DATASETS.get(spec)
        data = factory(n_per_type=n_per_type, types=types, seed=seed, root=root, text_field=text_field)
        return _checked(data, name)
    if isinstance(spec, str) and _is_plain_name(spec):
        raise UnknownNameError(
            f"{unknown('dataset', name, dict.fromkeys(DATASETS))}; or the path of a file or folder"
        )
    if spec is not None and root is not None:
        raise ConfigError(f"two data roots: dataset {name!r} and {str(root)!r}; give one of them")
    return load_mixed(
        n_per_type,
        types,
        root=root if spec is None else spec,
        seed=seed,
        text_field=text_field,
        layout=layout,
        config=config,
    )


def _is_plain_name(spec: str) -> bool:
    """Return whether a text looks like the name of a dataset rather than like a path."""
    return re.fullmatch(r"[\w-]+", spec) is not None and not exists(user_path(spec, "the dataset"))


def _checked(data: Dataset, name: str) -> Dataset:
    """Return the dataset of a name, with checked type names, and with groups if it has none yet."""
    if not isinstance(data, Dataset):
        raise DataError(
            f"dataset {name!r}: expected a Dataset from its function, got {type(data).__name__}; "
            "return alignbench.datasets.Dataset(name, samples, origin), samples being a tuple of Sample"
        )
    try:
        for data_type in data.data_types:
            check_type(data_type)
    except DataError as error:
        raise DataError(f"dataset {name!r}: {error}") from error
    if all(sample.group for sample in data.samples):
        return data
    return replace(data, samples=with_groups(data.samples))


def sample_data(
    *,
    n_per_type: int | None,
    types: Sequence[str] | None,
    seed: int,
    root: str | Path | None,
    text_field: TextField,
) -> Dataset:
    """Return the packaged samples, whatever data root is configured.

    Raises:
        ConfigError: a root is given as well.
    """
    from alignbench import paths

    _refuse_root("sample_data", root)
    dataset = load_mixed(n_per_type, types, root=paths.sample_data(), seed=seed, text_field=text_field)
    return replace(dataset, origin=PACKAGED)


def drawn(
    family: str,
    *,
    n_per_type: int | None,
    types: Sequence[str] | None,
    seed: int,
    root: str | Path | None,
    text_field: TextField,
) -> Dataset:
    """Return drawings of a family that are in no file, in any number.

    Raises:
        ConfigError: a root is given as well.
    """
    from alignbench.datasets.synthetic import TYPES, Synthetic

    _refuse_root("synthetic" if family == "first" else f"synthetic_{family}", root)
    source = Synthetic(seed=seed, types=TYPES if types is None else tuple(types), family=family)
    dataset = source.dataset(n_per_type or 30)
    samples = drawn_wordings((_paired(sample, text_field) for sample in dataset.samples), seed)
    return replace(dataset, samples=with_groups(samples))


def synthetic_lines(
    *,
    n_per_type: int | None,
    types: Sequence[str] | None,
    seed: int,
    root: str | Path | None,
    text_field: TextField,
) -> Dataset:
    """Return line charts whose texts name only what the image tells: how many lines, in which colours.

    Raises:
        ConfigError: a root is given as well.
        DataError: another data type than "chart" is asked for.
    """
    from alignbench.datasets.synthetic.lines import DATA_TYPE, line_charts

    _refuse_root("synthetic_lines", root)
    if types is not None and tuple(types) != (DATA_TYPE,):
        raise DataError(f"dataset 'synthetic_lines': it has {DATA_TYPE} only, got {', '.join(types)}")
    drawn = line_charts(n_per_type or 30, seed)
    return replace(drawn, samples=tuple(_paired(sample, text_field) for sample in drawn.samples))


def _paired(sample: Sample, text_field: TextField) -> Sample:
    texts = field_texts(sample.question, sample.texts, text_field)
    if not texts:
        raise DataError(f"sample {sample.id!r}: it has no {text_field}")
    return sample.but(texts=texts)


def _refuse_root(name: str, root: str | Path | None) -> None:
    if root is not None:
        raise ConfigError(f"dataset {name!r} needs no data root, got {str(root)!r}; give one of them")


DATASETS.add("sample_data", sample_data)
DATASETS.add("synthetic", partial(drawn, "first"))
DATASETS.add("synthetic_other", partial(drawn, "other"))  # no built-in model has seen any of it
DATASETS.add("synthetic_lines", synthetic_lines)
