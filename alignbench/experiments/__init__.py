"""Experiments: each has a folder with its declaration and the code that computes and draws its scores.

A folder in here is an experiment without being named anywhere; its declaration is imported when needed.
"""

from __future__ import annotations

from pkgutil import iter_modules
from typing import TYPE_CHECKING

from alignbench.errors import ConfigError
from alignbench.experiments.base import Bench, CellResult, Cost, Experiment, Part, Tab
from alignbench.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

EXPERIMENTS: Registry[Experiment] = Registry("experiment", "alignbench.experiments")
"""Name -> experiment; a conftest.py and the entry points of this group can add to it."""

_OURS = {
    folder.name: f"{__name__}.{folder.name}:EXPERIMENT" for folder in iter_modules(__path__) if folder.ispkg
}
# Those that share the folder of another.
_OURS |= {"study": f"{__name__}.validity:STUDY", "all": f"{__name__}.compare:EVERYTHING"}
for _name, _location in _OURS.items():
    EXPERIMENTS.add(_name, _location)
BUILT_IN = frozenset(_OURS)
"""The names of the experiments that have a file of their own in benchmarks/."""


def experiments() -> list[Experiment]:
    """Return all experiments in the order of their places; those without one follow as they were registered.

    Raises:
        ConfigError: one is registered under another name than its own.
    """
    registered = {name: EXPERIMENTS.get(name) for name in EXPERIMENTS.names()}
    for name, experiment in registered.items():
        if experiment.name != name:
            raise ConfigError(
                f"experiment {experiment.name!r} is registered as {name!r}; register it under its own name"
            )
    return sorted(registered.values(), key=lambda experiment: experiment.place)


def figure_modules() -> dict[str, str]:
    """Return module -> the experiment whose figures it declares, in the order in which reports show them."""
    return {module: experiment.name for experiment in experiments() for module in experiment.figures}


def defaults_of(experiment: str) -> Mapping[str, Any]:
    """Return option -> its default in the experiment of this name; empty for an unknown experiment."""
    return EXPERIMENTS.get(experiment).defaults if experiment in EXPERIMENTS else {}


def needing(experiment: str, metric: object) -> Iterator[str]:
    """Yield the other experiments that need a score.

    Args:
        experiment: the experiment that the score is filed under.
        metric: the name of its metric if it compares an encoder with an LLM; else None.
    """
    for other in experiments():
        if any(_needs(via, experiment, metric) for via in _whole(other)):
            yield other.name


def _whole(experiment: Experiment) -> list[Experiment]:
    """Return the experiment and those that it needs as a whole."""
    needed = [EXPERIMENTS.get(name) for name, metrics in experiment.needs.items() if metrics is None]
    return [experiment, *(inner for other in needed for inner in _whole(other))]


def _needs(experiment: Experiment, other: str, metric: object) -> bool:
    if other not in experiment.needs:
        return False
    metrics = experiment.needs[other]
    return metrics is None or metric in metrics


__all__ = [
    "EXPERIMENTS",
    "Bench",
    "CellResult",
    "Cost",
    "Experiment",
    "Part",
    "Tab",
    "defaults_of",
    "experiments",
    "needing",
]
