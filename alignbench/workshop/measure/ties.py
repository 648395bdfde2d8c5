"""How often equal encoders are told apart, and how often a better one is found, by Holm's rule and by ours.

Writes the section on ties of alignbench/docs/calibration.md. An encoder's score is a mean over n samples with
a known truth, and its error comes from blocks of samples, as in a run. One row is for a real metric, decided
by a run's own code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.metrics import METRICS
from alignbench.stats import (
    LEVEL,
    evaluate,
    holm_rejects,
    joint_of_deletions,
    leader_quantile,
    paired_p,
    rng_for,
    tie_groups,
)
from alignbench.stats.interval import MAX_JACKKNIFE_BLOCKS, t_quantile
from alignbench.workshop.measure.truth import table
from alignbench.workshop.sections import section_command, template

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from alignbench.stats import Joint

    Matrix = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Look = Callable[[Mask, Mask], Sequence[Any]]

DRAWS = 4000
COUNTS = (2, 3, 5, 10, 20)
SIZES = (60, 200, 1000)
GAPS = (2.5, 3.5, 4.5)
MOST_PLAIN = 3  # with more encoders than this, harder distributions are added
REAL, REAL_N, REAL_COUNT = "calibrated_cka", 60, 10
CHUNK = 50
NOWHERE = -1e100  # the value of encoders that are not compared, lower than all others
FAR = 12.0  # the gap of clearly different encoders, in errors of a difference


@dataclass(frozen=True, slots=True)
class ValueModel:
    """How the values of one sample are distributed over the encoders.

    Args:
        title: the name in tables.
        correlation: the correlation between any two encoders.
        spread: the largest standard deviation; the smallest is its inverse.
        twins: whether each even encoder correlates at .95 with the next one.
        skewed: whether values are exponential instead of normal.
    """

    title: str
    correlation: float = 0.5
    spread: float = 1.0
    twins: bool = False
    skewed: bool = False

    def draw(self, rng: np.random.Generator, n: int, count: int) -> Matrix:
        """Return the values of n samples for each encoder [n, count], all of mean 0."""
        noise = rng.standard_exponential if self.skewed else rng.standard_normal
        own, common = noise((n, count)), noise((n, 1))
        if self.skewed:
            own, common = own - 1.0, common - 1.0
        if self.twins:
            own[:, 1::2] = np.sqrt(0.95) * own[:, : count - count % 2 : 2] + np.sqrt(0.05) * own[:, 1::2]
        values = np.sqrt(1 - self.correlation) * own + np.sqrt(self.correlation) * common
        return np.asarray(values * np.geomspace(1 / self.spread, self.spread, count))


WORLDS = tuple(ValueModel(f"correlation {rho:g}", rho) for rho in (0.0, 0.5, 0.9))
HARDER = (
    ValueModel("unequal errors", spread=2.0),
    ValueModel("twins", correlation=0.0, twins=True),
    ValueModel("skewed", correlation=0.0, skewed=True),
)


def by_holm(values: dict[str, float], joint: Joint) -> list[list[str]]:
    """Return the tie groups of the earlier rule: Holm's correction over comparisons with the leader."""
    rest = sorted(values, key=lambda name: -values[name])
    groups = []
    while rest:
        leader, *others = rest
        p_values = [
            paired_p(
                values[leader] - values[name],
                np.subtract(joint.parts[leader], joint.parts[name]).tolist(),
                joint.error,
            )
            for name in others
        ]
        apart = {n for n, is_apart in zip(others, holm_rejects(p_values), strict=True) if is_apart}
        groups.append([name for name in rest if name not in apart])
        rest = [name for name in others if name in apart]
    return groups


def first_group(blocks: Matrix, among: Mask, least: Sequence[float]) -> Mask:
    """Return who ties with the leader in each draw, as `tie_groups` and `by_holm` would [draws, encoders].

    Both take the clearest difference first and stop at the first that is not clear; they differ in how clear
    it has to be.

    Args:
        blocks: each encoder's mean in blocks of equal size [draws, blocks, encoders].
        among: the encoders that are compared [draws, encoders].
        least: the smallest clear lead in errors, by the number still compared with the leader, from 1.
    """
    values = np.where(among, blocks.mean(axis=1), NOWHERE)
    leader = values.argmax(axis=1)[:, None]
    leads = np.take_along_axis(blocks, leader[:, None], axis=2) - blocks
    errors = leads.std(axis=1, ddof=1) / np.sqrt(blocks.shape[1])
    np.put_along_axis(errors, leader, 1.0, axis=1)
    ratios = (values.max(axis=1, keepdims=True) - values) / errors
    np.put_along_axis(ratios, leader, -1.0, axis=1)
    order = np.argsort(-ratios, axis=1)
    required = np.asarray([*least[: values.shape[1] - 1][::-1], np.inf])
    apart = np.logical_and.accumulate(np.take_along_axis(ratios, order, axis=1) > required, axis=1)
    tied = np.empty_like(among)
    np.put_along_axis(tied, order, ~apart, axis=1)
    return tied


def rules(count: int, freedom: int) -> tuple[list[float], list[float]]:
    """Return `least` of `first_group` for the earlier and the present rule."""
    others = range(1, count)
    holm = [t_quantile(1 - LEVEL / (2 * left), freedom) for left in others]
    return holm, [leader_quantile(left + 1, freedom) for left in others]


