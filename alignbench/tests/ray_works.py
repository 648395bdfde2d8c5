"""Work for Ray's workers, in a module that they can import; each leaves a note of what it has done."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Noted:
    """Squares numbers; a file in the folder says which worker did which, and which it began.

    Args:
        folder: the folder.
        fatal: the number with which a worker dies.
        deaths: how often it does.
        refused: the number that is refused.
    """

    folder: Path
    fatal: int = -1
    deaths: int = 1
    refused: int = -1

    name = "squares"

    @contextmanager
    def opened(self) -> Iterator[Callable[[int], int]]:
        yield self.square

    def square(self, number: int) -> int:
        begun = len(list(self.folder.glob(f"begun-{number}-*")))
        (self.folder / f"begun-{number}-{os.getpid()}").touch()
        if number == self.fatal and begun < self.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == self.refused:
            raise DataError(f"{number} can't be squared")
        (self.folder / f"done-{number}-{os.getpid()}").touch()
        return number**2

    def done(self) -> list[int]:
        """Return which numbers were done, each as often as it was."""
        return sorted(int(path.name.split("-")[1]) for path in self.folder.glob("done-*"))
