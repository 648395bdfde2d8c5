"""Tidying the cache: files that killed writers left, and files that were set aside."""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING

from alignbench.files import TEMPORARY

if TYPE_CHECKING:
    from pathlib import Path

SET_ASIDE = ".bad"


def sweep(folder: Path, *, temporaries_after: float = 3600.0, set_aside_after: float = 7 * 86400.0) -> None:
    """Delete what killed writers left and what was set aside, once it is older than this many seconds.

    The age matters, because a recent temporary file may be another process's.
    """
    now = time.time()
    for path in folder.iterdir():
        limit = temporaries_after if path.name.startswith(TEMPORARY) else set_aside_after
        if path.name.startswith(TEMPORARY) or path.suffix == SET_ASIDE:
            # Another process may clean up at the same time, and files that can't be deleted do no harm.
            with contextlib.suppress(OSError):
                if now - path.lstat().st_mtime > limit:
                    _delete(path)


def _delete(path: Path) -> None:
    """Delete a file, or a folder in a file's place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
