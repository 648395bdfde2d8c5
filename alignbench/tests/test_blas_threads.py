"""Small pairs are scored by one thread, however a score is come to: a pool that waits busily costs others."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from alignbench.experiments import scoring
from alignbench.experiments.coral import arrays as coral
from alignbench.experiments.scoring import Settings
from alignbench.experiments.validity import study_cells
from alignbench.metrics import METRICS
from alignbench.tests.space_fakes import make_related
from alignbench.tests.test_sensitivity import bare

PAIR = make_related(60)
SETTINGS = Settings(seed=3, permutations=0)
# The package has a function of the same name.
VARIANTS = import_module("alignbench.experiments.sensitivity.variants")


WAYS: dict[str, tuple[Any, str, Any]] = {
    "a metric": (
        scoring,
        "evaluate",
        lambda: scoring.score_pair(METRICS.get("debiased_cka"), PAIR, SETTINGS, experiment="cka"),
    ),
    "covariances": (coral, "spectrum", lambda: coral.covariance_arrays(PAIR, SETTINGS)),
    "a variant": (VARIANTS, "evaluate", lambda: bare(PAIR)),
    "a study's cell": (
        scoring,
        "evaluate",
        lambda: study_cells.metric_values(PAIR, study_cells.CellSettings(width=8)),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_small_pair_gets_one_thread(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name, score = WAYS[way]
    work = getattr(module, name)
    seen: list[int] = []

    def spy(*args: Any, **keywords: Any) -> Any:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return work(*args, **keywords)

    if not any(pool["user_api"] == "blas" for pool in threadpool_info()):
        pytest.skip("this numpy's BLAS has no threads that can be counted")
    monkeypatch.setattr(module, name, spy)
    with threadpool_limits(2, user_api="blas"):
        score()
    assert set(seen) == {1}
