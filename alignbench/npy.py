"""Opening untrusted .npy files: memory-mapped, never unpickled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import InputError
from alignbench.paths import exists, is_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_MAGIC = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"


def open_npy(path: Path) -> NDArray[Any]:
    """Return the array of a .npy file, memory-mapped, so that only the parts that are used are read.

    Raises:
        InputError: there is no such file, `np.save` did not write it, it holds Python objects, or it is
            truncated. The message leaves the file's name to the caller.
    """
    if not is_file(path):
        raise InputError("not a regular file" if exists(path) else "there is no such file")
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise InputError(f"can't be read ({error.strerror})") from error
    if start.startswith(_ZIP):
        raise InputError("an archive (.npz); expected one array per file, as np.save(file, values) writes it")
    if start != _MAGIC:
        raise InputError("not a .npy file; expected what np.save(file, values) writes")
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy's header parser raises whatever a hostile header makes it raise
        reason = " ".join(str(error).split()) or type(error).__name__
        if "Python objects" in reason:
            raise InputError(
                "it holds Python objects (a pickle), which are never read; "
                "save numbers: np.save(file, np.asarray(values, dtype='float32'))"
            ) from error
        raise InputError(f"a broken or cut-off .npy file ({reason[:120]})") from error
    return array
