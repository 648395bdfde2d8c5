"""What tests of figures share: a score without a value, and what they read off a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# what is changed of a score to make it one that can't be computed
NOT_APPLICABLE: dict[str, Any] = {
    "value": None,
    "status": "not_applicable",
    "reason": "zero variance in x",
    "interval": None,
    "null": None,
    "deletions": (),
}


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def texts(figure: Figure) -> list[str]:
    """Return all that is written in a figure."""
    import matplotlib.text

    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


def axes_titled(figure: Figure, title: str) -> Axes:
    [found] = [ax for ax in figure.axes if ax.get_title(loc="left") == title]
    return found


def bars(ax: Axes) -> list[Any]:
    """Return the bars that are values, without the bands of the null."""
    patches: list[Any] = list(ax.patches)
    return [patch for patch in patches if patch.get_height() < 0.7]
