"""About how long tests take: what experiments declare, in proportion to models, samples and options."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alignbench.experiments import Cost, experiments
from alignbench.projectors import OF_PATCHES, PROJECTORS
from alignbench.projectors.patches import MOST_WIDTH
from alignbench.session.selection import named_in
from alignbench.weights.sizes import ModelSize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alignbench.session.options import Options

MEASURED_SAMPLES = 90
# What a training takes, relative to the mean over all projectors.
_SHARE = {"linear": 0.35, "mlp": 0.6, "2layer_mlp": 0.7, "cross_attention": 2.35}
_MINI_VISION, _MINI_TEXT = ModelSize(3_000_000, 192), ModelSize(3_300_000, 256)
# A step of a small training is half Python's own time, which no width changes: on 1,280 and 640 numbers in
# the place of 192 and 256, a linear projector took 10 times as long, and has 17 times the parameters.
_OF_WORK = 0.5
_AXES_SECONDS = 1.5  # to find the axes of six trainings' patches of 1,280 numbers on two cores
_AXES_WIDTH = 1280
# The same of a VLM's step, which goes through the whole LLM.
_OF_LLM = 0.25
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
    vision: Mapping[str, ModelSize] = field(default_factory=dict)
    text: Mapping[str, ModelSize] = field(default_factory=dict)
    embedding: Mapping[str, float] = field(default_factory=dict)
    timed: bool = True
    speed_asked: bool = False

    def seconds(self, tests: Sequence[str]) -> dict[str, float]:
        """Return node id -> seconds, on a quiet machine as the packaged costs' and with all embedded.

        What a test embeds under other options is counted with the first that does so.
        """
        costs, seconds, embedded = _costs(), {}, set()
        for test in tests:
            function = function_of(test)
            cost, timed = costs.get(function, (Cost(), False))
            seconds[test] = self._timing(cost) if timed else self._computation(test, cost)
            for name in named_in([test], tuple(self.embedding)) if cost.passes else ():
                if (function, name) not in embedded:
                    embedded.add((function, name))
                    seconds[test] += cost.passes * self.embedding[name]
        return seconds

    def _timing(self, cost: Cost) -> float:
        asked = cost.seconds if cost.asked is None or not self.speed_asked else cost.asked
        return asked if self.timed else 0.0

    def _computation(self, test: str, cost: Cost) -> float:
        relative = self.samples / MEASURED_SAMPLES
        if cost.grows == "samples":
            return cost.seconds * max(1.0, relative)
        encoder, llm = (self._size(test, of) for of in ("vision", "text"))
        options = self.options.with_defaults(cost.options)
        often = math.prod(float(options[name]) / value for name, value in cost.options.items())
        if cost.grows == "llm":
            size = 1 - _OF_LLM + _OF_LLM * llm.parameters / _MINI_TEXT.parameters
            return cost.seconds * often * size * relative
        projector = projector_of(test)
        share = _SHARE[projector] / _SHARE["linear"]
        dx, dy = encoder.width or 0, llm.width or 0
        work = _work(projector, dx, dy) * self.samples
        usual = _work(projector, _MINI_VISION.width or 0, _MINI_TEXT.width or 0) * MEASURED_SAMPLES
        axes = 0.0
        if projector == OF_PATCHES and dx > MOST_WIDTH:
            axes = _AXES_SECONDS * (dx / _AXES_WIDTH) ** 2
        return cost.seconds * share * often * (1 - _OF_WORK + _OF_WORK * work / usual) + axes

    def _size(self, test: str, side: str) -> ModelSize:
        sizes, usual = (self.vision, _MINI_VISION) if side == "vision" else (self.text, _MINI_TEXT)
        known = [sizes[name] for name in named_in([test], tuple(sizes))]
        return ModelSize(
            max((size.parameters for size in known), default=0) or usual.parameters,
            max((size.width or 0 for size in known), default=0) or usual.width,
        )


def _costs() -> dict[str, tuple[Cost, bool]]:
    """Return name of a test function -> its cost, and whether it is a measurement of time."""
    return {
        test: (part.cost, part.timed)
        for experiment in experiments()
        for part in experiment.parts
        for test in experiment.tests(part)
    }


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
    return next((name for name in PROJECTORS if name in parameters.replace("]", "-").split("-")), "linear")


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
