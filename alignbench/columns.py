"""Labels and groups: one name for each row, and none of them missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import InputError
from alignbench.given import plain_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# How Python, numpy and pandas write a missing value.
_SPELT = frozenset({"None", "nan", "NaN", "NaT", "<NA>"})
_SPELLINGS = np.array(sorted(_SPELT))
_SEVERAL = (list, tuple, dict, set, np.ndarray)


def names_of(values: ArrayLike | Any, n: int, noun: str) -> NDArray[np.str_]:
    """Return `values` [n] as strings: the class, or the group, of each row.

    Args:
        values: texts or numbers, as a list, a tensor, an array or a column of a table.
        n: the number of rows.
        noun: the name of the values in errors, such as "labels".

    Raises:
        InputError: there is not one value per row; a row has no value (None, NaN, masked, or a text that
            spells a missing value); or a value can't be a name.
    """
    # Texts of an array that several metrics ask about, one after the other.
    if type(values) is np.ndarray and values.dtype.kind == "U" and values.shape == (n,):
        texts: NDArray[np.str_] = values
        if not np.isin(texts, _SPELLINGS).any():
            return texts
    # As objects: numpy would turn a NaN among texts into the text "nan".
    column = plain_array(values, noun, dtype=object)
    if column.shape != (n,):
        raise InputError(f"{noun}: expected {n}, one per row, got shape {column.shape}")
    elements = column.tolist()
    absent = np.isnat(column).tolist() if column.dtype.kind in "mM" else map(is_missing, elements)
    for row, (element, missing) in enumerate(zip(elements, absent, strict=True)):
        if missing and isinstance(element, str | bytes):
            raise InputError(
                f"{noun}: row {row} has {element!r}, which is how a missing value is written; "
                "name it otherwise, or leave the row out"
            )
        if missing:
            raise InputError(f"{noun}: row {row} has none (None or NaN); give it one, or leave the row out")
        if isinstance(element, _SEVERAL):
            raise InputError(
                f"{noun}: row {row} has a {type(element).__name__}; expected a text or a number per row"
            )
    if column.dtype.kind not in "OS":
        return column.astype(str)
    # Element by element: numpy turns 1 and 2**63 together into floats, which gives several numbers one name.
    # Equal numbers of different types (1 and 1.0) get the name of the first.
    known: dict[object, str] = {}
    return np.array([_name(element, row, noun, known) for row, element in enumerate(elements)], dtype=str)


def _name(element: object, row: int, noun: str, names: dict[object, str]) -> str:
    try:
        if element not in names:
            names[element] = element.decode("utf-8") if isinstance(element, bytes) else str(element)
        return names[element]
    except (TypeError, ValueError) as error:  # it can't be compared, or can't be written out
        raise InputError(
            f"{noun}: row {row} has a {type(element).__name__} that is no name ({str(error)[:120]}); "
            "expected a text or a number per row"
        ) from error


def codes_of(names: ArrayLike) -> NDArray[np.intp]:
    """Return the class, or the group, of each row as a number 0 … c−1, in sorted order of the c names."""
    codes: NDArray[np.intp] = np.unique(np.asarray(names), return_inverse=True)[1].reshape(-1)
    return codes


def count_of(names: ArrayLike) -> int:
    """Return how many different names there are."""
    return len(np.unique(np.asarray(names)))


def is_missing(value: object) -> bool:
    """Whether a value means that there is none: None, NaN, NaT, pandas' NA, or a text that spells them."""
    if isinstance(value, bytes):
        return value.decode("latin-1") in _SPELT
    if value is None or isinstance(value, str):
        return value is None or value in _SPELT
    if isinstance(value, _SEVERAL):
        return False
    try:
        return bool(value != value)
    except TypeError:  # comparing pandas' NA gives neither True nor False
        return True
