"""How many samples it would take to tell two tied scores apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from alignbench.errors import InputError
from alignbench.stats.interval import t_quantile
from alignbench.stats.leader import LEVEL, pair_level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alignbench.stats.joint import Joint

NOTHING = 1e-3  # of its error: a difference that only 8 million times the samples would show


def samples_needed(
    difference: float,
    error: float,
    n: int,
    *,
    level: float = LEVEL,
    power: float = 0.8,
    freedom: int | None = None,
) -> float:
    r"""Return about how many groups tell two scores apart, $n\,((z_{1-\alpha/2} + z_{power})\,e/|d|)^2$.

    This is where a two-sided test of the difference d at `level` has this power, if the true difference is
    the observed one and its error e shrinks as 1/√n. A difference observed in a tie is itself uncertain by
    its error, and so is this number: read it as an order of magnitude.

    Args:
        difference: the observed difference of the two scores.
        error: its standard error.
        n: the number of groups that gave both.
        level: the level of the test.
        power: the probability with which the test should find the difference.
        freedom: the degrees of freedom of the error, for Student's quantiles.

    Returns:
        The total number of groups, not the additional one; infinite for a difference below a thousandth of
        its error.

    Raises:
        InputError: an argument is out of its range.
    """
    if not (math.isfinite(difference) and 0 <= error < math.inf and n >= 1):
        raise InputError(
            f"samples_needed: expected a finite difference, error >= 0 and n >= 1, "
            f"got {difference}, {error} and {n}"
        )
    if not (0 < level < 1 and 0 < power < 1):
        raise InputError(f"level and power: expected values between 0 and 1, got {level} and {power}")
    if abs(difference) <= NOTHING * error:
        return math.inf
    distance = _quantile(1 - level / 2, freedom) + _quantile(power, freedom)
    return n * (max(0.0, distance) * error / abs(difference)) ** 2


def needed_of_ties(
    best: str,
    tied: Iterable[str],
    values: Mapping[str, float],
    joint: Joint,
    n: int,
    *,
    level: float = LEVEL,
    power: float = 0.8,
) -> dict[str, float]:
    """Return name -> about how many groups tell each model that ties with the best from it, by the same rule.

    `tie_groups` tests the clearest of t ties at the level for t + 1 models and the last one at that for two,
    and stops when no model is told apart, so no model needs fewer groups than a clearer one.

    Args:
        best: the leader.
        tied: the models that can't be told from it.
        values: score by name.
        joint: how the scores vary together.
        n: the number of groups.
        level: the level at which equal models are told apart.
        power: the power of each test.
    """
    differences = {name: abs(values[best] - values[name]) for name in tied}
    errors = {name: joint.error_between(best, name) for name in differences}
    clearest_first = sorted(
        differences, key=lambda name: (-differences[name] / errors[name] if errors[name] else 0.0, name)
    )
    needed: dict[str, float] = {}
    for step, name in enumerate(clearest_first):
        own = samples_needed(
            differences[name],
            errors[name],
            n,
            level=pair_level(len(differences) + 1 - step, joint.freedom, level),
            power=power,
            freedom=joint.freedom,
        )
        needed[name] = max([own, *needed.values()])
    return {name: needed[name] for name in differences}


def _quantile(probability: float, freedom: int | None) -> float:
    if freedom is not None:
        return t_quantile(probability, freedom)
    from scipy.special import ndtri

    return float(ndtri(probability))
