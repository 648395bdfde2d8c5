"""Whether two tied encoders are told apart at about the predicted number of samples.

Two built-in encoders are compared on drawings that no model was trained on: for each seed on 90 of them, then
on more and more, including the first ones.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from alignbench.findings.numbers import about
from alignbench.metrics import METRICS
from alignbench.stats import LEVEL, evaluate, joint_of_deletions, paired_p, rng_for, samples_needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Rows = NDArray[np.intp]

METRIC = "calibrated_cka"
DRAWINGS = 7  # the seed of a stream of drawings that nothing else uses
SIZES = (90, 180, 360, 600, 900, 1500)
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Pool:
    """The vectors of all drawings for both encoders and of the texts, with groups and types."""

    encoders: tuple[str, str]
    images: tuple[NDArray[np.float32], NDArray[np.float32]]
    texts: NDArray[np.float32]
    groups: NDArray[np.str_]
    types: NDArray[np.str_]

    def nested(self, seed: int, sizes: Sequence[int]) -> list[Rows]:
        """Return rows of each size, with types in equal parts; each set contains the smaller ones."""
        rng = rng_for(seed, "needed")
        names = np.unique(self.types)
        shuffled = [rng.permutation(np.flatnonzero(self.types == name)) for name in names]
        return [np.concatenate([rows[: size // len(names)] for rows in shuffled]) for size in sizes]


@dataclass(frozen=True, slots=True)
class SampleVerdict:
    """What a sample shows about two encoders: difference, error, number of groups, and whether they tie."""

    difference: float
    error: float
    n: int
    freedom: int
    apart: bool

    @property
    def needed(self) -> float:
        """The approximate number of groups that would tell the two apart."""
        return samples_needed(
            self.difference, self.error, self.n, level=LEVEL, power=POWER, freedom=self.freedom
        )


def embedded(encoders: tuple[str, str], llm: str, per_type: int) -> Pool:
    """Return the pool; embeddings in the user's cache are not computed again."""
    from alignbench import encoders as vision
    from alignbench import llms
    from alignbench.config import load_config
    from alignbench.datasets import load_dataset
    from alignbench.embed import Embedder, EmbeddingStore, default_root

    config = load_config()
    dataset = load_dataset("synthetic", n_per_type=per_type, seed=DRAWINGS, config=config)
    embedder = Embedder(EmbeddingStore(default_root()))
    first, second = (
        embedder.images(vision.resolve(name, sources=config.encoders), dataset).values for name in encoders
    )
    texts = embedder.texts(llms.resolve(llm, sources=config.llms), dataset).values
    return Pool(encoders, (first, second), texts, np.asarray(dataset.groups), np.asarray(dataset.labels))


def look(pool: Pool, rows: Rows) -> SampleVerdict:
    """Return what these rows show, as a run of the suite would."""
    results = [
        evaluate(METRICS.get(METRIC), x[rows], pool.texts[rows], groups=pool.groups[rows], null=False)
        for x in pool.images
    ]
    joint = joint_of_deletions({name: r.deletions for name, r in zip(pool.encoders, results, strict=True)})
    first, second = (np.asarray(joint.parts[name]) for name in pool.encoders)
    difference = results[0].value - results[1].value
    return SampleVerdict(
        difference=difference,
        error=joint.error_between(*pool.encoders),
        n=results[0].n,
        freedom=joint.freedom,
        apart=paired_p(difference, (first - second).tolist()) <= LEVEL,
    )


def line(seed: int, verdicts: Sequence[SampleVerdict]) -> str:
    """Return a line on what one seed's samples show as they grow."""
    first, *later = verdicts
    state = "apart" if first.apart else f"tie, {about(first.needed)} predicted"
    grown = ", ".join(f"{s.n} {'apart' if s.apart else 'tie'}" for s in later)
    return f"seed {seed:2}: n = {first.n}: {first.difference:+.3f} ± {first.error:.3f}, {state}; then {grown}"


def reached(sizes: Sequence[int], shares: Sequence[float]) -> str:
    """Return the size at which the share told apart reaches the power, between the measured sizes."""
    for (low, a), (high, b) in pairwise(zip(sizes, shares, strict=True)):
        if a < POWER <= b:
            return f"about {np.exp(np.interp(POWER, [a, b], np.log([low, high]))):.0f}"
    return f"below {sizes[0]}" if shares[0] >= POWER else f"above {sizes[-1]}"


def report(by_seed: Sequence[Sequence[SampleVerdict]]) -> None:
    """Print the results over all seeds."""
    sizes = [seen.n for seen in by_seed[0]]
    columns = list(zip(*by_seed, strict=True))
    shares = [float(np.mean([seen.apart for seen in column])) for column in columns]
    print("\n    n  told apart  difference  deviation  mean error  predicted needed")
    for share, column in zip(shares, columns, strict=True):
        mean = average(column)
        deviation = np.std([seen.difference for seen in column], ddof=1)
        print(
            f"{mean.n:5}  {share:10.0%}  {mean.difference:10.4f}  {deviation:9.4f}  {mean.error:10.4f}  "
            f"{mean.needed:16.0f}"
        )
    print(f"\n{POWER:.0%} of the seeds are told apart at {reached(sizes, shares)}")
    ties = np.asarray([seen[0].needed for seen in by_seed if not seen[0].apart])
    if len(ties):
        low, middle, high = np.quantile(ties, (0.25, 0.5, 0.75), method="nearest")
        print(
            f"predicted at n = {sizes[0]} from each of {len(ties)} ties: median {middle:.0f}, "
            f"middle half {low:.0f} to {high:.0f}"
        )


def average(column: Sequence[SampleVerdict]) -> SampleVerdict:
    """Return the summary of many samples of one size: mean difference, root mean square of the errors."""
    return replace(
        column[0],
        difference=float(np.mean([seen.difference for seen in column])),
        error=float(np.sqrt(np.mean([seen.error**2 for seen in column]))),
    )


def main(argv: list[str]) -> None:
    """Compare two encoders on growing samples of the same drawings."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure needed", description=__doc__)
    parser.add_argument("--encoders", nargs=2, default=("mini-dinov2", "mini-clip"))
    parser.add_argument("--llm", default="mini-llama")
    parser.add_argument("--per-type", type=int, default=2000, help="drawings of each of the three types")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options: Any = parser.parse_args(argv)
    if max(options.sizes) > 3 * options.per_type or min(options.sizes) < 60:
        parser.error(f"--sizes: expected from 60 to the {3 * options.per_type} drawings")
    sizes = sorted(options.sizes)
    pool = embedded(tuple(options.encoders), options.llm, options.per_type)
    print(f"{' and '.join(pool.encoders)} with {options.llm}, {METRIC}, {len(pool.types)} drawings")
    by_seed = []
    with threadpool_limits(1, user_api="blas"):
        for seed in range(options.seeds):
            by_seed.append([look(pool, rows) for rows in pool.nested(seed, sizes)])
            print(line(seed, by_seed[-1]), flush=True)
    report(by_seed)
