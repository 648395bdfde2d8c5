"""Tables of coloured cells with text in them, and frames and hatches that mark some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.style import INK, MUTED, SATURATED_HATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

EMPTY = "#F1F1F1"
FRAME = "#D55E00"
NO_BETTER = "...."  # the hatch of a score that is no better than shuffled pairs


def draw_cells(
    ax: Axes,
    values: NDArray[np.float64],
    low: float,
    high: float,
    cmap: str,
    written: Sequence[Sequence[str]] = (),
    size: float = 7.5,
) -> AxesImage:
    """Draw a table of colours with a text in each cell, in ink that is legible on the cell's colour.

    Args:
        ax: the axes to draw on.
        values: [rows, columns]; NaN becomes pale grey.
        low: the value that gets the colour map's first colour.
        high: the value that gets its last colour.
        cmap: the name of the colour map.
        written: the texts [rows][columns].
        size: the size of the letters, in points.
    """
    from matplotlib import colormaps

    look: Any = {"cmap": colormaps[cmap].with_extremes(bad=EMPTY), "vmin": low, "vmax": high}
    image = ax.imshow(np.ma.masked_invalid(values), aspect="auto", interpolation="nearest", **look)
    for row, line in enumerate(written):
        for column, text in enumerate(line):
            if text:
                known = np.isfinite(values[row, column])
                ink = ink_on(colour_of(image, values[row, column])) if known else MUTED
                cell = ax.text(column, row, text, ha="center", va="center", fontsize=size, color=ink)
                cell.set_in_layout(False)  # it fits into its cell, and measuring hundreds takes time
    rows, columns = values.shape
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    ax.grid(visible=True, which="minor", color="white", linewidth=1.2)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    return image


def colour_of(image: AxesImage, value: float) -> Any:
    """Return the colour (red, green, blue, opacity) that a value has in a table."""
    return image.to_rgba(np.asarray(value)) if np.isfinite(value) else (1.0, 1.0, 1.0, 1.0)


def ink_on(colour: Any) -> str:
    """Return the ink that is legible on a colour."""
    return "white" if float(np.dot(colour[:3], (0.299, 0.587, 0.114))) < 0.5 else INK


def hatch_cell(
    ax: Axes, row: int, column: int, colour: str = "#888888", hatch: str = SATURATED_HATCH
) -> None:
    """Hatch a cell of a table; the default hatch marks a saturated score."""
    from matplotlib.patches import Rectangle

    corner = (column - 0.5, row - 0.5)
    ax.add_patch(Rectangle(corner, 1, 1, fill=False, hatch=hatch, edgecolor=colour, linewidth=0))


def frame_style(*, best: bool) -> dict[str, Any]:
    """Return how the frame of the best cell is drawn, or the frames of those that tie for the best."""
    common = {"fill": False, "edgecolor": FRAME}
    if best:
        return {**common, "linewidth": 2.0, "linestyle": "-"}
    return {**common, "linewidth": 1.3, "linestyle": (0, (2, 1.5))}


def frame_cell(ax: Axes, row: int, column: int, *, best: bool = True) -> None:
    """Frame a cell of a table."""
    from matplotlib.patches import Rectangle

    style = {**frame_style(best=best), "gid": "best" if best else "tied", "zorder": 5}
    ax.add_patch(Rectangle((column - 0.46, row - 0.43), 0.92, 0.86, **style))
