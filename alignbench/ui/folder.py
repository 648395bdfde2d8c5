"""The folder of a page: claimed while the page lives, and removed by the next start if it was killed."""

from __future__ import annotations

import os
import shutil
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
    """Give an empty folder that is private to this page, and remove it afterwards.

    What pages that were killed have left beside it is removed first. A page holds the lock in its folder as
    long as it lives; the system lets go of it however the page ends.

    Args:
        parent: where it is made; None: the system's folder for temporary files.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    sweep(place)
    folder, lock = _claim(place)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)  # where a file that is locked can't be removed


def sweep(place: Path) -> None:
    """Remove the folders of pages that do not run any more; those of other users are left alone."""
    from filelock import FileLock, Timeout

    for folder in sorted(place.glob(f"{_PREFIX}*")):
        path = folder / _LOCK
        if not _is_own(folder) or not path.is_file() or path.is_symlink():
            continue
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError, NotImplementedError):
            continue  # it runs, or nobody can tell
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _claim(place: Path) -> tuple[Path, BaseFileLock]:
    """Make a folder and hold its lock. Another page that starts now may take it for abandoned before that."""
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
    owned = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return owned and folder.is_dir() and not folder.is_symlink()
