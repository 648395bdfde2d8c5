"""A table of objects by name whose entries may be lazy (`"module:attribute"`)."""

from __future__ import annotations

import difflib
import importlib
import sys
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from alignbench.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects by name, in the order of registration.

    Args:
        noun: the word for an entry in errors, such as "encoder".
        entry_point_group: entry points of this group are added on the first look-up.
    """

    def __init__(self, noun: str, entry_point_group: str | None = None) -> None:
        self.noun = noun
        self._group = entry_point_group
        self._entries: dict[str, T | str] = {}

    def add(self, name: str, entry: T | str) -> None:
        """Register `entry`, an object or a lazy `"module:attribute"`, under `name`.

        Raises:
            ConfigError: the name is taken by something else.
        """
        if name in self._entries and self._entries[name] != entry:
            raise ConfigError(f"{self.noun} {name!r} is registered already; choose another name")
        self._entries[name] = entry

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate an object to register it under `name`."""

        def decorate(entry: T) -> T:
            self.add(name, entry)
            return entry

        return decorate

    def get(self, name: str) -> T:
        """Return the entry of `name`, importing it if it is lazy.

        Raises:
            UnknownNameError: nothing has this name; the message has the closest name and all known ones.
            ConfigError: a lazy entry can't be imported.
        """
        self._take_in_entry_points()
        if name not in self._entries:
            raise UnknownNameError(unknown(self.noun, name, self._entries))
        entry = self._entries[name]
        return self._imported(name, entry) if isinstance(entry, str) else entry

    def remove(self, name: str) -> None:
        """Remove `name`: for tests, and for an entry that replaces another."""
        del self._entries[name]

    def names(self) -> list[str]:
        """Return all names, in the order of registration."""
        self._take_in_entry_points()
        return list(self._entries)

    def __contains__(self, name: object) -> bool:
        self._take_in_entry_points()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def _imported(self, name: str, path: str) -> T:
        """Return the object of a lazy entry; one that its module registers under `name` has precedence."""
        del self._entries[name]
        module, _, attribute = path.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            self._entries[name] = path
            raise ConfigError(f"{self.noun} {name!r}: can't import {path} ({error})") from error
        return cast("T", self._entries.setdefault(name, found))

    def _take_in_entry_points(self) -> None:
        group, self._group = self._group, None
        for point in installed(group) if group else ():
            self._entries.setdefault(point.name, point.value)


def installed(group: str) -> EntryPoints:
    """Return the entry points of a group. All packages are asked once for each path of modules."""
    return _entry_points(tuple(sys.path)).select(group=group)


@cache
def _entry_points(path: tuple[str, ...]) -> EntryPoints:
    # Before Python 3.12 the class is another one, whose `select` is the same.
    return cast("EntryPoints", entry_points())


def unknown(noun: str, name: str, known: object) -> str:
    """Return the message for an unknown name: the closest name first, then all names."""
    names = sorted(cast("dict[str, object]", known))
    begun = [known for known in names if name and known.startswith(name)]  # "smollm2" is "smollm2-135m"
    close = begun or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown {noun} {name!r}.{hint} Known: {', '.join(names) or 'none'}"
