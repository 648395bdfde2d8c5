"""The store of embeddings: immutable, checksummed shards under a key of all that shapes a vector."""

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
from alignbench.errors import AlignbenchWarning, ConfigError, InputError
from alignbench.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

ROWS_PER_SHARD = 256
# Part of every key: raise it when the meaning of what is stored changes, and old shards are never read again.
FORMAT = 1

_INDEX = "index.json"
_KEY = "key.json"
_SUFFIX = ".safetensors"
_log = logging.getLogger(__name__)


def default_root() -> Path:
    """Return the folder of embeddings that outlive a run."""
    return paths.cache_home() / "embeddings"


class DamagedShardWarning(AlignbenchWarning):
    """A shard of the cache is not what was written; its vectors are computed anew."""


class EmbeddingStore:
    """Embeddings on disk, by key and item.

    Args:
        root: the folder, made if need be; None is a temporary one that goes with this object.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="alignbench-")) if root is None else root
        if root is None:
            # At the latest when the interpreter ends; TemporaryDirectory would warn that nobody closed it.
            weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)

    def shelf(self, key: Mapping[str, Any]) -> Shelf:
        """Return the part of the store for one model, output, dtype and preprocessing; nothing is written.

        Args:
            key: all that shapes a vector besides its item; anything that JSON can say.
        """
        text = json.dumps({**key, "format": FORMAT}, sort_keys=True, ensure_ascii=False)
        name = hashlib.sha256(text.encode()).hexdigest()
        return Shelf(self.root / name[:2] / name, text)


class Shelf:
    """The vectors of one key: item (a sha256 in hex) -> float32 array, all of one shape.

    A shard's name is the sha256 of its bytes, so every read checks them, and two writers of the same rows
    write the same file. The index says which items are in which shard; it only saves reading them all, and is
    made anew from the shards wherever it disagrees with the folder.

    Args:
        folder: its place, made by the first `lock` or `write`.
        key: what the vectors depend on, as JSON: for people who look into the folder.
    """

    def __init__(self, folder: Path, key: str = "{}") -> None:
        self.folder = folder
        self._key = key
        self._written: dict[str, list[str]] = {}

    def read(self, items: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors of those items that are there.

        A damaged shard is set aside with a `DamagedShardWarning`, and its items are missing.
        """
        wanted = set(items)
        found: dict[str, Vectors] = {}
        for shard, held in self._index().items():
            if not wanted.isdisjoint(held):
                rows = self._rows(shard)
                found |= {item: rows[item] for item in wanted.intersection(rows)}
                wanted -= found.keys()
        return found

    def write(self, items: Sequence[str], vectors: Vectors) -> None:
        """Add one shard.

        Args:
            items: the sha256 of each row, in hex.
            vectors: `[len(items), ...]`, finite.

        Raises:
            InputError: the lengths differ, or a value is not finite.
            ConfigError: the folder can't be written.
        """
        from safetensors.numpy import save

        if len(items) != len(vectors) or not np.isfinite(vectors).all():
            raise InputError(
                f"a shard is of finite rows, one an item; got {vectors.shape} for {len(items)} items"
            )
        names = np.frombuffer(bytes.fromhex("".join(items)), dtype=np.uint8).reshape(len(items), 32)
        content = save({"items": names, "vectors": np.ascontiguousarray(vectors, dtype=np.float32)})
        shard = hashlib.sha256(content).hexdigest()
        self._make()
        try:
            write_bytes(self.folder / (shard + _SUFFIX), content)
        except OSError as error:
            raise ConfigError(_unwritable(self.folder, error)) from error
        # The index is saved once, by the next read: after each shard it would be written a number of times
        # that grows with its size.
        self._written[shard] = list(items)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from computing the same; where the file system has no locks, only say so.

        Raises:
            ConfigError: the folder can't be written.
        """
        from filelock import FileLock, Timeout

        self._make()
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
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / _KEY).exists():
                write_bytes(self.folder / _KEY, self._key.encode())
            sweep(self.folder)
        except OSError as error:
            raise ConfigError(_unwritable(self.folder, error)) from error

    def _rows(self, shard: str) -> dict[str, Vectors]:
        """Return a shard's rows by item; none, with a warning, if it is damaged."""
        from safetensors.numpy import load

        path = self.folder / (shard + _SUFFIX)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return {}
        if hashlib.sha256(content).hexdigest() != shard:
            with suppress(OSError):  # another process was first, or the folder is read-only
                path.replace(path.with_suffix(SET_ASIDE))
            warnings.warn(
                f"{path} is damaged (its sha256 is not its name); set aside as {shard[:8]}...{SET_ASIDE}, "
                "its embeddings are computed anew",
                DamagedShardWarning,
                stacklevel=4,
            )
            return {}
        tensors = load(content)
        return dict(zip((row.tobytes().hex() for row in tensors["items"]), tensors["vectors"], strict=True))

    def _index(self) -> dict[str, list[str]]:
        """Return shard -> its items, for exactly the shards in the folder."""
        there = sorted(path.stem for path in self.folder.glob("[!.]*" + _SUFFIX))  # no temporaries
        saved = self._saved_index()
        known = {**saved, **self._written}
        index = {shard: known[shard] if shard in known else list(self._rows(shard)) for shard in there}
        if index.keys() != saved.keys():
            with suppress(OSError):  # it only saves time
                write_bytes(self.folder / _INDEX, json.dumps(index, sort_keys=True).encode())
        return index

    def _saved_index(self) -> dict[str, list[str]]:
        try:
            saved = json.loads((self.folder / _INDEX).read_bytes())
            return {str(shard): [str(item) for item in items] for shard, items in saved.items()}
        except OSError:  # it only saves time
            return {}
        except (ValueError, AttributeError, TypeError):
            _log.warning("the index of %s is not readable; made anew from its shards", self.folder)
            return {}


def _unwritable(folder: Path, error: OSError) -> str:
    return (
        f"the embedding cache {folder} can't be written ({error.strerror or error}); set ALIGNBENCH_CACHE to "
        "another folder, or run with --align-no-embedding-cache"
    )
