"""What the results of `Session.run` and of `score_arrays` have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING

from alignbench.errors import InputError
from alignbench.plots import FIGURES
from alignbench.plots.declared import needs_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from alignbench.findings import Findings, Ranking
    from alignbench.plots import FigureInputs
    from alignbench.types import Score


class ScoreView(ABC):
    """Scores, with their findings, figures and tables.

    Attributes:
        scores: the scores, each with null, interval and flags.
    """

    scores: tuple[Score, ...]

    @property
    @abstractmethod
    def findings(self) -> Findings:
        """The rankings, the ties and the best encoder for each LLM."""

    @property
    def ranking(self) -> tuple[Ranking, ...]:
        """A ranking of the encoders for each LLM, the best one first."""
        return self.findings.rankings

    @cached_property
    def inputs(self) -> FigureInputs:
        """What figures are drawn from."""
        return self.findings.figure_inputs()

    def figure(self, name: str) -> Figure:
        """Draw a figure and return it.

        Raises:
            UnknownNameError: there is no figure of that name.
            InputError: the scores are not those that it needs.
        """
        figure = FIGURES.get(name)(self.inputs)
        if figure is None:
            problem = (
                f"figure {name!r}: the scores of {', '.join(self._scored)} do not allow it{needs_of(name)}"
            )
            drawn_by = FIGURES.get(name).experiments
            if drawn_by and not set(drawn_by) & set(self._scored):
                problem += f"; it is a figure of {' and '.join(drawn_by)}"
            raise InputError(problem)
        return figure

    def table(self, width: int = 80) -> str:
        """Return the ranking as the terminal shows it, in lines of at most `width` columns."""
        from alignbench.show import terminal_table

        return "\n".join(terminal_table(self.findings, width))

    @property
    def _scored(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(score.experiment for score in self.scores))

    def __repr__(self) -> str:
        """Return the number of scores and the experiments, because the scores would fill pages."""
        return f"<{type(self).__name__}: {len(self.scores)} scores of {', '.join(self._scored)}>"

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        from alignbench.show.table import html_table

        return html_table(self.scores)
