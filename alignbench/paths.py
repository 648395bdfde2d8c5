"""Where things are: benchmarks, sample data and embedded models in a clone or a wheel; the user's cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from alignbench.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent


def suite_root() -> Path:
    """Return the folder that holds `benchmarks/` and `sample_data/`.

    Raises:
        ConfigError: neither the clone's nor the wheel's is there.
    """
    for root in (PACKAGE.parent, PACKAGE / "_suite"):
        if (root / "sample_data" / "labels.jsonl").is_file() and (root / "benchmarks").is_dir():
            return root
    raise ConfigError(
        f"no benchmarks/ and sample_data/ beside {PACKAGE} or in it; reinstall alignbench or use a clone"
    )


def benchmarks() -> Path:
    """Return the folder of the benchmark tests."""
    return suite_root() / "benchmarks"


def sample_data() -> Path:
    """Return the folder of the packaged data: labels.jsonl, images/, models/."""
    return suite_root() / "sample_data"


def models_dir() -> Path:
    """Return the folder of the embedded models."""
    return sample_data() / "models"


def cache_home() -> Path:
    """Return the folder of what can be made again: `ALIGNBENCH_CACHE`, else the platform's cache folder."""
    if chosen := os.environ.get("ALIGNBENCH_CACHE"):
        return Path(chosen).expanduser()
    return _platform_cache() / "alignbench"


def _platform_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is invalid, and ignored.
    return Path(chosen) if Path(chosen).is_absolute() else Path.home() / ".cache"
