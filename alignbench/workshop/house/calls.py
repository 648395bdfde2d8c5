"""How often a run computes its rankings and its predictions, counted in a small run."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING

from alignbench.workshop.house import counting
from alignbench.workshop.measure._suite import workplace

if TYPE_CHECKING:
    from pathlib import Path

RANKINGS, PREDICTIONS = "rankings", "predictions"
# Each function under every name that it has had, so that older checkouts can be counted.
FUNCTIONS = {
    "alignbench.report.ranking:rank": RANKINGS,
    "alignbench.findings.ranking:rank": RANKINGS,
    "alignbench.findings.ranking:rankings": RANKINGS,
    "alignbench.experiments.prediction:predicts": PREDICTIONS,
    "alignbench.stats.prediction:predicts": PREDICTIONS,
}
ARGUMENTS = (
    *("-m", "coral or e2e", "-p", "no:randomly", "-p", "no:xdist"),
    *("--encoders=mini-clip,random-vit", "--n-samples=12", "--align-permutations=19"),
    *("--align-epochs=2", "--align-splits=2", "--align-seeds=1"),
)


def computed(root: Path) -> dict[str, int]:
    """Return how often one run of the clone at `root` computes rankings and predictions.

    Raises:
        RuntimeError: the run failed.
    """
    with workplace(root / "benchmarks") as place:
        site = place.root / "site"
        site.mkdir()
        shutil.copy(str(counting.__file__), site / "sitecustomize.py")
        log = place.root / "calls.log"
        log.touch()
        variables = {
            "PYTHONPATH": os.pathsep.join([str(site), str(root)]),
            counting.VARIABLE: json.dumps({"log": str(log), "functions": FUNCTIONS}),
        }
        done = place.finish(*ARGUMENTS, variables=variables)
        if done.returncode:
            raise RuntimeError(f"{root}: the run ended with {done.returncode}\n{done.stdout[-3000:]}")
        counts = Counter(log.read_text(encoding="utf-8").split())
    return {name: counts[name] for name in (RANKINGS, PREDICTIONS)}
