"""The tabs of the page: one for each experiment that declares a tab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.experiments import experiments
from alignbench.plots.declared import figures_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.experiments import Experiment
    from alignbench.experiments import Tab as DeclaredTab


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of the page.

    Args:
        name: the label of the tab.
        experiment: the command that does the same, and the name of the endpoint and of the files.
        about: the question that it answers, in a sentence.
        controls: the names of its controls.
        runs: the names of the experiments that it runs.
        figures: the names of the figures that it may show, in this order.
        options: option -> its fixed value on the page.
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


def _tab(experiment: Experiment, declared: DeclaredTab) -> Tab:
    runs = (experiment.name, *declared.beside)
    return Tab(
        name=declared.title,
        experiment=experiment.command,
        about=declared.about,
        controls=("encoders", *declared.controls),
        runs=runs,
        figures=tuple(dict.fromkeys(name for run in runs for name in figures_of(run))),
        options=declared.options,
    )
