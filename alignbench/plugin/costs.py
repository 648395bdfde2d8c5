"""About how long the tests of a run take: what each of them took once, not a model of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.plugin.options import Options

MEASURED_SAMPLES = 90
# Function of benchmarks/ -> seconds a test, with the mini models on two CPU cores and the default options:
# sums over `pytest benchmarks/ --durations=0 -vv`. Who makes one of them faster writes it down here.
_SECONDS = {
    "test_attention": 0.8,
    "test_by_data_type": 0.07,
    "test_cka": 0.1,
    "test_e2e": 0.5,
    "test_eas": 0.25,
    "test_elas": 0.3,
    "test_layers": 0.2,
    "test_overlay": 0.2,
    "test_projection": 1.15,
    "test_sensitivity": 0.2,
    "test_text_space": 0.15,
    "test_validity": 0.7,
    "test_vision_space": 0.3,
    "test_vlm": 70.0,
}
_TIMING_SECONDS = {
    "test_embed_texts": 0.4,
    "test_encode": 0.3,
    "test_metric": 0.09,
    "test_preprocess": 0.2,
}
_ASKED_SECONDS = {"test_metric": 1.9}  # -m speed times slow ones and large n, too
_OTHER_SECONDS = 0.02
# Options that training takes time in proportion to, with the values at which it was measured.
_TRAINED = {
    "test_projection": {"epochs": 300, "splits": 5},
    "test_elas": {"solved_splits": 40},
    "test_e2e": {"solved_splits": 40},
    "test_vlm": {"vlm_epochs": 8, "vlm_splits": 3, "vlm_seeds": 1},
}
_START_SECONDS = 3.0  # importing torch, above all: each worker does, on the same cores
_REPORT_SECONDS = 1.0
_FIGURES_SECONDS = 0.5  # for each file of tests


def seconds_of_tests(
    tests: Sequence[str],
    options: Options,
    workers: int = 1,
    *,
    timed: bool = True,
    speed_asked: bool = False,
) -> float:
    """Return about how many seconds a run takes in which nothing is to be embedded.

    Args:
        tests: their node ids.
        options: of the run.
        workers: that share them.
        timed: whether anything is timed: nothing is where tests are distributed.
        speed_asked: whether it was asked for speed, and times all.
    """
    timings = _TIMING_SECONDS | (_ASKED_SECONDS if speed_asked else {})
    timings = timings if timed else dict.fromkeys(timings, 0.0)
    costs = _SECONDS | timings
    names = [test.partition("[")[0].rpartition("::")[2] for test in tests]
    seconds = sum(costs.get(name, _OTHER_SECONDS) * _training(name, options) for name in names)
    files = {test.partition("::")[0] for test in tests}
    figures = len(files) * _FIGURES_SECONDS if options.figures else 0.0
    return _START_SECONDS * workers + seconds / workers + _REPORT_SECONDS + figures


def _training(name: str, options: Options) -> float:
    """Return how much is trained in proportion to what was when it was measured."""
    usual = _TRAINED.get(name, {})
    return math.prod((float(getattr(options, option)) / value for option, value in usual.items()), start=1.0)
