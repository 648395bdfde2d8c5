"""How often a race drops the best encoder, and how many embeddings it saves: races with a known truth.

The vectors of a text and of ten encoders are drawn so that the CKA of the whole population follows from their
covariances. Then the encoders race as `alignbench choose` lets them, by the same code: scores, jackknife and
decisions.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from alignbench.metrics import METRICS
from alignbench.stats import LEVEL, evaluate, rng_for, wilson_interval
from alignbench.stats.race import Entry, look_sizes, run_race
from alignbench.workshop.measure.truth import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alignbench.stats.race import Race

    Matrix = NDArray[np.float64]

RACES = 2000
GROUPS = 320
METRIC = "debiased_cka"
SEEN = 6  # dimensions of the text that encoders see
SHARED = 4  # dimensions that all encoders have in common and the text lacks


@dataclass(frozen=True, slots=True)
class World:
    """How the vectors of the encoders are distributed.

    Args:
        title: the name in the table.
        signal: the strength of what each encoder has of the text; the first encoder is the best.
        shared: the strength of what all encoders have in common and the text lacks, by which scores of
            encoders go up and down together.
        widths: the number of each encoder's further dimensions; the noise in them is scaled so that a width
            alone changes no CKA.
        heavy: whether the text's vectors have heavy tails (Student's t with 5 degrees of freedom).
    """

    title: str
    signal: tuple[float, ...]
    shared: float = 0.7
    widths: tuple[int, ...] = (6,) * 10
    heavy: bool = False

    def cka(self, encoder: int) -> float:
        """Return the CKA of an encoder with the text over the whole population.

        With independent coordinates it is ‖Σxy‖² / (‖Σx‖‖Σy‖): 6a² / √(6a⁴ + 4s⁴ + 6) / √(6 + 6).
        """
        a, s = self.signal[encoder], self.shared
        own = SEEN * a**4 + SHARED * s**4 + SEEN
        return float(SEEN * a**2 / np.sqrt(own) / np.sqrt(2 * SEEN))

    @property
    def best(self) -> tuple[int, ...]:
        """The encoders with the largest CKA."""
        values = [self.cka(encoder) for encoder in range(len(self.signal))]
        return tuple(i for i, value in enumerate(values) if value >= max(values) - 1e-9)

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Matrix, list[Matrix]]:
        """Return the vectors of n texts, and those of each encoder."""
        latent = rng.standard_normal((n, SEEN))
        if self.heavy:
            latent *= np.sqrt(3 / rng.chisquare(5, (n, 1)))  # of variance 1
        common = self.shared * rng.standard_normal((n, SHARED))
        text = np.hstack([latent, rng.standard_normal((n, SEEN))])
        images = []
        for a, width in zip(self.signal, self.widths, strict=True):
            noise = (SEEN / width) ** 0.25 * rng.standard_normal((n, width))
            images.append(np.hstack([a * latent, common, noise]))
        return text, images


WORLDS = (
    World("one clearly best", (1.3, 0.8, 0.8, 0.7, 0.7, 0.6, 0.6, 0.5, 0.4, 0.3)),
    World("one a little better", (1.0, *(0.9,) * 4, *(0.7,) * 5)),
    World("three equal at the top", (*(1.0,) * 3, 0.9, 0.9, *(0.6,) * 5)),
    World("ten equal", (0.8,) * 10),
    World("ten equal, much in common", (0.8,) * 10, shared=1.5),
    World("one a little better, heavy tails", (1.0, *(0.9,) * 4, *(0.7,) * 5), heavy=True),
    World("one a little better, and wide", (1.0, *(0.9,) * 9), widths=(256, *(6,) * 9)),
    World("one a little better, and narrow", (1.0, *(0.9,) * 9), widths=(3, *(96,) * 9)),
)
"""In all of them, encoders' scores correlate, because all see the same text and have dimensions in common."""


