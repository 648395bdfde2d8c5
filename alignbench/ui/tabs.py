"""The tabs of the page: the experiments that have a place there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.experiments import experiments
from alignbench.plots.declared import figures_of

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    return [
        Tab(
            place.title,
            experiment.command,
            place.about,
            ("encoders", *place.controls),
            (experiment.name, *place.beside),
            figures_of(experiment.name) if place.figures is None else place.figures,
            place.options,
        )
        for experiment in experiments()
        if (place := experiment.tab) is not None
    ]
