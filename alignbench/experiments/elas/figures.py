"""The figure of ELAS: the sum and its parts for every encoder with every LLM, beside shuffled pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.plots.cells import draw_cells
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick
from alignbench.plots.marks import sample_note
from alignbench.plots.style import MUTED, SEQUENTIAL, entitle, new_figure
from alignbench.projectors import RIDGE
from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

    Row = tuple[str, str]
    Cells = Mapping[tuple[Row, str], Score]

PARTS = {
    "linear_cka": "0.3 × linear CKA",
    "1 - mse": "0.3 × (1 − MSE / variance)",
    "1 - gap": "0.2 × (1 − gap of train and test)",
    "cosine": "0.2 × cosine of held-out pairs",
}
MOST_ROWS, MOST_COLUMNS = 16, 10


@declare_figure(
    "elas",
    caption=Caption(
        "ELAS: does a linear projector work on new pairs?",
        "Each row is an encoder, each column an LLM: ELAS with its 95% interval and, in brackets, its value "
        "on shuffled pairs. The four parts are around it.",
        "Alignment by the first part alone, which is biased upwards if n is small. A small gap between "
        "training and test is easy if nothing is learnt.",
    ),
)
def elas_matrix(inputs: FigureInputs) -> Figure | None:
    """Draw ELAS of each encoder with each LLM, and its four parts as small multiples.

    A row is an encoder or, if several projectors were trained, an encoder with a projector.
    """
    scores = [s for s in pick(inputs.of("elas"), "elas") if s.encoder and s.llm]
    if not any(score.value is not None for score in scores):
        return None
    cells = {((str(s.encoder), s.variant), str(s.llm)): s for s in scores}
    encoders = sorted({row for row, _ in cells}, key=lambda row: (inputs.place(row[0]), row[1]))
    llms = sorted({llm for _, llm in cells}, key=inputs.place)
    shown = (encoders[:MOST_ROWS], llms[:MOST_COLUMNS])
    width = 1.9 + max(2.4, 1.15 * len(shown[1]))
    wide = 3 * width <= 14
    height = 0.5 + max(1.6, 0.52 * len(shown[0]))
    figure = new_figure(
        3 * width if wide else min(14.0, max(7.0, 2 * width)), 1.4 + (2 if wide else 3) * height
    )
    grid = (["sum", *list(PARTS)[:2]], ["note", *list(PARTS)[2:]])
    rows = grid if wide else (["sum", "note"], list(PARTS)[:2], list(PARTS)[2:])
    axes = figure.subplot_mosaic([list(row) for row in rows])
    _panel(axes["sum"], inputs, cells, shown, "ELAS", _sum)
    for part, title in PARTS.items():
        _panel(axes[part], inputs, cells, shown, title, _part(part))
    _explain(axes["note"], scores)
    cut = len(encoders) > MOST_ROWS or len(llms) > MOST_COLUMNS
    variants = {score.variant for score in scores}
    which = f"a {variants.pop() or 'linear'} projector" if len(variants) == 1 else "a projector"
    entitle(
        figure,
        f"ELAS: does {which} work on new pairs?{sample_note(scores)}",
        "Each cell: the value, its 95% interval (only for the sum), and in brackets the value after training "
        "on shuffled pairs. Parts are shown before they are weighted; colours run from 0 to 1, higher is "
        "better." + (f" Not all of {len(encoders)} rows and {len(llms)} LLMs are shown." if cut else ""),
    )
    return figure


def _sum(score: Score) -> tuple[float, str]:
    value = float(score.value or 0.0)
    lines = [f"{value:.2f}"]
    if score.interval is not None:
        lines.append(f"{score.interval.low:.2f} to {score.interval.high:.2f}")
    if score.null is not None and score.null.mean is not None:
        lines.append(f"({score.null.mean:.2f})")
    return value, "\n".join(lines)


def _part(part: str) -> Callable[[Score], tuple[float, str]]:
    def read(score: Score) -> tuple[float, str]:
        value = score.params.get("parts", {}).get(part)
        if value is None:
            return float("nan"), "not recorded"
        shuffled = score.params.get("shuffled_parts", {}).get(part)
        return float(value), f"{value:.2f}" + ("" if shuffled is None else f"\n({shuffled:.2f})")

    return read


def _panel(
    ax: Axes,
    inputs: FigureInputs,
    cells: Cells,
    shown: tuple[Sequence[Row], Sequence[str]],
    title: str,
    read: Callable[[Score], tuple[float, str]],
) -> None:
    encoders, llms = shown
    values = np.full((len(encoders), len(llms)), np.nan)
    written = [["" for _ in llms] for _ in encoders]
    for i, encoder in enumerate(encoders):
        for j, llm in enumerate(llms):
            score = cells.get((encoder, llm))
            if score is not None and score.value is not None:
                values[i, j], written[i][j] = read(score)
            elif score is not None:
                written[i][j] = "n/a"
    draw_cells(ax, values, 0, 1, SEQUENTIAL, written, size=7)
    ax.set_xticks(range(len(llms)), [inputs.title(llm, 16) for llm in llms])
    if len(llms) > 2 and max(len(inputs.label(llm)) for llm in llms) > 12:
        ax.tick_params(axis="x", labelrotation=30)
    several = len({projector for _, projector in encoders}) > 1
    ax.set_yticks(
        range(len(encoders)),
        [
            inputs.title(encoder) + (f"\n{projector or 'linear'}" if several else "")
            for encoder, projector in encoders
        ],
    )
    ax.set_title(title)


def _how_trained(params: Mapping[str, Any]) -> list[str]:
    splits = f"{params.get('splits', '?')} splits of the groups, each"
    if params.get("loss") == RIDGE:
        return [f"{splits} solved", "in closed form with a penalty on the weights."]
    return [
        f"{splits} trained from",
        f"{params.get('seeds', '?')} initial weights for {params.get('epochs', '?')} epochs.",
    ]


def _explain(ax: Axes, scores: Sequence[Score]) -> None:
    """Write in the free panel how the projectors were trained."""
    params = next((s.params for s in scores if s.value is not None), {})
    spreads = [s.params["seed_spread"] for s in scores if s.params.get("seed_spread") is not None]
    lines = _how_trained(params)
    if spreads:
        lines.append(f"Spread between seeds: at most {number(max(spreads))}.")
    lines += [
        "linear CKA is of all pairs and before any",
        "training: it is biased upwards if n is",
        "small, also for shuffled pairs.",
    ]
    ax.set_axis_off()
    ax.text(0, 0.95, "\n".join(lines), va="top", fontsize=8, color=MUTED, transform=ax.transAxes)
