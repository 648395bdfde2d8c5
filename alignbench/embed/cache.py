"""The store of embeddings: immutable, checksummed shards under a key of everything that shapes a vector."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import warnings
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench import paths
from alignbench.embed.files import SET_ASIDE, sweep
from alignbench.embed.mishaps import WAY_OUT, UnsavedVectors
from alignbench.errors import AlignbenchWarning, ConfigError, InputError, UnwritableError
from alignbench.files import make_folder, read_regular, try_writing, write_bytes, writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

ROWS_PER_SHARD = 256
# Part of every key: increase it when the meaning of stored data changes, and old shards are never read again.
FORMAT = 2  # 1 could contain vectors of checkpoints that are now refused

_INDEX = "index.json"
_KEY = "key.json"
_SUFFIX = ".safetensors"
_log = logging.getLogger(__name__)


def default_root() -> Path:
    """Return the folder of embeddings that outlive a run."""
    return paths.cache_home() / "embeddings"


class DamagedShardWarning(AlignbenchWarning):
    """A shard of the cache differs from what was written; its vectors are recomputed."""


class EmbeddingStore:
    """Embeddings on disk, by key and item.

    Args:
        root: the folder, created if necessary; None for a temporary one that is deleted with this object.

    Raises:
        ConfigError: no temporary folder can be created.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = _temporary_root() if root is None else root
        self._spare = UnsavedVectors(self.root)
        if root is None:
            # At the latest when the interpreter ends; TemporaryDirectory would warn that it was not closed.
            weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)

    def shelf(self, key: Mapping[str, Any]) -> Shelf:
        """Return the part of the store for one model, output, dtype and preprocessing; this writes nothing.

        Args:
            key: everything that shapes a vector besides its item, as JSON-compatible data.
        """
        text = json.dumps({**key, "format": FORMAT}, sort_keys=True, ensure_ascii=False)
        name = hashlib.sha256(text.encode()).hexdigest()
        return Shelf(self.root / name[:2] / name, text, self._spare)

    def try_writing(self) -> None:
        """Write a small file into the store and delete it again.

        Raises:
            ConfigError: embeddings can't be written there.
        """
        try:
            try_writing(self.root)
        except UnwritableError as error:
            raise ConfigError(
                f"the embedding cache {self.root} can't be written ({error.why}); {WAY_OUT}"
            ) from error


