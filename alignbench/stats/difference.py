"""How certain a difference of two scores is: of one model on two occasions, or of any two scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from alignbench.stats.interval import t_quantile
from alignbench.types import Interval

if TYPE_CHECKING:
    from alignbench.stats.joint import Joint


def paired_difference(first: float, second: float, joint: Joint, *, level: float = 0.95) -> Interval:
    """Return the interval of `second` - `first`, two scores of the same samples.

    Whatever makes a sample easy or hard for both scores alike cancels out, so the interval is narrower than
    the intervals of the two scores suggest.

    Args:
        first: one score.
        second: the other one.
        joint: how the two vary together; its names are "first" and "second".
        level: of confidence.
    """
    half = t_quantile(0.5 + level / 2, joint.freedom) * joint.error_between("first", "second")
    difference = second - first
    return Interval(difference - half, difference + half, f"paired, {joint.freedom + 1} parts", level)


def unpaired_difference(first: float, around: Interval, second: float, other: Interval) -> Interval:
    r"""Return the interval of `second` - `first`, as if the two shared nothing.

    Each side is $\sqrt{a^2 + b^2}$ of those sides of the two intervals that point there; the intervals need
    not be symmetric. For scores that do share samples, it is wider than necessary.

    Args:
        first: one score.
        around: the first score's interval.
        second: the other score.
        other: the second score's interval.

    Source:
        Zou and Donner (2008), Statistics in Medicine 27, eq. 7 and 8.
    """
    difference = second - first
    below = math.hypot(second - other.low, around.high - first)
    above = math.hypot(other.high - second, first - around.low)
    return Interval(difference - below, difference + above, "unpaired", min(around.level, other.level))