def shares(world: ValueModel, n: int, better: Sequence[float], draws: int, look: Look) -> Matrix:
    """Return the means of `look` over the first groups [rules, numbers], for draws of n samples.

    Args:
        world: the distribution.
        n: the number of samples.
        better: each encoder's advantage over one of mean 0, in standard errors of a difference.
        draws: the number of draws.
        look: a function of the masks of the first group and of the one behind it, [draws, encoders] each.
    """
    rng = rng_for(0, "ties", world.title, str(n), str(tuple(better)))
    count, parts = len(better), min(n, MAX_JACKKNIFE_BLOCKS)
    shift = np.asarray(better) * np.sqrt(2 * (1 - world.correlation) / n)
    least = rules(count, parts - 1)
    means = []
    for start in range(0, draws, CHUNK):
        rows = [world.draw(rng, n, count) for _ in range(min(CHUNK, draws - start))]
        blocks = np.stack(rows).reshape(len(rows), parts, -1, count).mean(axis=2) + shift
        everyone = np.ones((len(rows), count), dtype=bool)
        groups = [first_group(blocks, everyone, rule) for rule in least]
        behind = [first_group(blocks, ~g, rule) & ~g for g, rule in zip(groups, least, strict=True)]
        means.append([look(g, b) for g, b in zip(groups, behind, strict=True)])
    return np.asarray(np.concatenate(means, axis=2).mean(axis=2))


def equal(draws: int, counts: Sequence[int] = COUNTS, sizes: Sequence[int] = SIZES) -> str:
    """Return the table of equal encoders; the last row is for a real metric."""
    rows = []
    for count in counts:
        for world in (*WORLDS, *(HARDER if count > MOST_PLAIN else ())):
            cells = []
            for n in sizes:
                cells += _changes(
                    shares(world, n, [0.0] * count, draws, lambda first, _: [~first.all(axis=1)])
                )
            rows.append([f"{count} encoders, {world.title}", *cells])
            print(" | ".join(rows[-1]), flush=True)
    fewer = max(10, draws // 10)
    title = f"{REAL_COUNT} encoders, `{REAL}` of drawn vectors ({fewer:,} draws)"
    rows.append([title, *(_changes(real(fewer))[0] if n == REAL_N else "–" for n in sizes)])
    return table(["", *(f"n = {n:,}" for n in sizes)], rows)


def _changes(found: Matrix) -> list[str]:
    """Return shares under the earlier and the present rule [2, numbers] as text."""
    return [f"{100 * before:.1f}% → {100 * now:.1f}%" for before, now in zip(*found, strict=True)]


def real(draws: int) -> Matrix:
    """Return how often one of several encoders that see a text's vectors equally well is told apart."""
    metric = METRICS.get(REAL)
    apart = np.zeros((draws, 2, 1))
    for i in range(draws):
        rng = rng_for(i, "ties", REAL)
        latent = rng.standard_normal((REAL_N, 8))
        text = latent @ directions(rng) + rng.standard_normal((REAL_N, 24))
        results = {}
        for number in range(REAL_COUNT):
            image = latent @ directions(rng) + rng.standard_normal((REAL_N, 24)) / 2
            results[f"encoder {number:02}"] = evaluate(metric, image, text, null=False)
        joint = joint_of_deletions({name: result.deletions for name, result in results.items()})
        values = {name: result.value for name, result in results.items()}
        apart[i] = [[len(rule(values, joint)) > 1] for rule in (by_holm, tie_groups)]
    return np.asarray(apart.mean(axis=0))


def directions(rng: np.random.Generator) -> Matrix:
    """Return orthonormal directions of 8 latent dimensions [8, 24], which all encoders see equally well."""
    q, _ = np.linalg.qr(rng.standard_normal((24, 8)))
    return np.asarray(q.T)


def power(draws: int, counts: Sequence[int] = (2, 5, 10, 20), gaps: Sequence[float] = GAPS) -> str:
    """Return the table of one encoder that is better than all others, which are equal."""
    rows = []
    for count in counts:

        def look(first: Mask, _: Mask) -> Sequence[Any]:
            alone = first[:, 0] & ~first[:, 1:].any(axis=1)
            return [alone, (~first).sum(axis=1) / (first.shape[1] - 1), ~first[:, 0]]

        for gap in gaps:
            found = shares(WORLDS[1], 200, [gap, *[0.0] * (count - 1)], draws, look)
            rows.append([f"{count} encoders, gap {gap:g}", *_changes(found)])
            print(" | ".join(rows[-1]), flush=True)
    return table(["", "alone", "apart", "lost"], rows)


def clusters(draws: int, counts: Sequence[int] = (4, 10, 20)) -> str:
    """Return the table of two groups of equal encoders."""
    rows = []
    for count in counts:
        half = count // 2

        def look(first: Mask, behind: Mask, half: int = half) -> Sequence[Any]:
            return [~first[:, :half].all(axis=1), ~(first | behind).all(axis=1)]

        found = shares(WORLDS[1], 200, [FAR] * half + [0.0] * half, draws, look)
        rows.append([f"{half} and {half} encoders", *_changes(found)])
        print(" | ".join(rows[-1]), flush=True)
    return table(["", "the first group is cut", "any group is cut"], rows)


def ties_section(draws: int) -> str:
    """Return the section on ties, with this many draws for each number."""
    return template("ties").format(
        draws=draws,
        sure=100 * 1.96 * np.sqrt(0.05 * 0.95 / draws),
        equal=equal(draws),
        power=power(draws),
        clusters=clusters(draws),
    )


def main(argv: list[str]) -> None:
    """Compute the draws, and write the section."""
    section_command("ties", __doc__, DRAWS, ties_section, argv)
