"""What a figure declares about itself beside its drawing code, and the registry of all figures.

Nothing here imports matplotlib. The modules of the figures are imported when the first figure is asked for.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from alignbench.errors import ConfigError
from alignbench.plots.inputs import FigureInputs
from alignbench.plots.style import styled
from alignbench.registry import Registry
from alignbench.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from matplotlib.figure import Figure

    Draw = Callable[[FigureInputs], Figure | None]

Source = TypeVar("Source", contravariant=True)


@dataclass(frozen=True, slots=True)
class Caption:
    """The text that stands with a figure.

    Args:
        title: what the figure is about, as a question where it answers one.
        read: how to read it.
        not_shown: what it does not show, or must not be taken for.
    """

    title: str
    read: str = "The notes in the picture say how to read it."
    not_shown: str = "Whether a difference is more than chance: see the intervals in the table of scores."


@dataclass(frozen=True, slots=True)
class FigureSpec(Generic[Source]):
    """A figure: the function that draws it, and everything that a report has to know about it.

    Args:
        draw: returns the figure, or None if the data that it needs was not recorded.
        caption: the caption in a report; with None, a caption is made from the figure's name.
        experiments: the experiments whose runs draw it; where it is missing, the first one is named.
        shows: the experiments whose scores and arrays it shows.
        requires: what the selection of models must include; it follows the word "takes".
    """

    draw: Callable[[Source], Figure | None]
    caption: Caption | None = None
    experiments: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    requires: str = ""

    def __call__(self, source: Source) -> Figure | None:
        """Draw the figure."""
        return self.draw(source)


def declare_figure(
    *experiments: str, caption: Caption | None = None, shows: tuple[str, ...] = (), requires: str = ""
) -> Callable[[Callable[[Source], Figure | None]], FigureSpec[Source]]:
    """Decorate a function that draws a figure: it becomes a `FigureSpec` and draws in our style.

    Args:
        experiments: the experiments whose runs draw it.
        caption: the caption in a report.
        shows: the experiments whose scores and arrays it shows, if they are not `experiments`.
        requires: what the selection of models must include; it follows the word "takes".
    """

    def declare(draw: Callable[[Source], Figure | None]) -> FigureSpec[Source]:
        return FigureSpec(styled(draw), caption, experiments, shows or experiments, requires)

    return declare


class FigureRegistry(Registry[FigureSpec[FigureInputs]]):
    """All figures of a run: those of the experiments first, then those that others add.

    Args:
        modules: `"module:function"`, a function that returns module -> the experiment whose figures the
            module declares. It is imported only when a figure is asked for, since experiments import plots.
    """

    def __init__(self, modules: str) -> None:
        super().__init__("figure", "alignbench.figures")
        self._modules = modules
        self._imported_modules: set[str] = set()

    def add(
        self, name: str, entry: FigureSpec[FigureInputs] | Callable[[FigureInputs], Figure | None] | str
    ) -> None:
        """Register a figure, as `Registry.add` does."""
        self._take_in_experiments()
        super().add(
            name, FigureSpec(entry) if callable(entry) and not isinstance(entry, FigureSpec) else entry
        )

    def remove(self, name: str) -> None:
        """Forget a figure, as `Registry.remove` does."""
        self._take_in_experiments()
        super().remove(name)

    def get(self, name: str) -> FigureSpec[FigureInputs]:
        """Return a figure; a plain function that an entry point names becomes a figure without a caption."""
        entry = super().get(name)
        return entry if isinstance(entry, FigureSpec) else FigureSpec(entry)

    def _take_in_entry_points(self) -> None:
        self._take_in_experiments()
        super()._take_in_entry_points()

    def _take_in_experiments(self) -> None:
        source, _, attribute = self._modules.partition(":")
        for name, experiment in getattr(importlib.import_module(source), attribute)().items():
            if name not in self._imported_modules:
                for figure, spec in _declared(name, experiment).items():
                    super().add(figure, spec)
                self._imported_modules.add(name)


FIGURES = FigureRegistry("alignbench.experiments:figure_modules")
"""Name of the file -> the figure."""


def figures_of(experiment: str) -> tuple[str, ...]:
    """Return the figures that a run of the experiment draws, in the order in which a report shows them."""
    return tuple(name for name in FIGURES if experiment in FIGURES.get(name).experiments)


def caption_of(name: str) -> Caption:
    """Return the caption of a figure; one that nobody described gets a general caption."""
    spec = _spec(name)
    if spec is not None and spec.caption is not None:
        return spec.caption
    return Caption(clean(name.replace("_", " ")).strip().capitalize() or "A figure")


def not_drawn(drawn: Collection[str]) -> dict[str, list[str]]:
    """Return command -> the missing figures that it draws; each figure stands under one command only.

    Args:
        drawn: the names of the figures that exist; if there are none at all, no figures were asked for.
    """
    missing: dict[str, list[str]] = {}
    if not drawn:
        return missing
    for name in FIGURES:
        experiments = FIGURES.get(name).experiments
        if experiments and name not in drawn:
            missing.setdefault(f"alignbench {experiments[0].replace('_', '-')}", []).append(name)
    return missing


def needs_of(name: str) -> str:
    """Return what the figure needs besides its command, in brackets, or ""."""
    spec = _spec(name)
    return f" (takes {spec.requires})" if spec is not None and spec.requires else ""


def shown_in(name: str) -> tuple[str, ...]:
    """Return the experiments whose scores and arrays a figure shows; none for an undeclared figure."""
    spec = _spec(name)
    return () if spec is None else spec.shows


def _spec(name: str) -> FigureSpec[FigureInputs] | None:
    return FIGURES.get(name) if name in FIGURES else None


def _declared(name: str, experiment: str) -> dict[str, FigureSpec[FigureInputs]]:
    """Return the figures that a module declares, in the order of their declarations."""
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"experiment {experiment!r}: can't import its figures, {name} ({error})") from error
    figures = {
        attribute: value
        for attribute, value in vars(module).items()
        if isinstance(value, FigureSpec) and value.draw.__module__ == name
    }
    if not figures:
        raise ConfigError(f"experiment {experiment!r}: {name} declares no figure; use @declare_figure there")
    return figures
