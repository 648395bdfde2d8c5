"""Files written whole (beside, synced, then put in place), and files that are read with suspicion."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEMPORARY = ".tmp-"

# A pipe without a writer must not block the one who opens it; what it is is asked of what was opened.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)
_LINKED = "a link, or a file in the place of a folder, is in its path; neither is followed"


class UnfitFileError(ValueError):
    """A file is not one that is read: not regular, too large, or behind a link."""


def read_regular(path: Path, most: int, *, root: Path | None = None) -> bytes:
    """Return the content of a regular file.

    It is opened once, and all that is asked of it is asked of what was opened: it can't be exchanged between
    a check and the reading.

    Args:
        path: the file.
        most: a file of more bytes is refused.
        root: a folder that the file is in. Every step from it to the file is taken without following a link,
            so nothing outside is read, whatever was put in the file's place. None follows links.

    Raises:
        UnfitFileError: not a regular file, too large, not below `root`, or a link leads to it.
        OSError: it is not there, or can't be read.
    """
    handle = _opened(path, root)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitFileError("not a regular file")
        if status.st_size > most:
            raise UnfitFileError(f"{status.st_size:,} bytes; at most {most:,} are read")
        with os.fdopen(handle, "rb", closefd=False) as stream:
            content = stream.read(status.st_size + 1)
    finally:
        os.close(handle)
    if len(content) != status.st_size:
        raise UnfitFileError("it changed while it was read")
    return content


def _opened(path: Path, root: Path | None) -> int:
    """Return the file's descriptor, its path walked down from the root without following a link."""
    if root is None:
        return os.open(path, _READ)
    if path == root or not path.is_relative_to(root) or ".." in path.parts:
        raise UnfitFileError(f"not a file below {root}")
    *folders, name = path.relative_to(root).parts
    if os.open not in os.supports_dir_fd:  # Windows: the best that can be done is to look first
        if path.resolve() != root.resolve().joinpath(*folders, name):
            raise UnfitFileError(_LINKED)
        return os.open(path, _READ)
    place = os.open(root, _FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER | _NO_LINK, dir_fd=place)
            os.close(place)
            place = below
        return os.open(name, _READ | _NO_LINK, dir_fd=place)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR):
            raise UnfitFileError(_LINKED) from error
        raise
    finally:
        os.close(place)


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

    Whoever reads `path`, also after a power cut, finds the old file or the new one, never half of one.

    Args:
        path: where the file is to be; its folder is there.
        write: fills the path that it gets, which ends like `path`.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path` atomically."""
    write_atomic(path, lambda temporary: temporary.write_bytes(content))


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
