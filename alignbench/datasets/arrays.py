"""Arrays instead of images and texts: which rows are the samples, and data that consists of rows alone."""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING

import numpy as np

from alignbench.columns import names_of
from alignbench.datasets.dataset import Dataset, Sample
from alignbench.datatypes import ALL, check_type
from alignbench.errors import DataError, InputError, UnknownNameError
from alignbench.npy import open_npy
from alignbench.paths import is_file
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "arrays"
_LONGEST = 200


def rows_of(dataset: Dataset, count: int) -> NDArray[np.intp]:
    """Return the indices of an array's `count` rows that belong to the dataset's samples, in their order.

    An array has one row per sample; or one per row of the data, or per usable row, in the data's order.

    Raises:
        DataError: `count` fits none of these, or it fits several that disagree.
    """
    n, places = len(dataset), [sample.row for sample in dataset.samples]
    if count == n:
        if count == dataset.rows and places != list(range(n)):
            raise DataError(
                f"{n} rows, as many as the run has samples and the data has lines, but --data-types puts the "
                "run in another order; leave it out, or name the types as the data has them"
            )
        return np.arange(n)
    if None in places or dataset.rows in {None, n}:
        raise DataError(f"{count} rows; expected {n}, one for each sample of {dataset.label}, in its order")
    if count == dataset.rows:
        return np.asarray(places, dtype=np.intp)
    usable = dataset.usable_rows() if dataset.usable_rows and n < count < dataset.rows else ()
    if count == len(usable):
        place = {row: i for i, row in enumerate(usable)}
        return np.asarray([place[row] for row in places if row is not None], dtype=np.intp)
    also = f", or {len(usable)}, one for each usable line" if usable else ""
    raise DataError(
        f"{count} rows; expected {n}, one for each sample of {dataset.label}, "
        f"or {dataset.rows}, one for each line of its data{also}"
    )


def rows_dataset(
    n: int,
    origin: str,
    *,
    labels: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    n_per_type: int | None = None,
    seed: int = 42,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Return a dataset whose samples are the rows of arrays: without image and text, with type and group.

    Args:
        n: the number of rows.
        origin: where they come from, to be shown to the user.
        labels: the data type of each row; None gives all rows one type, "all".
        groups: the group of each row; None makes every row its own group.
        types: the types to take; None for all.
        n_per_type: the number of samples of each type, drawn by `seed`; None for all.
        seed: the seed of the draw.
        notes: what a user should know about the arrays.

    Raises:
        UnknownNameError: no row has one of the types.
    """
    kinds = (ALL,) * n if labels is None else tuple(labels)
    # The same names as `alignbench.stats.evaluate` uses by default, because they determine splits and blocks.
    units = tuple(map(str, range(n))) if groups is None else tuple(groups)
    of_kind: dict[str, list[int]] = {}
    for i, kind in enumerate(kinds):
        of_kind.setdefault(kind, []).append(i)
    drawn: list[int] = []
    for kind in of_kind if types is None else types:
        if kind not in of_kind:
            raise UnknownNameError(f"{unknown('data type', kind, of_kind)} (in {origin})")
        rows = of_kind[kind]
        order = np.random.default_rng([seed, zlib.crc32(kind.encode())]).permutation(len(rows))
        drawn += [rows[int(i)] for i in order[:n_per_type]]
        if n_per_type is not None and len(rows) < n_per_type:
            notes += (f"{kind}: {len(rows)} samples; {n_per_type} were asked for and there are no more",)
    samples = (Sample(f"row-{i}", None, (), kinds[i], units[i], row=i) for i in sorted(drawn))
    return Dataset(NAME, tuple(samples), origin, notes=notes, rows=n)


def read_labels(path: Path, n: int) -> tuple[str, ...]:
    """Return the data type of each of `n` rows, from a text file with one per line or a .npy file [n].

    Raises:
        DataError: the file can't be read, does not have `n` labels, or has one that can't be a type's name.
    """
    labels = _column(path, n, "label")
    for label in dict.fromkeys(labels):
        try:
            check_type(label)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
    return labels


def read_groups(path: Path, n: int) -> tuple[str, ...]:
    """Return the group of each of `n` rows, from a text file with one per line or a .npy file [n].

    Raises:
        DataError: the file can't be read, or does not have `n` groups.
    """
    return _column(path, n, "group")


def _column(path: Path, n: int, what: str) -> tuple[str, ...]:
    values = _from_npy(path, what) if path.suffix == ".npy" else _lines(path)
    if len(values) != n:
        raise DataError(f"{path}: {len(values)} {what}s; expected {n}, one for each row of the arrays")
    for i, value in enumerate(values):
        if not value or len(value) > _LONGEST or not value.isprintable():
            raise DataError(
                f"{path}: row {i}: {value[:20]!r} can't be a {what}: "
                f"expected up to {_LONGEST} printable characters"
            )
    try:
        return tuple(names_of(values, n, f"{what}s").tolist())
    except InputError as error:
        raise DataError(f"{path}: {error}") from error


def _lines(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_bytes().decode("utf-8-sig") if is_file(path) else None
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; save it as UTF-8, or as .npy") from error
    if text is None:
        raise DataError(f"{path}: there is no such file")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    return tuple(line.strip() for line in lines)


def _from_npy(path: Path, what: str) -> tuple[str, ...]:
    try:
        array = open_npy(path)
    except InputError as error:
        raise DataError(f"{path}: {error}") from error
    if array.ndim != 1 or array.dtype.kind not in "USiub":
        raise DataError(
            f"{path}: expected texts or whole numbers [n], one {what} a row, "
            f"got {array.dtype.name} of shape {array.shape}"
        )
    if array.dtype.kind == "U":
        # Python can't convert anything else to text, and raises a SystemError.
        codes = np.ascontiguousarray(array).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if len(codes) and codes.max() > sys.maxunicode:
            raise DataError(f"{path}: a {what} holds what is no Unicode character; write the file again")
    if array.dtype.kind == "S":
        return tuple(_decoded(value, path, i, what) for i, value in enumerate(array.tolist()))
    return tuple(str(value).strip() for value in array.tolist())


def _decoded(value: bytes, path: Path, row: int, what: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: row {row}: the {what} {value[:20]!r} is not UTF-8 text") from error
