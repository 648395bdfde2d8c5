"""The tabs of the page: the experiments that have a place there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.experiments import experiments
from alignbench.plots.declared import figures_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.experiments import Experiment
    from alignbench.experiments import Tab as Place


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of the page.

    Args:
        name: what stands on it.
        experiment: the command that does the same, and the name of its endpoint and files.
        about: what it answers, in a sentence.
        controls: what can be chosen.
        runs: the experiments that it runs.
        figures: that it may have, in the order in which they are shown.
        options: option -> the value that it has on the page.
    """

    name: str
    experiment: str
    about: str
    controls: tuple[str, ...]
    runs: tuple[str, ...]
    figures: tuple[str, ...]
    options: Mapping[str, Any]


def tabs() -> list[Tab]:
    """Return the tabs, in the order of the experiments."""
    return [_tab(experiment, experiment.tab) for experiment in experiments() if experiment.tab is not None]


def _tab(experiment: Experiment, place: Place) -> Tab:
    runs = (experiment.name, *place.beside)
    return Tab(
        name=place.title,
        experiment=experiment.command,
        about=place.about,
        controls=("encoders", *place.controls),
        runs=runs,
        figures=tuple(dict.fromkeys(name for run in runs for name in figures_of(run))),
        options=place.options,
    )
