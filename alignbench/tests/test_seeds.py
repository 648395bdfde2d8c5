"""Seeds: each with its purpose gives a stream of its own, and nobody calculates with them."""

from __future__ import annotations

import ast
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from alignbench.datasets import Sample
from alignbench.experiments.compare.projection import initial_seeds
from alignbench.experiments.repeats import Repeats
from alignbench.experiments.vlm.result import VLMSettings
from alignbench.experiments.vlm.scores import plan_jobs
from alignbench.stats import rng_for, seed_for

PACKAGE = Path(__file__).resolve().parents[1]
NEARBY = (42, 43, 1042)
# The packaged weights were trained by these streams, and would be others by any other stream.
AS_TRAINED = {"workshop/zoo/distill.py", "workshop/zoo/masked.py"}


def samples(n: int = 40) -> tuple[Sample, ...]:
    return tuple(Sample(f"s{i}", b"", (f"text {i}",), "chart", f"g{i}") for i in range(n))


def test_nearby_seeds_share_no_training_of_a_vlm() -> None:
    settings = [VLMSettings(repeats=Repeats(seed, splits=3, seeds=4)) for seed in NEARBY]
    drawn = [{job.seed for job in plan_jobs(samples(), one)} for one in settings]
    assert [len(seeds) for seeds in drawn] == [12] * 3
    assert not any(a & b for a, b in combinations(drawn, 2))


def test_nearby_seeds_share_no_training_of_a_projection() -> None:
    drawn = [set(initial_seeds(seed, 5)) for seed in NEARBY]
    assert [len(seeds) for seeds in drawn] == [5] * 3
    assert not any(a & b for a, b in combinations(drawn, 2))


def test_streams_of_nearby_seeds_and_purposes_are_independent() -> None:
    streams = [rng_for(seed, "a", part).normal(size=2000) for seed in range(42, 52) for part in range(4)]
    correlations = np.asarray(np.corrcoef(streams))[np.triu_indices(len(streams), 1)]
    # 780 correlations of standard deviation 1 / sqrt(2000): none of them is beyond 5 of these.
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)
    assert correlations.std() == pytest.approx(1 / np.sqrt(2000), rel=0.1)


def test_a_seed_for_a_library_is_fixed_and_fits_each_of_them() -> None:
    seeds = [seed_for(42, "purpose", number) for number in range(200)]
    assert len(set(seeds)) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seeds[:2] == [seed_for(42, "purpose", 0), seed_for(42, "purpose", 1)]
    assert all(a + 1 != b for a, b in pairwise(seeds))


def calculations(path: Path) -> list[str]:
    """Return the lines that calculate with a seed."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    sums = [node for node in ast.walk(tree) if isinstance(node, ast.BinOp)]
    named = [n for n in sums if any(_is_seed(side) for side in (n.left, n.right))]
    return [f"{path.relative_to(PACKAGE).as_posix()}:{node.lineno}" for node in named]


def _is_seed(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name.lower() == "seed"


@pytest.mark.slow
def test_nobody_calculates_with_a_seed() -> None:
    modules = [p for p in PACKAGE.rglob("*.py") if "tests" not in p.relative_to(PACKAGE).parts]
    found = [line for path in modules for line in calculations(path)]
    assert {line.split(":")[0] for line in found} == AS_TRAINED, found
