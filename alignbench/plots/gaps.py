"""The note under a figure that says what is missing from it because tests failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.failures import gaps
from alignbench.plots.declared import shown_in
from alignbench.plots.style import MUTED, NOTE_LETTERS_PER_INCH, styled
from alignbench.text import cut
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.figure import Figure

    from alignbench.types import Failure, Score

_MOST_LINES = 3
_NOTE_WIDTH = 160  # characters of a line
_LINE_HEIGHT = 0.14  # inches


@styled
def note_missing(figure: Figure, name: str, failures: Sequence[Failure], scores: Iterable[Score]) -> None:
    """Write under a figure what is missing from it, and why.

    Args:
        figure: the figure, which is changed.
        name: the name of its file.
        failures: the failed tests of the run.
        scores: the scores of the run.
    """
    missing = gaps(shown_in(name), failures, scores)
    if not missing:
        return
    width = min(_NOTE_WIDTH, int(figure.get_figwidth() * NOTE_LETTERS_PER_INCH))
    lines = [cut(f"Missing: {gap}", width) for gap in missing[:_MOST_LINES]]
    if len(missing) > _MOST_LINES:
        lines.append(f"and {plural(len(missing) - _MOST_LINES, 'other gap')}: see the report")
    figure.set_figheight(figure.get_figheight() + _LINE_HEIGHT * len(lines))
    if notes := figure.get_supxlabel():
        lines.insert(0, notes)
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color=MUTED)
