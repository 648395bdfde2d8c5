"""About how long tests take: what each took once, in proportion to models, samples and options."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alignbench.projectors.patches import MOST_WIDTH
from alignbench.session.selection import named_in
from alignbench.weights.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alignbench.session.options import Options

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
_PROJECTORS = ("cross_attention", "2layer_mlp", "mlp", "linear")  # a name that another one holds comes later
# Of the mean over projectors at which tests of all of them were measured.
_SHARE = {"linear": 0.35, "mlp": 0.6, "2layer_mlp": 0.7, "cross_attention": 2.35}
_BY_PROJECTOR = frozenset({"test_projection"})
_MINI_VISION, _MINI_TEXT = Size(3_000_000, 192), Size(3_300_000, 256)
# A step of a small training is half Python's own time, which no width changes: on 1,280 and 640 numbers in
# the place of 192 and 256, a linear projector took 10 times as long, and has 17 times the parameters.
_OF_WORK = 0.5
_AXES_SECONDS = 1.5  # to find the axes of six trainings' patches of 1,280 numbers on two cores
_AXES_WIDTH = 1280
# The same of a VLM's step, which goes through the whole LLM.
_OF_LLM = 0.25
# Function -> how often each model of its tests embeds all samples anew: other poolings, layers, maps.
_PASSES = {"test_sensitivity": 6, "test_layers": 1}
_START_SECONDS = 3.0  # importing torch, above all: each worker does, on the same cores
_REPORT_SECONDS = 1.0
_FIGURES_SECONDS = 0.5  # for each file of tests


@dataclass(frozen=True)
class Workload:
    """What the tests of a run work on.

    Args:
        options: of the run.
        samples: how many there are.
        vision: name -> size of its encoders; those of which nothing is known are left out.
        text: the same of its LLMs.
        embedding: name of a model -> seconds to embed all samples with it.
        timed: whether anything is timed: nothing is where tests are distributed.
        speed_asked: whether it was asked for speed, and times all.
    """

    options: Options
    samples: int = MEASURED_SAMPLES
    vision: Mapping[str, Size] = field(default_factory=dict)
    text: Mapping[str, Size] = field(default_factory=dict)
    embedding: Mapping[str, float] = field(default_factory=dict)
    timed: bool = True
    speed_asked: bool = False

    def seconds(self, tests: Sequence[str]) -> dict[str, float]:
        """Return node id -> seconds, on a quiet machine as the packaged costs' and with all embedded.

        What a test embeds under other options is counted with the first that does so.
        """
        found, embedded = {}, set()
        for test in tests:
            function, seconds = function_of(test), self._one(test)
            for name in named_in([test], tuple(self.embedding)) if function in _PASSES else ():
                if (function, name) not in embedded:
                    embedded.add((function, name))
                    seconds += _PASSES[function] * self.embedding[name]
            found[test] = seconds
        return found

    def _one(self, test: str) -> float:
        function = function_of(test)
        timings = _TIMING_SECONDS | (_ASKED_SECONDS if self.speed_asked else {})
        if function in timings:
            return timings[function] if self.timed else 0.0
        seconds = _SECONDS.get(function, _OTHER_SECONDS)
        if function not in _TRAINED:
            return seconds * max(1.0, self.samples / MEASURED_SAMPLES)
        encoder, llm = (self._size(test, of) for of in ("vision", "text"))
        often = self._often(function)
        if function == "test_vlm":
            relative = 1 - _OF_LLM + _OF_LLM * llm.parameters / _MINI_TEXT.parameters
            return seconds * often * relative * self.samples / MEASURED_SAMPLES
        projector = projector_of(test)
        share = _SHARE[projector] / (1.0 if function in _BY_PROJECTOR else _SHARE["linear"])
        dx, dy = encoder.width or 0, llm.width or 0
        work = _work(projector, dx, dy) * self.samples
        usual = _work(projector, _MINI_VISION.width or 0, _MINI_TEXT.width or 0) * MEASURED_SAMPLES
        axes = 0.0
        if projector == "cross_attention" and dx > MOST_WIDTH:
            axes = _AXES_SECONDS * (dx / _AXES_WIDTH) ** 2
        return seconds * share * often * (1 - _OF_WORK + _OF_WORK * work / usual) + axes

    def _size(self, test: str, side: str) -> Size:
        sizes, usual = (self.vision, _MINI_VISION) if side == "vision" else (self.text, _MINI_TEXT)
        known = [sizes[name] for name in named_in([test], tuple(sizes))]
        return Size(
            max((size.parameters for size in known), default=0) or usual.parameters,
            max((size.width or 0 for size in known), default=0) or usual.width,
        )

    def _often(self, function: str) -> float:
        usual = _TRAINED[function]
        return math.prod(float(getattr(self.options, option)) / value for option, value in usual.items())


def around(tests: Sequence[str], options: Options, workers: int = 1) -> float:
    """Return the seconds of a run that no test takes: starting, the report, its figures.

    Args:
        tests: their node ids.
        options: of the run.
        workers: that share them.
    """
    files = {test.partition("::")[0] for test in tests}
    figures = len(files) * _FIGURES_SECONDS if options.figures else 0.0
    return _START_SECONDS * workers + _REPORT_SECONDS + figures


def function_of(test: str) -> str:
    """Return the name of a test's function, without its file and parameters."""
    return test.partition("[")[0].rpartition("::")[2]


def projector_of(test: str) -> str:
    """Return the projector that a test's parameters name; "linear" where they name none."""
    parameters = test.partition("[")[2]
    return next((name for name in _PROJECTORS if name in parameters.replace("]", "-").split("-")), "linear")


def _work(projector: str, dx: int, dy: int) -> float:
    """Return the parameters that a step changes for each row."""
    inner = min(dx, MOST_WIDTH)
    parameters = {
        "linear": dx * dy,
        "mlp": dx * dy + dy * dy,
        "2layer_mlp": dx * dy + dy * dy,
        "cross_attention": 3 * inner * inner + inner * dy,
    }
    return float(parameters[projector])
