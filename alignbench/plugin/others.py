"""Tests of experiments that others registered: one for each part, like the tests in benchmarks/."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.experiments import BUILT_IN, experiments

if TYPE_CHECKING:
    from collections.abc import Callable

    from alignbench.experiments import Part


def registered_tests() -> dict[str, Callable[..., None]]:
    """Return name -> test function for every part of every experiment that is not built in."""
    return {
        experiment.tests(part)[1]: getattr(pytest.mark, experiment.name)(_test(part))
        for experiment in experiments()
        if experiment.name not in BUILT_IN
        for part in experiment.parts
    }


def _test(part: Part) -> Callable[..., None]:
    """Return the test of a part, which asks for the fixtures that the part's cells are computed from."""

    def test(**fixtures: Any) -> None:
        cell = [fixtures[unit] for unit in part.of if unit != "selection"]
        values = {name: fixtures[name] for name in part.sweep}
        if part.timed:
            fixtures["stopwatch"](fixtures["part"].work(*cell, **values))
        else:
            fixtures["part"](*cell, **values)

    names = [*part.sweep, *part.of, "part"]
    if part.timed:
        names.append("stopwatch")
    parameters = [Parameter(name, Parameter.KEYWORD_ONLY) for name in names]
    test.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return test
