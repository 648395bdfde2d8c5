"""Files that are whole or not there: written beside, synced, then put in place."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TEMPORARY = ".tmp-"
SET_ASIDE = ".bad"


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` at `path`, so that no reader and no crash ever sees a part of it."""
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def sweep(folder: Path, *, temporaries_after: float = 3600.0, set_aside_after: float = 7 * 86400.0) -> None:
    """Delete what killed writers left, and what was set aside, once it is older than so many seconds.

    By age, because a temporary of this minute may be another process's.
    """
    now = time.time()
    for path in folder.iterdir():
        limit = temporaries_after if path.name.startswith(TEMPORARY) else set_aside_after
        if path.name.startswith(TEMPORARY) or path.suffix == SET_ASIDE:
            # Another process may sweep at the same time.
            with contextlib.suppress(FileNotFoundError):
                if now - path.stat().st_mtime > limit:
                    path.unlink()


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
