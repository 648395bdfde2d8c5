"""The folder of a page, which is locked while the page runs; the next page removes it if one was killed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filelock import BaseFileLock

_PREFIX = "alignbench-ui-"
_LOCK = ".lock"


@contextmanager
def claimed_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder that is private to this page, and remove it afterwards.

    Folders that killed pages have left are removed first. A page holds the lock in its folder while it runs;
    the system releases the lock however the page ends.

    Args:
        parent: the folder to create it in; None for the system's folder for temporary files.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    sweep(place)
    folder, lock = _claim(place)
    try:
        yield folder
    finally:
        _remove(folder, lock)


def sweep(place: Path) -> None:
    """Remove the folders of pages that no longer run, except those of other users."""
    from filelock import FileLock, Timeout

    for folder in sorted(place.glob(f"{_PREFIX}*")):
        path = folder / _LOCK
        if not _is_own(folder) or not path.is_file() or path.is_symlink():
            continue
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError, NotImplementedError):
            continue  # the page runs, or that can't be determined
        _remove(folder, lock)


def _remove(folder: Path, lock: BaseFileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()
    shutil.rmtree(folder, ignore_errors=True)  # again, as some systems do not remove a locked file


def _claim(place: Path) -> tuple[Path, BaseFileLock]:
    """Create a folder and lock it; try again if another page removed it before it was locked."""
    from filelock import FileLock, Timeout

    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        lock = FileLock(folder / _LOCK)
        with suppress(Timeout):
            lock.acquire(timeout=0)
            if (folder / _LOCK).exists():
                return folder, lock
            lock.release()


def _is_own(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    owned = sys.platform == "win32" or status.st_uid == os.getuid()
    return owned and folder.is_dir() and not folder.is_symlink()
