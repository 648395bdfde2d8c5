"""What a race may cost: seconds on the clock, or images to embed."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alignbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit.

    Args:
        text: as the user wrote it.
        seconds: the longest time; None for no limit.
        embeddings: the largest number of images that encoders embed, summed over encoders; None for no limit.
    """

    text: str
    seconds: float | None = None
    embeddings: int | None = None

    def __str__(self) -> str:
        return self.text if self.seconds is not None else f"{self.embeddings:,} embeddings"


def parse_budget(text: str, name: str) -> Budget:
    """Return the budget that a text spells, such as `90s`, `30m`, `1.5h` or `5000`.

    Raises:
        ConfigError: it spells none, or one of 0.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])|(\d+)", text.strip())
    if found is None:
        raise ConfigError(
            f"{name}: expected a time such as 90s, 30m or 2h, or a number of images to embed, got {text!r}"
        )
    amount, unit, images = found.groups()
    if not float(amount or images):
        raise ConfigError(f"{name}: nothing can be scored with a budget of 0, got {text!r}")
    if images:
        return Budget(text, embeddings=int(images))
    return Budget(text, seconds=float(amount) * _SECONDS[unit])


@dataclass
class Purse:
    """What is left of a budget.

    Args:
        budget: the limit; None for no limit.
        clock: returns the time in seconds.
        embedded: the images that encoders have embedded so far, summed over encoders.
    """

    budget: Budget | None = None
    clock: Callable[[], float] = time.monotonic
    embedded: int = 0
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def allows(self, images: int) -> bool:
        """Return whether so many images more may be embedded.

        Their time is estimated from what those so far took on average. So the first look is always begun if
        only the time is limited.
        """
        if self.budget is None:
            return True
        if self.budget.embeddings is not None:
            return self.embedded + images <= self.budget.embeddings
        elapsed = self.clock() - self._started
        expected = elapsed * images / self.embedded if self.embedded else 0.0
        return elapsed + expected <= (self.budget.seconds or 0.0)

    def spend(self, images: int) -> None:
        """Count images that were embedded."""
        self.embedded += images
