"""GGUF files as safetensors, stored in the cache: either whole and checked, or not there."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench import paths
from alignbench.errors import AlignbenchWarning, ConfigError, ModelError, UnwritableError
from alignbench.files import read_regular, write_bytes
from alignbench.weights.digest import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_MANIFEST = "conversion.json"
_MAKING = ".making-"
_LOCK = "lock"
_LONGEST_PAUSE = 3600.0  # seconds between two writes of a conversion
_log = logging.getLogger(__name__)


class DamagedConversionWarning(AlignbenchWarning):
    """A conversion in the cache differs from what was written; the file is converted again."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """One folder of the cache of conversions.

    Args:
        folder: its path.
        source: the file that was converted.
        sums: file name -> sha256; empty if it can't be used: it is unfinished, or an earlier version of
            alignbench made it, which did not check its input.
        size: its size in bytes.
        written: the time of writing, in seconds since the epoch.
    """

    folder: Path
    source: str
    sums: dict[str, str]
    size: int
    written: float

    @property
    def usable(self) -> bool:
        """Whether a run would use it if it is whole."""
        return bool(self.sums)

    @property
    def in_progress(self) -> bool:
        """Whether a process may still be writing it; otherwise, an unfinished one was abandoned."""
        return self.folder.name.startswith(_MAKING) and time.time() - self.written < _LONGEST_PAUSE

    def damaged(self) -> list[Path]:
        """Return the files that are missing or differ from what was written; this reads all of them."""
        return [self.folder / name for name, said in self.sums.items() if _sum(self.folder / name) != said]


def root() -> Path:
    """Return the folder of conversions."""
    return paths.cache_home() / "converted"


def kept(key: str, source: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of a conversion, which is created if it is missing or damaged.

    All its files are read and compared with their checksums once per process.

    Args:
        key: what distinguishes conversions.
        source: the file that is converted, for people.
        make: fills the folder that it receives.

    Raises:
        ConfigError: the folder can't be written.
    """
    folder = root() / key
    if _is_whole(folder):
        return folder
    try:
        root().mkdir(parents=True, exist_ok=True)
        with _alone() as alone:
            # Another process may have been faster.
            if _is_whole(folder):
                return folder
            if alone:
                sweep()
            making = root() / f"{_MAKING}{key}"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            try:
                make(making)
                sums = {path.name: file_digest(path) for path in sorted(making.iterdir())}
                write_bytes(making / _MANIFEST, json.dumps({"source": source, "sha256": sums}).encode())
                shutil.rmtree(folder, ignore_errors=True)
                making.rename(folder)
            finally:
                shutil.rmtree(making, ignore_errors=True)
    except (OSError, UnwritableError) as error:
        why = error.why if isinstance(error, UnwritableError) else error.strerror or error
        raise ConfigError(
            f"{root()}: the conversion of {source} can't be written there ({why}); set ALIGNBENCH_CACHE to "
            "another folder"
        ) from error
    return folder


def held() -> list[Conversion]:
    """Return the contents of the folder of conversions by name, including unusable ones."""
    folders = sorted(path for path in root().glob("*") if path.is_dir())
    return [_read(folder) for folder in folders]


def sweep() -> None:
    """Delete what a killed process left. Only for the holder of the lock, while nobody else is writing."""
    for left in root().glob(f"{_MAKING}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _alone() -> Iterator[bool]:
    """Let one process at a time convert; yield whether that is certain, as some file systems lack locks."""
    from filelock import FileLock, Timeout

    lock = FileLock(root() / _LOCK)
    try:
        lock.acquire(timeout=0)
        alone = True
    except Timeout:
        _log.info("another process is converting a GGUF file; waiting for it")
        lock.acquire()
        alone = True
    except NotImplementedError:
        alone = False
    try:
        yield alone
    finally:
        lock.release()


def _is_whole(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    conversion = _read(folder)
    damaged = conversion.damaged() if conversion.usable else [folder / _MANIFEST]
    if damaged:
        warnings.warn(
            f"{damaged[0]} is damaged (its sha256 is not the one that was noted); {conversion.source} is "
            f"converted anew",
            DamagedConversionWarning,
            stacklevel=4,
        )
    return not damaged


def _read(folder: Path) -> Conversion:
    source, sums = _said(folder / _MANIFEST)
    if folder.name.startswith(_MAKING):
        source, sums = "an unfinished conversion", {}
    files = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)  # noqa: PTH118
    states = [state for path in files if (state := _state(path)) is not None]
    size = sum(state.st_size for state in states)
    # Somebody may be about to write into an empty folder.
    latest = states or [state for state in [_state(folder)] if state is not None]
    written = max((state.st_mtime for state in latest), default=0.0)
    return Conversion(folder, source, sums, size, written)


def _state(path: Path | str) -> os.stat_result | None:
    with contextlib.suppress(OSError):  # another process just moved or removed it
        return os.stat(path)  # noqa: PTH116
    return None


def _said(manifest: Path) -> tuple[str, dict[str, str]]:
    otherwise: tuple[str, dict[str, str]] = ("a conversion of an earlier version", {})
    try:
        said: Any = json.loads(read_regular(manifest))
        sums = {str(name): str(value) for name, value in said["sha256"].items()}
        plain = all("/" not in name and "\\" not in name for name in sums)
        return (str(said["source"]), sums) if plain else otherwise
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return otherwise


def _sum(path: Path) -> str | None:
    try:
        return file_digest(path)
    except (OSError, ModelError):  # it does not exist, or is not a file
        return None
