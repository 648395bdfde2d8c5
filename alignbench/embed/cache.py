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
from alignbench.embed.index import ITEM, Places, Record, digests, parsed
from alignbench.embed.mishaps import WAY_OUT, UnsavedVectors
from alignbench.embed.stored import Stored
from alignbench.errors import AlignbenchWarning, ConfigError, InputError, UnwritableError
from alignbench.files import (
    append_record,
    make_folder,
    read_records,
    read_regular,
    try_writing,
    write_bytes,
    writing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.embed.index import Items

    Vectors = NDArray[np.float32]

ROWS_PER_SHARD = 256
BYTES_PER_SHARD = 2**26  # patches of 256 images can be gigabytes, and a shard is read in one piece
# Part of every key: increase it when the meaning of stored data changes, and old shards are never read again.
FORMAT = 2  # 1 could contain vectors of checkpoints that are now refused

_INDEX = "index.bin"
_KEY = "key.json"
_SUFFIX = ".safetensors"
_log = logging.getLogger(__name__)


def default_root() -> Path:
    """Return the folder of embeddings that outlive a run."""
    return paths.cache_home() / "embeddings"


def rows_per_shard(row_bytes: int) -> int:
    """Return how many rows of this size go into a shard."""
    return max(1, min(ROWS_PER_SHARD, BYTES_PER_SHARD // max(row_bytes, 1)))


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
    write the same file. The index says which shard has which item; see `alignbench.embed.index`.

    Args:
        folder: its folder, created by the first `lock` or `write`.
        key: what the vectors depend on, as JSON, for people who look into the folder.
        spare: the store's place for rows that can't be written.
    """

    def __init__(self, folder: Path, key: str = "{}", spare: UnsavedVectors | None = None) -> None:
        self.folder = folder
        self._key = key
        self._spare = UnsavedVectors(folder) if spare is None else spare

    def holds(self, items: Sequence[str]) -> NDArray[np.bool_]:
        """Return which of the items the store has [n], by the index; only reading tells what is damaged."""
        with self._damage() as damaged:
            there: NDArray[np.bool_] = self._find(digests(items), damaged).shard >= 0
        for row, _ in self._unsaved(items, there):
            there[row] = True
        return there

    def read(self, items: Sequence[str]) -> Stored:
        """Return the vectors of items, in their order: the array takes the memory, and little besides.

        Shards that are damaged or unreadable are set aside with one `DamagedShardWarning`, and their items
        are missing.

        Raises:
            InputError: vectors differ in shape.
        """
        return next(self.blocks(items, max(len(items), 1)), Stored.empty(0))

    def blocks(self, items: Sequence[str], rows: int) -> Iterator[Stored]:
        """Yield what `read` returns, for this many items at a time."""
        with self._damage() as damaged:
            places = self._find(digests(items), damaged)
        for start in range(0, len(items), rows):
            block = slice(start, start + rows)
            with self._damage() as damaged:
                stored, lies = self._taken(places.part(block), damaged)
                if lies:
                    _log.warning("the index of %s is wrong; made anew from its shards", self.folder)
                    places = self._find(digests(items), damaged, trusting=False)
                    stored, _ = self._taken(places.part(block), damaged)
            for row, vector in self._unsaved(items[block], stored.there):
                stored.put([row], vector[None])
            yield stored

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
        names = digests(items)
        content = save({"items": names, "vectors": np.ascontiguousarray(vectors, dtype=np.float32)})
        record = Record(hashlib.sha256(content).hexdigest(), names)
        path = self.folder / (record.shard + _SUFFIX)
        try:
            self._make()
            new = not paths.exists(path)
            write_bytes(path, content)
        except UnwritableError as error:
            self._spare.keep(self.folder, items, vectors)
            self._spare.say(error)
            return
        if new:
            with suppress(UnwritableError):  # it only saves time
                append_record(self.folder / _INDEX, record.encoded())

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

    def _unsaved(self, items: Sequence[str], there: NDArray[np.bool_]) -> Iterator[tuple[int, Vectors]]:
        """Yield the rows that are not there but kept in memory, because they can't be written."""
        if kept := self._spare.rows(self.folder):
            for row in np.flatnonzero(~there).tolist():
                if (vector := kept.get(items[row])) is not None:
                    yield row, vector

    def _taken(self, places: Places, damaged: dict[Path, str]) -> tuple[Stored, bool]:
        """Return the vectors at these places, and whether a place was wrong."""
        stored, lies = Stored.empty(len(places.items)), False
        for name, rows in places.by_shard():
            shard = self._shard(name, damaged)
            if shard is None:
                continue
            names, vectors = shard
            at = np.minimum(places.row[rows], len(names) - 1)
            right = (names[at] == places.items[rows]).all(axis=1)
            lies |= not right.all()
            if right.any():
                stored.put(rows[right], vectors[at[right]])
        return stored, lies

    def _shard(self, name: str, damaged: dict[Path, str]) -> tuple[Items, Vectors] | None:
        """Return a shard's items and vectors; None, with a note, if it is damaged or unreadable."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.folder / (name + _SUFFIX)
        try:
            content = read_regular(path)
            if hashlib.sha256(content).hexdigest() != name:
                raise ValueError("its sha256 is not its name")
            tensors = load(content)
            items, vectors = tensors["items"], tensors["vectors"]
            if not len(vectors) or items.dtype != np.uint8 or items.shape != (len(vectors), ITEM):
                raise ValueError(f"its items have shape {items.shape}, its vectors {vectors.shape}")
            return items, vectors
        except FileNotFoundError:
            return None
        except OSError as error:
            damaged[path] = f"it can't be read: {error.strerror or error}"
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            damaged[path] = str(error)
        with suppress(OSError):  # another process was faster, or the folder is read-only
            path.replace(path.with_suffix(SET_ASIDE))
        return None

    @contextmanager
    def _damage(self) -> Iterator[dict[Path, str]]:
        """Collect what is damaged and why, and warn once of all that is new."""
        damaged: dict[Path, str] = {}
        yield damaged
        if new := {path: why for path, why in damaged.items() if path not in self._spare.damaged}:
            self._spare.damaged.update(new)
            self._say(new)

    def _say(self, damaged: Mapping[Path, str]) -> None:
        (first, why), more = next(iter(damaged.items())), len(damaged) - 1
        others = f", and {more} more," if more else ""
        aside = "left where it is" if paths.exists(first) else f"set aside as {first.stem[:8]}...{SET_ASIDE}"
        warnings.warn(
            f"{first}{others} is damaged ({why}); {aside}, its embeddings are computed anew",
            DamagedShardWarning,
            stacklevel=4,
        )

    def _find(self, items: Items, damaged: dict[Path, str], *, trusting: bool = True) -> Places:
        """Return the places of items, after making the index one of exactly the shards in the folder."""
        saved, whole = self._saved_records() if trusting else ([], False)
        try:
            # After the index is read, so that no shard of another process seems to be lost.
            there = {path.stem for path in self.folder.glob("[!.]*" + _SUFFIX)}  # no temporaries
        except OSError as error:
            damaged[self.folder] = f"it can't be read: {error.strerror or error}"
            there = set()
        known = {record.shard: record for record in saved if record.shard in there}
        new: list[Record] = []
        for name in sorted(there - known.keys()):
            if (shard := self._shard(name, damaged)) is not None:
                new.append(Record(name, shard[0]))
        records = [*known.values(), *new]
        with suppress(UnwritableError):  # it only saves time
            if not whole or len(known) < len(saved):
                if records or paths.exists(self.folder / _INDEX):
                    write_bytes(self.folder / _INDEX, b"".join(record.encoded() for record in records))
            elif new:
                append_record(self.folder / _INDEX, b"".join(record.encoded() for record in new))
        # In a fixed order, so that of two shards with the same item the same one is read every time.
        return Places.of(sorted(records, key=lambda record: record.shard), items)

    def _saved_records(self) -> tuple[list[Record], bool]:
        try:
            records, whole = parsed(read_records(self.folder / _INDEX))
        except FileNotFoundError:
            return [], True
        except (OSError, ValueError):
            records, whole = [], False
        if not whole:
            _log.warning("the index of %s is damaged; mended from its shards", self.folder)
        return records, whole


def _temporary_root() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="alignbench-"))
    except OSError as error:
        raise ConfigError(
            f"no temporary folder for embeddings can be made ({error.strerror or error}); set TMPDIR to a "
            "folder that can be written"
        ) from error