def raced(
    world: World, number: int, metric: str = METRIC, groups: int = GROUPS, error: float = LEVEL
) -> Race:
    """Return a race in a world; its number is its seed."""
    text, images = world.draw(rng_for(number, "race", world.title), groups)

    def score(names: Sequence[str], size: int) -> dict[str, Entry | str]:
        scored: dict[str, Entry | str] = {}
        for name in names:
            found = evaluate(METRICS.get(metric), images[int(name)][:size], text[:size], null=False)
            scored[name] = Entry(found.value, found.deletions)
        return scored

    return run_race([str(i) for i in range(len(images))], look_sizes(groups), score, error=error)


@dataclass(frozen=True, slots=True)
class Told:
    """What many races in one world show.

    Args:
        dropped: for each race, the share of the best encoders that were dropped.
        lost: for each race, whether all of the best were dropped.
        alone: for each race, whether it ended with one of the best encoders alone.
        used: for each race, the embeddings used over those of scoring all encoders on all samples.
    """

    dropped: Matrix
    lost: Matrix
    alone: Matrix
    used: Matrix

    @classmethod
    def of(cls, world: World, races: Sequence[Race], groups: int) -> Told:
        """Return what races in a world show."""
        best = {str(i) for i in world.best}
        kept = [len(best & set(race.survivors)) / len(best) for race in races]
        return cls(
            dropped=1 - np.asarray(kept),
            lost=np.asarray([float(share == 0) for share in kept]),
            alone=np.asarray([float(len(r.survivors) == 1 and set(r.survivors) <= best) for r in races]),
            used=np.asarray([race.entries / (len(world.signal) * groups) for race in races]),
        )


def share(successes: Matrix) -> str:
    """Return a share with its 95% interval."""
    interval = wilson_interval(float(successes.sum()), len(successes))
    return f"{successes.mean():.1%} ({interval.low:.1%} to {interval.high:.1%})"


def row(world: World, told: Told, metric: str) -> list[str]:
    """Return a world's row of the table."""
    low, middle, high = np.quantile(told.used, (0.05, 0.5, 0.95))
    return [
        world.title,
        metric,
        str(len(told.lost)),
        share(told.dropped),
        share(told.lost),
        f"{told.alone.mean():.0%}",
        f"{middle:.2f} ({low:.2f} to {high:.2f})",
    ]


HEAD = ["", "metric", "races", "a best one dropped", "all best dropped", "best alone", "embeddings used"]


def main(argv: list[str]) -> None:
    """Run the races and print the table, and the shares over all races of the first metric."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure race", description=__doc__)
    parser.add_argument("--races", type=int, default=RACES, help="races by the first metric, in all worlds")
    parser.add_argument("--groups", type=int, default=GROUPS)
    parser.add_argument("--metrics", nargs="+", default=[METRIC], choices=list(METRICS))
    parser.add_argument("--only", default="", help="leave out worlds whose title lacks this text")
    options: Any = parser.parse_args(argv)
    worlds = [world for world in WORLDS if options.only in world.title]
    if not worlds or options.races < len(worlds):
        parser.error(f"expected at least one world and one race in each, got {len(worlds)} worlds")
    rows, every = [], []
    with threadpool_limits(1, user_api="blas"):
        for metric in options.metrics:
            for world in worlds:
                started = time.perf_counter()
                count = range(options.races // len(worlds))
                races = [raced(world, number, metric, options.groups) for number in count]
                told = Told.of(world, races, options.groups)
                rows.append(row(world, told, metric))
                if metric == options.metrics[0]:
                    every.append(told)
                print(" | ".join(rows[-1]), f"[{time.perf_counter() - started:.0f} s]", flush=True)
    print(f"\n{table(HEAD, rows)}")
    dropped, lost = (np.concatenate([getattr(t, name) for t in every]) for name in ("dropped", "lost"))
    print(f"\n{len(lost)} races by {options.metrics[0]}: a best one dropped in {share(dropped)},")
    print(f"all best dropped in {share(lost)}")
