"""Two made-up runs and what may have changed between them, for tests of comparisons."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.findings import Findings
from alignbench.findings.files import plain_score
from alignbench.tests.report_fakes import make_run, make_score

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from alignbench.types import Run, Score

BLOCKS = 30


def recorded(scores: Iterable[Score], name: str = "a", run: Run | None = None, **changes: Any) -> Findings:
    """Return a run of these scores, with these fields of its description changed."""
    plain = (run or make_run()).to_dict()
    return Findings.of(tuple(scores), {**plain, **changes}, name)


def moved(score: Score, by: float, noise: float = 0.0) -> Score:
    """Return the score `by` more, on every part of the data about as much."""
    rng = np.random.default_rng(1)
    assert score.value is not None
    deletions = tuple(float(v + by + noise * rng.standard_normal()) for v in score.deletions)
    repeats = tuple(float(v + by + noise * rng.standard_normal()) for v in score.repeats)
    interval = score.interval and replace(
        score.interval, low=score.interval.low + by, high=score.interval.high + by
    )
    return replace(score, value=score.value + by, deletions=deletions, repeats=repeats, interval=interval)


def trained(value: float, **fields: Any) -> Score:
    """Return a score over 5 splits and 3 seeds."""
    rng = np.random.default_rng(2)
    repeats = tuple((value + 0.05 * rng.standard_normal(15)).tolist())
    params = {"splits": 5, "seeds": 3, "test_to_train": 0.25}
    return make_score("mrr", value, deletions=(), **{"repeats": repeats, "params": params} | fields)


def write(folder: Path, side: Findings, **changes: Any) -> Path:
    """Write a run's scores.json, and nothing else of it."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"schema_version": 1, "run": dict(side.run), "scores": [plain_score(s) for s in side.scores]}
    (folder / "scores.json").write_text(json.dumps(data | changes), encoding="utf-8")
    return folder
