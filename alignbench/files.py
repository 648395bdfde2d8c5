"""Writing files atomically, in the only module that writes; and reading files that may be hostile."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from typing import TYPE_CHECKING

from alignbench.errors import UnwritableError
from alignbench.paths import exists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEMPORARY = ".tmp-"
_PROBE_BYTES = 4096  # one block: on a full disk, an empty file can often still be created


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write `path` into one line that names the path.

    Raises:
        UnwritableError: the system refused.
    """
    try:
        yield
    except OSError as error:
        raise UnwritableError(path, error.strerror or str(error)) from error


@contextlib.contextmanager
def replacing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield the path of a temporary file beside `path`; move it into place in one step once it is filled.

    Whoever reads `path`, even after a power cut, finds the old file or the new one, never half of one. No two
    writers share a temporary file, even on different machines.

    Args:
        path: where the file is to be; its folder exists. The temporary file has the same suffix.
        sync: whether to wait until the file is on the disk; otherwise a power cut may leave the new file
            empty.

    Raises:
        UnwritableError: there is no space, no permission to write, or something else is in its place.
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
        with contextlib.suppress(OSError):  # in a folder that can't be written there is no such file
            temporary.unlink()
    if sync:
        _sync_folder(path.parent)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; move it into place in one step once it is filled.

    A killed writer leaves a folder whose name begins with `.tmp-`, and nothing at `path`.

    Args:
        path: where the folder is to be: there is none yet, or an empty one.

    Raises:
        UnwritableError: something is at `path`, there is no space, or no permission to write.
    """
    make_folder(path.parent)
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        with writing(path):
            check_vacant(path)
            temporary.mkdir()
            yield temporary
            _sync_folder(temporary)
            if path.is_dir():
                path.rmdir()
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _sync_folder(path.parent)


def check_vacant(path: Path) -> None:
    """Raise unless there is nothing at `path`, or an empty folder.

    Raises:
        UnwritableError: something is there.
    """
    with writing(path):
        if os.path.lexists(path) and not path.is_dir():
            raise UnwritableError(path, "there is a file where a folder is needed")
        if path.is_dir() and next(path.iterdir(), None) is not None:
            raise UnwritableError(path, "the folder is not empty")


# Opening a pipe without a writer must not block, and the type is checked on the opened file.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | (_READ & ~os.O_RDONLY)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)
_LINKED = "a link, or a file in the place of a folder, is in its path; neither is followed"


class UnfitFileError(ValueError):
    """A file that is not read: it is not regular, too large, or behind a link."""


def read_regular(path: Path, most: int | None = None, *, root: Path | None = None) -> bytes:
    """Return the content of a regular file; a pipe in its place does not block.

    The file is opened once, and all checks are made on the opened file, so that it can't be exchanged between
    a check and the reading.

    Args:
        path: the file.
        most: the largest size in bytes; a larger file is refused. None for no limit.
        root: a folder that contains the file. No link is followed on the way from it to the file, so nothing
            outside is read, whatever was put in the file's place. None follows links.

    Raises:
        UnfitFileError: it is not a regular file, is too large, is not below `root`, or a link leads to it.
        OSError: it does not exist or can't be read.
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


def read_records(path: Path) -> bytes:
    """Return the content of a regular file to which others may append meanwhile; see `append_record`.

    It is not memory-mapped: if another machine replaces a mapped file of a shared folder, that ends the
    process.

    Raises:
        UnfitFileError: it is not a regular file.
        OSError: it does not exist or can't be read.
    """
    handle = os.open(path, _READ)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitFileError("not a regular file")
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return stream.read(status.st_size)
    finally:
        os.close(handle)


def _opened(path: Path, root: Path | None) -> int:
    """Return a descriptor of the file, reached from the root without following a link."""
    if root is None:
        return os.open(path, _READ)
    if path == root or not path.is_relative_to(root) or ".." in path.parts:
        raise UnfitFileError(f"not a file below {root}")
    *folders, name = path.relative_to(root).parts
    if os.open not in os.supports_dir_fd:  # Windows: checking beforehand is the best that can be done
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


def append_record(path: Path, record: bytes) -> None:
    """Append bytes in one call of the system, without waiting until they are on the disk.

    On a local disk, records that two processes append do not mix. A killed writer or a full disk may leave
    half a record, so whoever reads the file has to check each.

    Raises:
        UnwritableError: there is no space, no permission to write, or something else is in its place.
    """
    with writing(path):
        handle = os.open(path, _APPEND, 0o666)
        try:
            if os.write(handle, record) != len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)


def append_line(path: Path, line: bytes) -> None:
    r"""Append a line, given without its `\n`, and return when it is on the disk.

    A line that a killed writer left unfinished is cut off first.

    Raises:
        UnwritableError: there is no space, no permission to write, or something else is in its place.
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
            with contextlib.suppress(OSError):  # a retry must not find the line, or half of it
                file.truncate(end)
            raise


def make_folder(path: Path) -> None:
    """Create a folder, and the folders above it, unless it exists.

    Raises:
        UnwritableError: it can't be created.
    """
    try:
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
    except UnwritableError as error:
        if isinstance(error.__cause__, FileExistsError | NotADirectoryError):
            raise UnwritableError(path, "there is a file where a folder is needed") from error
        raise


def claim_folder(path: Path) -> Path:
    """Create a folder that nobody else uses, and return it: `path`, or `path-2` and so on if it is taken.

    Creating the folder is what claims the name, so two processes never share one.

    Raises:
        UnwritableError: it can't be created.
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
    """Write a small file into a folder, which is created if necessary, and delete it again.

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


def check_can_write(path: Path) -> None:
    """Check, before long work, that a file or a folder can be made at a path; nothing stays behind.

    Raises:
        UnwritableError: files can't be written to the nearest folder above it that exists.
    """
    folder = path.parent
    while not exists(folder):
        folder = folder.parent
    try_writing(folder)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the system supports that."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # the file is in place, and some file systems can't sync folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
