"""Arrays as a user hands them over: of numpy, torch, pandas or plain lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray


def plain_array(value: ArrayLike | Any, name: str, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Return `value` as an array of numpy, nothing of it lost.

    Args:
        value: an array, a tensor, a column or a table of pandas, or lists.
        name: what it is called in errors.
        dtype: of the elements of what is no array yet; None: numpy chooses.

    Raises:
        InputError: it can't be one (ragged lists, a sparse tensor), or some of it is masked.
    """
    if isinstance(value, np.ma.MaskedArray) and (masked := np.ma.getmaskarray(value)).any():
        # np.asarray would hand over what is under the mask.
        raise InputError(
            f"{name}: {int(masked.sum())} of {masked.size} values are masked, the first in row "
            f"{np.argwhere(masked)[0, 0]}; leave such rows out"
        )
    try:
        if hasattr(value, "detach"):  # a torch tensor, without importing torch
            tensor = value.detach().cpu()
            # numpy has no bfloat16 and none of the smaller kinds; each of their numbers is one of float64.
            small = tensor.is_floating_point() and tensor.dtype.itemsize < 4
            return np.asarray((tensor.double() if small else tensor).numpy())
        return np.asarray(value, dtype=None if isinstance(value, np.ndarray) else dtype)
    except Exception as error:  # whatever a library raises that doesn't make an array of what it has
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: can't be made an array ({reason[:160]})") from error
