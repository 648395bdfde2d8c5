"""Whether scores whose products a device computes are those of the CPU, and how much sooner they are."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from alignbench.experiments.scoring import Settings, evaluate_pair, forget
from alignbench.metrics import METRICS
from alignbench.workshop.measure._many_pairs import pair_of
from alignbench.workshop.measure._steps import Finding, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alignbench.workshop.measure._gpu_lab import Lab

SAME = 1e-10
_SECTION = "Scores of many pairs, with products on the device"
_METRICS = ("linear_cka", "debiased_cka", "rbf_cka", "mutual_knn", "cknna", "rsa")


def steps(lab: Lab) -> list[Step]:
    """Return the steps of this section."""
    return [Step(_SECTION, "products on the device", 0.2 if lab.small else 25, partial(_scores, lab))]


def _scores(lab: Lab) -> Iterator[Finding]:
    """Compare values and seconds of scores with those of the CPU."""
    x, y = np.random.default_rng(0).standard_normal((2, lab.count(5000, 310), lab.count(1024, 16)))
    pair = pair_of((x + y).astype(np.float32), y.astype(np.float32))
    for name in _METRICS:
        metric, seconds, values = METRICS.get(name), [], []
        for device in (lab.device, "cpu", lab.device):  # the first call only prepares the device
            forget()
            started = time.perf_counter()
            found = evaluate_pair(metric, pair, Settings(device=device), null=False, interval=False)
            seconds.append(time.perf_counter() - started)
            values.append(found.value)
        difference = abs(values[2] - values[1])
        yield Finding(
            f"{name} of {len(pair):,} pairs: difference from the CPU's, seconds there and here",
            f"{difference:.1e}, {seconds[1]:.2f} and {seconds[2]:.2f}",
            f"<= {SAME}",
            difference <= SAME,
            must=True,
        )
