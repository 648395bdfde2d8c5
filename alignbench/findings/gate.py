"""Gates: how much worse a score may become before it is a regression, such as `linear_cka:0.02,eas:5%`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.errors import ConfigError, UnknownNameError
from alignbench.registry import unknown
from alignbench.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

ROUNDING = 1e-9  # relative: scores agree to 1e-12 however they were computed


@dataclass(frozen=True, slots=True)
class Gate:
    """How much worse a metric may become.

    Args:
        metric: the metric's name; all its scores are judged.
        tolerance: the largest accepted deterioration.
        relative: whether the tolerance is a share of the earlier value.
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
        text: the option's value.
        option: the option's name, for messages.

    Raises:
        ConfigError: the text has another form, or a metric has two tolerances.
    """
    gates = tuple(_gate(part.strip(), option) for part in text.split(","))
    names = [gate.metric for gate in gates]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{option}: {twice[0]!r} has two tolerances; give it one")
    return gates


def check_gates(gates: Iterable[Gate], metrics: Iterable[str], option: str, where: str) -> None:
    """Check that every gate has scores to judge.

    Args:
        gates: the requested gates.
        metrics: the metrics that have scores.
        option: the option that gave the gates, for messages.
        where: where the scores are, for messages.

    Raises:
        UnknownNameError: a gate's metric has no score.
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
