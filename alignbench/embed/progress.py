"""Telling how far long work is; drawing it is somebody else's."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What is told of work that takes a while. `close` comes once for every `start`, whatever happens."""

    def start(self, total: int, what: str) -> None:
        """Begin with `total` pieces of `what`."""

    def advance(self, n: int) -> None:
        """Have done `n` more of them."""

    def close(self) -> None:
        """End, done or not."""


class SilentProgress:
    """Tells nobody."""

    def start(self, total: int, what: str) -> None:
        """Say nothing."""

    def advance(self, n: int) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""
