"""Lists of names, and choices that a registry has."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Names = tuple[str, ...]


def of_module(module: str, name: str) -> Callable[[], Names]:
    """Return a function that gives the names in a module, which is imported when they are asked for."""
    return lambda: tuple(getattr(import_module(module), name))
