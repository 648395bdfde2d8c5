"""Files written whole, in the one place that writes; and files that are read with suspicion."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING

from alignbench.errors import UnwritableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEMPORARY = ".tmp-"
_PROBE_BYTES = 4096  # a block: on a full disk an empty file may still be made


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write `path` into one line that names it.

    Raises:
        UnwritableError: the system refused.
    """
    try:
        yield
    except OSError as error:
        raise UnwritableError(path, error.strerror or str(error)) from error


@contextlib.contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Give a temporary file's path beside `path`, and put it in place in one step when it has been filled.

    Whoever reads `path`, also after a power cut, finds the old file or the new one, never half of one. No
    two writers have the same temporary file, on whatever machines they are.

    Args:
        path: where the file is to be; its folder is there. The temporary file ends like it.
        sync: wait until it is on the disk; without, a power cut may leave the new file empty.

    Raises:
        UnwritableError: there is no room, no right to write, or something else is in its place.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}{path.suffix}")
    try:
        with writing(path):
            yield temporary
            if sync:
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):  # in a folder that can't be written there is none
            temporary.unlink()
    if sync:
        _sync_folder(path.parent)


# A pipe without a writer must not block the one who opens it; what it is is asked of what was opened.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)
_LINKED = "a link, or a file in the place of a folder, is in its path; neither is followed"


class UnfitFileError(ValueError):
    """A file is not one that is read: not regular, too large, or behind a link."""


def read_regular(path: Path, most: int | None = None, *, root: Path | None = None) -> bytes:
    """Return the content of a regular file; a pipe in its place is never waited for.

    It is opened once, and all that is asked of it is asked of what was opened: it can't be exchanged between
    a check and the reading.

    Args:
        path: the file.
        most: a file of more bytes is refused; None takes any.
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
        if most is not None and status.st_size > most:
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
    """Let `write` fill a temporary file beside `path`, then put it in place in one step; see `replacing`."""
    with replacing(path) as temporary:
        write(temporary)


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path` atomically."""
    write_atomic(path, lambda temporary: temporary.write_bytes(content))


def append_line(path: Path, line: bytes) -> None:
    r"""Append a line, without its `\n`, and have it on the disk before returning.

    A line that a killed writer left unfinished is cut off first.

    Raises:
        UnwritableError: there is no room, no right to write, or something else is in its place.
    """
    make_folder(path.parent)
    with writing(path), path.open("ab+", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                end = file.read().rfind(b"\n") + 1
                file.truncate(end)
        try:
            left = memoryview(line + b"\n")
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # whoever tries again must not find the line, or half of it
                file.truncate(end)
            raise


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, if it is not there yet.

    Raises:
        UnwritableError: it can't be made.
    """
    try:
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
    except UnwritableError as error:
        if isinstance(error.__cause__, FileExistsError | NotADirectoryError):
            raise UnwritableError(path, "there is a file where a folder is needed") from error
        raise


def claim_folder(path: Path) -> Path:
    """Make a folder that nobody else has, and return it: `path`, or `path-2` and so on where it is taken.

    Making it is what claims the name, so two processes never come to share one.

    Raises:
        UnwritableError: it can't be made.
    """
    make_folder(path.parent)
    claimed, again = path, 1
    with writing(path.parent):
        while True:
            with contextlib.suppress(FileExistsError):
                claimed.mkdir()
                return claimed
            again += 1
            claimed = path.with_name(f"{path.name}-{again}")


def try_writing(folder: Path) -> None:
    """Write a small file into a folder, which is made if need be, and take it away again.

    Raises:
        UnwritableError: files can't be written there.
    """
    make_folder(folder)
    probe = folder / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        with writing(folder), probe.open("xb") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the system can."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # the file is in its place, and some file systems sync no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
