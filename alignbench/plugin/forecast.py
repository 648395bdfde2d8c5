"""The expected duration of a run: estimated for the plan, updated while it runs, and corrected at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plugin.bridge import why_not
from alignbench.plugin.costs import Workload, function_of, overhead
from alignbench.plugin.heartbeat import Heartbeat
from alignbench.plugin.terminal import embedding_seconds, model_seconds
from alignbench.session.rates import Rates, slowness
from alignbench.session.selection import named_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

    from alignbench.datasets import Dataset
    from alignbench.plugin.terminal import PendingModel
    from alignbench.session.session import Session
    from alignbench.weights.sizes import ModelSize


class Forecast:
    """The expected duration of a run's tests on this machine.

    Args:
        config: pytest's configuration.
        session: the session of the run.
    """

    def __init__(self, config: pytest.Config, session: Session) -> None:
        self._config, self._session = config, session
        self._heartbeat = Heartbeat(config)
        config.pluginmanager.register(self._heartbeat, "alignbench-heartbeat")
        self._rates: Rates | None = None
        self._work: Mapping[str, float] = {}
        self._slowness = 1.0

    def begin(
        self, tests: Sequence[str], models: Sequence[PendingModel], dataset: Dataset, workers: int
    ) -> float:
        """Return about how many seconds the run takes, and begin to report its progress.

        Args:
            tests: the node ids of the tests.
            models: the models that the tests need.
            dataset: the samples.
            workers: the number of workers that share the tests.
        """
        options = self._session.options
        self._rates = Rates.of_machine(options.device, keep=options.embedding_cache)
        self._slowness = slowness()
        embedding = {
            model.name: embedding_seconds(model, len(dataset), options.device)
            for model in models
            if not model.arrays
        }
        workload = Workload(
            options,
            len(dataset),
            _sizes(models, "vision"),
            _sizes(models, "text"),
            embedding,
            timed=why_not(self._config) is None,
            speed_asked="speed" in self._config.option.markexpr,
        )
        self._work = workload.seconds(tests)
        expected = {test: work * self._rates.factor(function_of(test)) for test, work in self._work.items()}
        names = [model.name for model in models]
        for model in models:
            # A model is loaded and embeds for the first test that names it, or for the first one of all.
            first = next((test for test in tests if model.name in named_in([test], names)), tests[0])
            expected[first] += model_seconds(model, options.device)
        expected = {test: seconds * self._slowness for test, seconds in expected.items()}
        self._heartbeat.begin(expected, workers)
        return sum(expected.values()) / workers + overhead(tests, options, workers) * self._slowness

    def note(self, report: pytest.TestReport) -> None:
        """Learn the duration of a test that has passed, for later tests of the same function."""
        work = self._work.get(report.nodeid, 0.0)
        if self._rates is not None and report.when == "call" and report.passed and work:
            self._rates.learn(function_of(report.nodeid), work, report.duration)

    def end(self) -> None:
        """Keep the durations for later runs."""
        if self._rates is not None:  # the machine may have become busier or quieter since `begin`
            self._rates.save((self._slowness + slowness()) / 2)


def _sizes(models: Sequence[PendingModel], side: str) -> dict[str, ModelSize]:
    """Return name -> size of the models of a side whose size is known."""
    return {model.name: model.size for model in models if model.info.side == side and model.size is not None}
