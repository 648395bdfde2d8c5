"""Where things are: benchmarks, sample data and models in a clone or a wheel, and the user's cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from alignbench.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent


def user_path(text: str | Path, origin: str) -> Path:
    """Return a path as a user wrote it, with `~` replaced by the home folder.

    Args:
        text: the path.
        origin: the option, variable or key that it comes from, for the message.

    Raises:
        ConfigError: it is empty, it can't be a path, or the user of `~name` has no home folder.
    """
    if not str(text):
        raise ConfigError(f"{origin}: expected a path, got an empty text")
    if "\0" in str(text):
        raise ConfigError(f"{origin}: {str(text)!r} holds a NUL character, which no path has")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise ConfigError(f"{origin}: {str(text)!a} holds half a character, which no path has") from error
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # what pathlib raises if it finds no home folder
        raise ConfigError(
            f"{origin}: there is no home folder for {str(text)!r}; write the path out"
        ) from error


# pathlib raises if a name is too long or a folder is not accessible; to us, that means "not there".
def is_dir(path: str | Path) -> bool:
    """Whether an accessible folder exists there; False for text that can't be a path."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: str | Path) -> bool:
    """Whether an accessible regular file exists there; False for text that can't be a path."""
    return os.path.isfile(path)  # noqa: PTH113


def exists(path: str | Path) -> bool:
    """Whether anything accessible exists there; False for text that can't be a path."""
    return os.path.exists(path)  # noqa: PTH110


def suite_root() -> Path:
    """Return the folder that holds `benchmarks/` and `sample_data/`.

    Raises:
        ConfigError: neither the clone nor the wheel has them.
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
    """Return the folder of the built-in toy models."""
    return sample_data() / "models"


def cache_home() -> Path:
    """Return the folder of recomputable files: `ALIGNBENCH_CACHE`, else the platform's cache folder.

    Raises:
        ConfigError: the variable holds no path, or there is no home folder for the cache.
    """
    if chosen := os.environ.get("ALIGNBENCH_CACHE"):
        return user_path(chosen, "ALIGNBENCH_CACHE")
    return _platform_cache() / "alignbench"


def _platform_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches"
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    # By the XDG specification, a relative path is invalid and has to be ignored.
    return Path(chosen) if Path(chosen).is_absolute() else _home() / ".cache"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise ConfigError("no home folder to put the cache in; set ALIGNBENCH_CACHE to a folder") from error
