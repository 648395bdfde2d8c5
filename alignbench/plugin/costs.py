"""Estimates how long tests take: the experiments' declared costs, scaled to models, samples and options."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

from alignbench.experiments import Cost, Part, defaults_of, experiments
from alignbench.projectors import OF_PATCHES, PROJECTORS
from alignbench.projectors.patches import MOST_WIDTH
from alignbench.session.selection import named_in
from alignbench.weights.sizes import ModelSize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alignbench.experiments import Experiment
    from alignbench.session.options import Options

MEASURED_SAMPLES = 90
# The duration of a training, relative to the mean over all projectors.
_SHARE = {"linear": 0.35, "mlp": 0.6, "2layer_mlp": 0.7, "cross_attention": 2.35}
_MINI_VISION, _MINI_TEXT = ModelSize(3_000_000, 192), ModelSize(3_300_000, 256)
# Half of a small training's step is Python's own time, which does not depend on widths: with widths of 1,280
# and 640 instead of 192 and 256, a linear projector has 17 times the parameters and took 10 times as long.
_OF_WORK = 0.5
_AXES_SECONDS = 1.5  # finding the axes of six trainings' patches of width 1,280 on two cores
_AXES_WIDTH = 1280
# The share of a VLM's step that grows with the LLM, which each step passes through: with 135M parameters a
# cell took 14 minutes, with 3.3M half a minute.
_OF_LLM = 0.67
_START_SECONDS = 3.0  # mostly the import of torch, which each worker repeats on the same cores
_REPORT_SECONDS = 1.0
_FIGURES_SECONDS = 0.5  # for each file of tests


@dataclass(frozen=True)
class Workload:
    """What the duration of a run's tests depends on.

    Args:
        options: the options of the run.
        samples: the number of samples.
        vision: name -> size of the encoders whose size is known.
        text: name -> size of the LLMs whose size is known.
        embedding: name of a model -> seconds to embed all samples with it.
        timed: whether anything is timed, which is not the case if tests are distributed to workers.
        speed_asked: whether the run is for speed, so that everything is timed thoroughly.
    """

    options: Options
    samples: int = MEASURED_SAMPLES
    vision: Mapping[str, ModelSize] = field(default_factory=dict)
    text: Mapping[str, ModelSize] = field(default_factory=dict)
    embedding: Mapping[str, float] = field(default_factory=dict)
    timed: bool = True
    speed_asked: bool = False

    def seconds(self, tests: Sequence[str]) -> dict[str, float]:
        """Return node id -> seconds on the machine of the packaged costs, without embedding.

        Only embedding under other options is counted, with the first test that needs it.
        """
        parts, seconds, embedded = _parts(), {}, set()
        for test in tests:
            function = function_of(test)
            part = parts.get(function, Part("", compute=list))
            cost = part.cost
            seconds[test] = self._timing(cost) if part.timed else self._computation(test, cost)
            seconds[test] += sum(self._others(test, *other) for other in part.computes(self.options))
            for name in named_in([test], tuple(self.embedding)) if cost.passes else ():
                if (function, name) not in embedded:
                    embedded.add((function, name))
                    seconds[test] += cost.passes * self.embedding[name]
        return seconds

    def _timing(self, cost: Cost) -> float:
        asked = cost.seconds if cost.asked is None or not self.speed_asked else cost.asked
        return asked if self.timed else 0.0

    def _others(self, test: str, experiment: Experiment, part: Part) -> float:
        """Return the seconds of the cells of another experiment that a test computes for one encoder."""
        own = replace(self, options=self.options.with_defaults(defaults_of(experiment.name)))
        fixed, optional = part.values(own.options)
        values = product(*fixed.values(), *optional.values())
        tests = [f"{test.removesuffix(']')}-{'-'.join(map(str, some))}]" for some in values]
        return sum(own._computation(one, part.cost) for one in tests)

    def _computation(self, test: str, cost: Cost) -> float:
        relative = self.samples / MEASURED_SAMPLES
        others = [cost.other[name] for name in named_in([test], tuple(cost.other))]
        cost = max(others, key=lambda other: other.seconds, default=cost)
        if cost.grows == "samples":
            return cost.seconds * max(1.0, relative)
        encoder, llm = (self._size(test, of) for of in ("vision", "text"))
        options = self.options.with_defaults(cost.options)
        repeats = math.prod(float(options[name]) / value for name, value in cost.options.items())
        if cost.grows == "llm":
            size = 1 - _OF_LLM + _OF_LLM * llm.parameters / _MINI_TEXT.parameters
            return cost.seconds * repeats * size * relative
        projector = projector_of(test)
        share = _SHARE[projector] / _SHARE["linear"]
        dx, dy = encoder.width or 0, llm.width or 0
        work = _work(projector, dx, dy) * self.samples
        usual = _work(projector, _MINI_VISION.width or 0, _MINI_TEXT.width or 0) * MEASURED_SAMPLES
        axes = 0.0
        if projector == OF_PATCHES and dx > MOST_WIDTH:
            axes = _AXES_SECONDS * (dx / _AXES_WIDTH) ** 2
        return cost.seconds * share * repeats * (1 - _OF_WORK + _OF_WORK * work / usual) + axes

    def _size(self, test: str, side: str) -> ModelSize:
        sizes, usual = (self.vision, _MINI_VISION) if side == "vision" else (self.text, _MINI_TEXT)
        # A test that names no model of a side computes with any of them.
        known = [sizes[name] for name in named_in([test], tuple(sizes)) or sizes]
        return ModelSize(
            max((size.parameters for size in known), default=0) or usual.parameters,
            max((size.width or 0 for size in known), default=0) or usual.width,
        )


def _parts() -> dict[str, Part]:
    """Return name of a test function -> the part that it computes."""
    return {
        test: part
        for experiment in experiments()
        for part in experiment.parts
        for test in experiment.tests(part)
    }


def overhead(tests: Sequence[str], options: Options, workers: int = 1) -> float:
    """Return the seconds that a run takes outside of its tests: starting, the report and its figures.

    Args:
        tests: the node ids of the tests.
        options: the options of the run.
        workers: the number of workers.
    """
    files = {test.partition("::")[0] for test in tests}
    figures = len(files) * _FIGURES_SECONDS if options.figures else 0.0
    return _START_SECONDS * workers + _REPORT_SECONDS + figures


def function_of(test: str) -> str:
    """Return the name of a test's function, without its file and parameters."""
    return test.partition("[")[0].rpartition("::")[2]


def projector_of(test: str) -> str:
    """Return the projector that a test's parameters name, "linear" if they name none."""
    parameters = test.partition("[")[2]
    return next((name for name in PROJECTORS if name in parameters.replace("]", "-").split("-")), "linear")


def _work(projector: str, dx: int, dy: int) -> float:
    """Return the number of a projector's parameters, to which the work of a training step is proportional."""
    inner = min(dx, MOST_WIDTH)
    parameters = {
        "linear": dx * dy,
        "mlp": dx * dy + dy * dy,
        "2layer_mlp": dx * dy + dy * dy,
        "cross_attention": 3 * inner * inner + inner * dy,
    }
    return float(parameters[projector])
