"""The note under a figure of what is missing from it because tests failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.failures import gaps
from alignbench.plots.declared import shown_in
from alignbench.plots.style import MUTED, NOTE_LETTERS_AN_INCH, styled
from alignbench.text import cut
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.figure import Figure

    from alignbench.types import Failure, Score

_MOST_LINES = 3
_NOTE_WIDTH = 160  # columns of a line
_LINE_HEIGHT = 0.14  # inches


@styled
def note_missing(figure: Figure, name: str, failures: Sequence[Failure], scores: Iterable[Score]) -> None:
    """Say under a figure what is missing from it, and why.

    Args:
        figure: is changed.
        name: of its file.
        failures: of the run.
        scores: of the run.
    """
    found = gaps(shown_in(name), failures, scores)
    if not found:
        return
    width = min(_NOTE_WIDTH, int(figure.get_figwidth() * NOTE_LETTERS_AN_INCH))
    lines = [cut(f"Missing: {gap}", width) for gap in found[:_MOST_LINES]]
    if len(found) > _MOST_LINES:
        lines.append(f"and {plural(len(found) - _MOST_LINES, 'other gap')}: see the report")
    figure.set_figheight(figure.get_figheight() + _LINE_HEIGHT * len(lines))
    before = figure.get_supxlabel()
    text = "\n".join([*([before] if before else []), *lines])
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8, color=MUTED)
