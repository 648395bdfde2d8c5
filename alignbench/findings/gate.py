"""What change of a score is one too many: `linear_cka:0.02,eas:5%`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.errors import ConfigError, UnknownNameError
from alignbench.registry import unknown
from alignbench.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

ROUNDING = 1e-9  # of a value: scores agree to 1e-12 however they were computed


@dataclass(frozen=True, slots=True)
class Gate:
    """By how much a metric may become worse.

    Args:
        metric: its name; every score of it is judged.
        tolerance: how much is still accepted.
        relative: whether that is a share of the earlier value.
    """

    metric: str
    tolerance: float
    relative: bool = False

    def __str__(self) -> str:
        shown = f"{100 * self.tolerance:.6g}%" if self.relative else f"{self.tolerance:.6g}"
        return f"{self.metric}:{shown}"

    def allows(self, before: float, after: float, *, higher_is_better: bool) -> bool:
        """Whether `after` is no worse than `before` by more than the tolerance."""
        worse = before - after if higher_is_better else after - before
        limit = self.tolerance * (abs(before) if self.relative else 1)
        return worse <= limit + rounding(before, after)


def rounding(before: float, after: float) -> float:
    """Return the difference that two equal values may have."""
    return ROUNDING * max(abs(before), abs(after), 1e-3)


def parse_gates(text: str, option: str) -> tuple[Gate, ...]:
    """Return the gates of `METRIC:TOLERANCE[,METRIC:TOLERANCE...]`.

    Args:
        text: as it was given.
        option: where, for the message.

    Raises:
        ConfigError: it can't be read, or a metric has two tolerances.
    """
    gates = tuple(_gate(part.strip(), option) for part in text.split(","))
    names = [gate.metric for gate in gates]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{option}: {twice[0]!r} has two tolerances; give it one")
    return gates


def check_gates(gates: Iterable[Gate], metrics: Iterable[str], option: str, where: str) -> None:
    """Check that there is something to be judged.

    Args:
        gates: what was asked for.
        metrics: those that there are scores of.
        option: where they were asked for, for the message.
        where: where the scores are, for the message.

    Raises:
        UnknownNameError: a metric of which there is no score.
    """
    known = dict.fromkeys(metrics)
    for gate in gates:
        if gate.metric not in known:
            raise UnknownNameError(
                f"{option}: {where}: {unknown('metric', gate.metric, dict.fromkeys(map(clean, known)))}"
            )


def _gate(part: str, option: str) -> Gate:
    metric, colon, tolerance = part.rpartition(":")
    relative = tolerance.endswith("%")
    try:
        value = float(tolerance.removesuffix("%")) / (100 if relative else 1)
    except ValueError:
        value = math.nan
    if not (colon and metric.strip() and 0 <= value < math.inf):
        raise ConfigError(
            f"{option}: expected METRIC:TOLERANCE such as linear_cka:0.02 or eas:5%, got {part!r}"
        )
    return Gate(metric.strip(), value, relative)