class Shelf:
    """The vectors of one key: item (a sha256 in hex) -> float32 array, all of one shape.

    A shard's name is the sha256 of its bytes, so every read checks them, and two writers of the same rows
    write the same file. The index says which shard has which item; it only saves reading all shards, and is
    rebuilt from them whenever it disagrees with the folder.

    Args:
        folder: its folder, created by the first `lock` or `write`.
        key: what the vectors depend on, as JSON, for people who look into the folder.
        spare: the store's place for rows that can't be written.
    """

    def __init__(self, folder: Path, key: str = "{}", spare: UnsavedVectors | None = None) -> None:
        self.folder = folder
        self._key = key
        self._spare = UnsavedVectors(folder) if spare is None else spare
        self._written: dict[str, list[str]] = {}

    def read(self, items: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors of those items that the store has.

        Shards that are damaged or unreadable are set aside with one `DamagedShardWarning`, and their items
        are missing.
        """
        kept = self._spare.rows(self.folder)
        found = {item: kept[item] for item in items if item in kept}
        wanted = set(items) - found.keys()
        damaged: dict[Path, str] = {}
        for shard, held in self._index(damaged).items():
            if not wanted.isdisjoint(held):
                rows = self._rows(shard, damaged)
                found |= {item: rows[item] for item in wanted.intersection(rows)}
                wanted -= found.keys()
        if new := {path: why for path, why in damaged.items() if path not in self._spare.damaged}:
            self._spare.damaged.update(new)
            self._say(new)
        return found

    def write(self, items: Sequence[str], vectors: Vectors) -> None:
        """Add one shard; if it can't be written, warn once and keep the rows in memory.

        Args:
            items: the sha256 of each row, in hex.
            vectors: `[len(items), ...]`, finite.

        Raises:
            InputError: the lengths differ, or a value is not finite.
        """
        from safetensors.numpy import save

        if len(items) != len(vectors) or not np.isfinite(vectors).all():
            raise InputError(
                f"a shard is of finite rows, one an item; got {vectors.shape} for {len(items)} items"
            )
        names = np.frombuffer(bytes.fromhex("".join(items)), dtype=np.uint8).reshape(len(items), 32)
        content = save({"items": names, "vectors": np.ascontiguousarray(vectors, dtype=np.float32)})
        shard = hashlib.sha256(content).hexdigest()
        try:
            self._make()
            write_bytes(self.folder / (shard + _SUFFIX), content)
        except UnwritableError as error:
            self._spare.keep(self.folder, items, vectors)
            self._spare.say(error)
            return
        # The next read saves the index once: saving it after each shard would write data that grows with its
        # size.
        self._written[shard] = list(items)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from computing the same; if locking is not possible, only log that."""
        from filelock import FileLock, Timeout

        try:
            self._make()
        except UnwritableError as error:
            self._spare.say(error)
            yield
            return
        lock = FileLock(self.folder / "lock")
        try:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                _log.info("another process is embedding with %s; waiting for it", self.folder.name[:8])
                lock.acquire()
        except (OSError, NotImplementedError) as error:
            _log.warning("no file lock on %s (%s): other processes may compute the same", self.folder, error)
        try:
            yield
        finally:
            lock.release()

    def _make(self) -> None:
        make_folder(self.folder)
        with writing(self.folder):
            if not paths.exists(self.folder / _KEY):
                write_bytes(self.folder / _KEY, self._key.encode())
            sweep(self.folder)

    def _rows(self, shard: str, damaged: dict[Path, str]) -> dict[str, Vectors]:
        """Return a shard's rows by item; none, with a note, if it is damaged or unreadable."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.folder / (shard + _SUFFIX)
        try:
            content = read_regular(path)
            if hashlib.sha256(content).hexdigest() != shard:
                raise ValueError("its sha256 is not its name")
            tensors = load(content)
            names = (row.tobytes().hex() for row in tensors["items"])
            return dict(zip(names, tensors["vectors"], strict=True))
        except FileNotFoundError:
            return {}
        except OSError as error:
            damaged[path] = f"it can't be read: {error.strerror or error}"
        except (ValueError, KeyError, SafetensorError) as error:
            damaged[path] = str(error)
        with suppress(OSError):  # another process was faster, or the folder is read-only
            path.replace(path.with_suffix(SET_ASIDE))
        return {}

    def _say(self, damaged: Mapping[Path, str]) -> None:
        (first, why), more = next(iter(damaged.items())), len(damaged) - 1
        others = f", and {more} more," if more else ""
        aside = "left where it is" if paths.exists(first) else f"set aside as {first.stem[:8]}...{SET_ASIDE}"
        warnings.warn(
            f"{first}{others} is damaged ({why}); {aside}, its embeddings are computed anew",
            DamagedShardWarning,
            stacklevel=4,
        )

    def _index(self, damaged: dict[Path, str]) -> dict[str, list[str]]:
        """Return shard -> its items, for exactly the shards in the folder."""
        try:
            there = sorted(path.stem for path in self.folder.glob("[!.]*" + _SUFFIX))  # no temporaries
        except OSError as error:
            damaged[self.folder] = f"it can't be read: {error.strerror or error}"
            return {}
        saved = self._saved_index()
        known = {**saved, **self._written}
        index = {
            shard: known[shard] if shard in known else list(self._rows(shard, damaged)) for shard in there
        }
        if index.keys() != saved.keys():
            with suppress(UnwritableError):  # it only saves time
                write_bytes(self.folder / _INDEX, json.dumps(index, sort_keys=True).encode())
        return index

    def _saved_index(self) -> dict[str, list[str]]:
        try:
            saved = json.loads(read_regular(self.folder / _INDEX))
            return {str(shard): [str(item) for item in items] for shard, items in saved.items()}
        except OSError:  # it only saves time
            return {}
        except (ValueError, AttributeError, TypeError, RecursionError):
            _log.warning("the index of %s is not readable; made anew from its shards", self.folder)
            return {}


def _temporary_root() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="alignbench-"))
    except OSError as error:
        raise ConfigError(
            f"no temporary folder for embeddings can be made ({error.strerror or error}); set TMPDIR to a "
            "folder that can be written"
        ) from error
