"""What several metrics derive from the same arrays is computed once, within a bound of memory."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Key = tuple[Hashable, ...]

Result = TypeVar("Result")

LIMIT = 2**30  # bytes of results and copies that a store keeps
_LARGEST_SHARE = 4  # a result that would take more than a quarter of the limit is not kept
_SMALL_SHARE = 200  # a result that takes less than this part of the limit is small, as most sums are
_OF_SMALL = 8  # small results may take an eighth of the limit before they make room for others
_OBJECT = 64  # bytes that an object other than an array is counted as


class Derived:
    """Results that were computed from arrays, the most recently used ones.

    Sides are recognised by their numbers, which are compared with a copy whenever a result is looked up, so
    whoever changes an array gets other results. Results are read-only, and never leave this package.

    Args:
        limit: the bytes that results and copies may take.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = RLock()
        self._serial = count()
        self._kept: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._keys: dict[int, tuple[Matrix, Key]] = {}  # of arrays that are results, by identity
        self._watched: dict[int, tuple[Matrix, Key]] = {}  # of sides, by identity
        self._copies: dict[tuple[int, tuple[int, ...]], Key] = {}
        self.nbytes = 0

    def clear(self) -> None:
        """Forget all results."""
        with self._lock:
            while self._kept:
                self._drop(next(iter(self._kept)))

    @contextmanager
    def watching(self, *sides: Matrix) -> Iterator[None]:
        """Return a context in which results that are derived from these sides are kept and found."""
        keys = {id(side): (side, self._key_of_copy(side)) for side in sides}
        with self._lock:
            before = {number: self._watched.get(number) for number in keys}
            self._watched.update(keys)
        try:
            yield
        finally:
            with self._lock:
                for number, entry in before.items():
                    if entry is None:
                        del self._watched[number]
                    else:
                        self._watched[number] = entry

    def get(self, what: Hashable, of: tuple[Matrix, ...], compute: Callable[[], Result]) -> Result:
        """Return the result of this name for these arrays, computed if it is not kept."""
        parents = [self._key(array) for array in of]
        if any(parent is None for parent in parents):
            return compute()
        key = (what, *parents)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                found: Result = self._kept[key][0]
                return found
        result = compute()
        with self._lock:
            self._keep(key, result)
        return result

    def find(self, what: Hashable, of: Matrix) -> Any | None:
        """Return the result of this name for an array; None if it is not kept."""
        parent = self._key(of)
        with self._lock:
            return self._kept.get((what, parent), (None, 0))[0]

    def _key(self, array: Matrix) -> Key | None:
        """Return the key of a result, or of a side that has not changed; None for another array."""
        with self._lock:
            known, key = self._keys.get(id(array), (None, ()))
            if known is array:
                return key
            known, key = self._watched.get(id(array), (None, ()))
            copy = self._kept[key][0] if known is array and key in self._kept else None
            if copy is None or not np.array_equal(copy, array):
                return None
            self._kept.move_to_end(key)
            return key

    def _key_of_copy(self, side: Matrix) -> Key:
        """Return the key of the copy of a side, which is made unless there is one or it is too large."""
        found = zlib.crc32(np.ascontiguousarray(side).data), side.shape
        with self._lock:
            key = self._copies.get(found, ())
            if key not in self._kept or not np.array_equal(self._kept[key][0], side):
                key = self._copies[found] = ("side", next(self._serial))
                self._keep(key, side.copy(order="A"))
            return key

    def _keep(self, key: Key, result: Any) -> None:
        arrays = list(_arrays(result))
        size = sum(array.nbytes for array in arrays) + _OBJECT
        # A side that a function returns as it is belongs to others.
        if size * _LARGEST_SHARE > self._limit or any(id(array) in self._watched for array in arrays):
            return
        if self._keys.get(id(result), (None, ()))[0] is result:
            return  # it is kept under the name that it was computed under
        if key in self._kept:
            self._drop(key)
        for place, array in enumerate(arrays):
            array.flags.writeable = False
            self._keys.setdefault(id(array), (array, (*key, place)))
        self._kept[key] = result, size
        self.nbytes += size
        while self.nbytes > self._limit:
            self._drop(self._next_to_go())

    def _next_to_go(self) -> Key:
        """Return the result that was used least recently, of the large ones while small ones take little.

        Sums over large matrices take long to compute, and leave room for no other matrix when they go.
        """
        sizes = {key: size for key, (_, size) in self._kept.items()}
        large = [key for key, size in sizes.items() if size * _SMALL_SHARE >= self._limit]
        small = self.nbytes - sum(sizes[key] for key in large)
        return large[0] if large and small * _OF_SMALL <= self._limit else next(iter(sizes))

    def _drop(self, key: Key) -> None:
        result, size = self._kept.pop(key)
        self.nbytes -= size
        for place, array in enumerate(_arrays(result)):
            if self._keys.get(id(array), (None, ()))[1] == (*key, place):
                del self._keys[id(array)]


_CURRENT: ContextVar[Derived | None] = ContextVar("derived", default=None)


@contextmanager
def keeping(store: Derived) -> Iterator[None]:
    """Return a context whose results are kept in this store, for other pairs and metrics."""
    token = _CURRENT.set(store)
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def watching(*sides: Matrix | None) -> Iterator[None]:
    """Return a context in which what is derived from these sides is computed once.

    It is kept in the current store; without one, to the end of the outermost such context.
    """
    store = _CURRENT.get() or Derived()
    with keeping(store), store.watching(*(side for side in sides if side is not None)):
        yield


def derived(what: Hashable, of: Matrix | tuple[Matrix, ...], compute: Callable[[], Result]) -> Result:
    """Return what `compute` returns, or what it returned before for the same arrays.

    Outside of `watching`, and for arrays that are neither sides nor results of this function, it is computed.

    Args:
        what: what is computed, with all settings that it depends on.
        of: the arrays that it is computed of.
        compute: computes it; its arrays are made read-only. They are new ones, or results of this function.
    """
    store = _CURRENT.get()
    return compute() if store is None else store.get(what, of if isinstance(of, tuple) else (of,), compute)


def kept(what: Hashable, of: Matrix) -> Any | None:
    """Return the result of this name for an array; None where it would have to be computed."""
    store = _CURRENT.get()
    return None if store is None else store.find(what, of)


def digest(array: NDArray[Any]) -> bytes:
    """Return what stands for a large array in the name of a result."""
    return blake2b(np.ascontiguousarray(array).data).digest()


def _arrays(result: Any) -> Iterator[NDArray[Any]]:
    if isinstance(result, np.ndarray):
        yield result
    elif isinstance(result, tuple | list):
        for item in result:
            yield from _arrays(item)
    elif is_dataclass(result):
        for item in fields(result):
            yield from _arrays(getattr(result, item.name))
