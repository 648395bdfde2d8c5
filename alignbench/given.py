"""Arrays as users pass them: from numpy, torch or pandas, or as plain lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from alignbench.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray


@runtime_checkable
class Detaches(Protocol):
    """A tensor of torch, without importing torch."""

    def detach(self) -> Any:
        """Return it without its history."""


def plain_array(value: ArrayLike | Any, name: str, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Return `value` as a numpy array without losing any of it.

    Args:
        value: an array, a tensor, a pandas column or table, or lists.
        name: the argument's name, for errors.
        dtype: the type of elements if `value` is not an array yet; None lets numpy choose.

    Raises:
        InputError: it can't be converted (ragged lists, a sparse tensor), or some of it is masked.
    """
    if isinstance(value, np.ma.MaskedArray) and (masked := np.ma.getmaskarray(value)).any():
        # np.asarray would return the values under the mask.
        raise InputError(
            f"{name}: {int(masked.sum())} of {masked.size} values are masked, the first in row "
            f"{np.argwhere(masked)[0, 0]}; leave such rows out"
        )
    try:
        if not isinstance(value, np.ndarray) and isinstance(value, Detaches):  # the latter takes its time
            tensor = value.detach().cpu()
            # numpy has neither bfloat16 nor the smaller types; float64 represents all their numbers exactly.
            small = tensor.is_floating_point() and tensor.dtype.itemsize < 4
            return np.asarray((tensor.double() if small else tensor).numpy())
        return np.asarray(value, dtype=None if isinstance(value, np.ndarray) else dtype)
    except Exception as error:  # whatever a library raises when it can't convert its own type
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: can't be made an array ({reason[:160]})") from error
