"""Whether the suite finds alignment where there is none: all benchmarks on shuffled texts.

Each round pairs the packaged images randomly with each other's texts, and runs every benchmark. Scores that
see the pairing have to be like those of shuffled pairs: p-values are small no more often than by chance.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from alignbench.stats import LEVEL
from alignbench.workshop.measure._suite import workplace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alignbench.types import Score

CONFTEST = """
from dataclasses import replace

from alignbench.datasets import with_groups
from alignbench.datasets.catalog import DATASETS, sample_data
from alignbench.stats import rng_for

pytest_plugins = ["alignbench.plugin.fixtures"]


def shuffled(**options):
    data = sample_data(**options)
    order = rng_for(options["seed"], "texts dealt out anew").permutation(len(data))
    samples = [sample.but(texts=data.samples[i].texts) for sample, i in zip(data.samples, order)]
    return replace(data, name="shuffled", samples=with_groups(samples))


DATASETS.add("shuffled", shuffled)
"""


def main(argv: list[str]) -> None:
    """Run the suite on shuffled data in several rounds; print how often each experiment finds alignment."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure control", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("arguments", nargs="*", help="further arguments of pytest, after --")
    options = parser.parse_args(argv)
    scores: list[list[Score]] = []
    with workplace() as place:
        (place.root / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        for seed in range(options.rounds):
            place.run(
                "--align-dataset=shuffled", f"--align-seed={seed}", "--align-no-figures", *options.arguments
            )
            scores.append(place.latest()[1])
    print("\n".join(table(scores)))


def table(rounds: Iterable[Iterable[Score]]) -> list[str]:
    """Return one line per experiment and metric: its p-values, and its distance from shuffled pairs.

    Args:
        rounds: the scores of each round.
    """
    p_values, distances = defaultdict(list), defaultdict(list)
    for scores in rounds:
        for score in scores:
            if score.value is None or score.null is None or score.encoder is None or score.llm is None:
                continue
            key = (score.experiment, score.metric)
            if score.null.p is not None:
                p_values[key].append(score.null.p)
            # A few trainings on shuffled pairs are too few for a standard deviation.
            if score.null.mean is not None and score.null.std and "trained" not in score.null.kind:
                distances[key].append((score.value - score.null.mean) / score.null.std)
    lines = [f"{'experiment':11} {'metric':22} scores  p <= {LEVEL}  mean z  largest |z|"]
    for key in sorted(p_values.keys() | distances.keys()):
        p, z = np.asarray(p_values[key]), np.asarray(distances[key])
        share = f"{(p <= LEVEL).mean():9.3f}" if len(p) else f"{'-':>9}"
        far = f"{z.mean():7.2f} {np.abs(z).max():12.2f}" if len(z) else ""
        lines.append(f"{key[0]:11} {key[1]:22} {max(len(p), len(z)):6} {share} {far}")
    return lines
