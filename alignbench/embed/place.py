"""Where cached embeddings are: the user's cache folder, by the rules of the platform."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "ALIGNBENCH_CACHE"


def default_root() -> Path:
    """Return the folder of cached embeddings: `ALIGNBENCH_CACHE`, else the platform's cache folder."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    return _cache_home() / "alignbench" / "embeddings"


def _cache_home() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is invalid, and ignored.
    return Path(chosen) if Path(chosen).is_absolute() else Path.home() / ".cache"
