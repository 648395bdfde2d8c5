"""Reporting the progress of long work; displaying it is somebody else's job."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of long work. Every `start` is followed by one `close`, whatever happens."""

    def start(self, total: int, what: str) -> None:
        """Begin with `total` pieces of `what`."""

    def advance(self, n: int) -> None:
        """Report `n` more finished pieces."""

    def close(self) -> None:
        """End, finished or not."""


class SilentProgress:
    """Reports to nobody."""

    def start(self, total: int, what: str) -> None:
        """Do nothing."""

    def advance(self, n: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Say nothing."""
