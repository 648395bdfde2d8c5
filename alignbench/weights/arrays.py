"""Embeddings that were computed elsewhere, in place of a model: `npy:file.npy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from alignbench.datasets.arrays import rows_of
from alignbench.errors import DataError, InputError, ModelError, WeightsMissingError
from alignbench.npy import open_npy
from alignbench.paths import exists, user_path
from alignbench.weights.custom import Custom, adopt
from alignbench.weights.digest import file_digest
from alignbench.weights.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from alignbench.datasets import Dataset
    from alignbench.types import Weights
    from alignbench.weights.spec import Spec


class ArrayFile:
    """The rows of a .npy file [n, d], as the vectors of a model that never has to run.

    Until its vectors are requested, only the header and the file's sha256 are read.

    Args:
        path: the file.
        name: the alias, for errors.

    Raises:
        WeightsMissingError: there is no such file.
        ModelError: it is not a matrix of real numbers with at least one row.
    """

    family = "other"
    weights: Weights = "arrays"

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.source = f"npy:{_shown(path)}"
        self._path = path
        array = self._open()
        if array.ndim != 2 or 0 in array.shape:
            raise self._wrong(f"expected a matrix [n, d], one row a sample, got shape {array.shape}")
        if array.dtype.kind not in "biuf":
            raise self._wrong(f"expected real numbers, got {array.dtype}; convert them to float32")
        self.rows, self.dims = map(int, array.shape)
        self.dtype = array.dtype.name
        self.params: dict[str, Any] = {"dtype": self.dtype}
        self.revision = file_digest(path)[:16]

    def describe(self, used: int) -> str:
        """Return the line in a run's plan about the array, of which the run uses `used` rows."""
        part = "" if used == self.rows else f", {used} of its {self.rows} rows"
        return f"arrays, {self.dims} dims, {self.dtype} from {self.source.removeprefix('npy:')}{part}"

    def embed(self, items: Sequence[Any]) -> NoReturn:
        """Refuse to embed: there is no model that could run."""
        raise self._wrong("arrays that were computed elsewhere; there is no model to be run")

    def vectors_of(self, dataset: Dataset) -> NDArray[np.float32]:
        """Return the rows of the dataset's samples, float32 [n, d]; row i belongs to sample i.

        Raises:
            ModelError: the rows don't match the samples, one of them is not finite, or the file has changed.
        """
        return next(self.blocks_of(dataset, len(dataset)))

    def blocks_of(self, dataset: Dataset, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield what `vectors_of` returns, for `size` samples at a time; only these are read and held."""
        try:
            rows = rows_of(dataset, self.rows)
        except DataError as error:
            raise self._wrong(str(error)) from error
        given = self.values()
        for start in range(0, len(rows), size):
            ids = [sample.id for sample in dataset.samples[start : start + size]]
            yield self._vectors(given, rows[start : start + size], ids)

    def _vectors(
        self, given: NDArray[Any], rows: NDArray[np.intp], ids: Sequence[str]
    ) -> NDArray[np.float32]:
        """Return some rows of the file, after checking that float32 can hold them."""
        with np.errstate(over="ignore"):
            vectors = np.asarray(given[rows], dtype=np.float32)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            first = int(np.argmin(finite))
            row = int(rows[first])
            what = "NaN or infinite" if not np.isfinite(given[row]).all() else "beyond float32"
            raise self._wrong(
                f"{int((~finite).sum())} of {len(rows)} rows are not finite, the first is row {row}, counted "
                f"from 0 (sample {ids[first]!r}): {what}; mend such rows, or leave them out on both sides"
            )
        sizes = np.maximum(vectors.max(axis=1), -vectors.min(axis=1))
        below = (sizes < np.finfo(np.float32).tiny) & np.asarray(given[rows]).any(axis=1)
        if below.any():
            first = int(np.argmax(below))
            row = int(rows[first])
            raise self._wrong(
                f"{int(below.sum())} of {len(rows)} rows are below float32, the first is row {row}, counted "
                f"from 0 (sample {ids[first]!r}): multiply the whole array by one factor"
            )
        return vectors

    def values(self) -> NDArray[Any]:
        """Return the whole matrix of the file, memory-mapped.

        Raises:
            ModelError: the file has changed since its digest was computed.
        """
        if file_digest(self._path)[:16] != self.revision:
            raise self._wrong("the file has changed since the run began; run again")
        return self._open()

    def _open(self) -> NDArray[Any]:
        try:
            return open_npy(self._path)
        except InputError as error:
            if not exists(self._path):
                raise WeightsMissingError(f"{self.name}: there is no file {self._path}") from error
            raise self._wrong(str(error)) from error

    def _wrong(self, what: str) -> ModelError:
        return ModelError(f"{self.name}: {self.source}: {what}")


def arrays(
    spec: Spec, side: Literal["vision", "text"], *, l2: bool = True, asked: Sequence[str] = ()
) -> Custom:
    """Return the arrays that `npy:file.npy` names, under their alias.

    Args:
        spec: a spec of kind "npy".
        side: the side of a pair that they form.
        l2: whether rows are scaled to unit length.
        asked: the given options that only a model can follow.

    Raises:
        WeightsMissingError: there is no such file.
        ModelError: it is not a matrix of real numbers, or an option would be ignored.
    """
    file = ArrayFile(user_path(spec.target, spec.alias), spec.alias)
    return adopt(file, spec.alias, side, l2=l2, asked=asked, what="an array")


def array_file(model: object) -> ArrayFile | None:
    """Return the file behind a model that is an array; None for a model that can run."""
    behind = model.behind if isinstance(model, Custom) else model
    return behind if isinstance(behind, ArrayFile) else None


def _shown(path: Path) -> str:
    """Return the file's path relative to the current folder: reports are shared and show no other folder."""
    try:
        shown = path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        shown = path.name
    return printable(shown)
