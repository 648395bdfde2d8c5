"""The figure of encoders by data type, which marks the best encoder and those that tie with it."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
from alignbench.experiments.compare import BY_TYPE
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick
from alignbench.plots.marks import beside, left_out, reading_notes
from alignbench.plots.panels import Column, by_block, encoders_by_llm, llm_blocks, score_table, table_height
from alignbench.plots.style import INK, MUTED, entitle, new_figure
from alignbench.stats.verdict import TOO_CLOSE, headline
from alignbench.text import clean, fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.stats import Standings
    from alignbench.types import Score

MOST_TYPES = 6
WORSE = "#D9D9D9"
MOST_CHARACTERS = 52  # of a verdict above a panel


@declare_figure(
    "compare",
    caption=Caption(
        "Which encoder fits on which data type?",
        "Each panel is a data type. Coloured: the best encoder on this type or, marked =, those that are too "
        "close to call. Pale: worse by more than chance, or no encoder beats shuffled pairs here.",
        "Whether types differ: each panel is judged by itself, on a third or less of the data. Of many "
        "types, some put another encoder first by chance.",
    ),
)
def cka_by_data_type(inputs: FigureInputs) -> Figure | None:
    """Draw each encoder's alignment on each data type; encoders that may be the best are in colour."""
    scores = [
        s for s in inputs.scores if s.experiment == "compare" and s.data_type != ALL and s.encoder and s.llm
    ]
    metric = next((m for m in BY_TYPE if any(s.metric == m for s in scores)), None)
    if metric is None:
        return None
    picked = pick(scores, metric)
    types = list(dict.fromkeys(s.data_type for s in picked))
    shown = types[:MOST_TYPES]
    cells = by_block(picked, lambda s: (str(s.llm), s.data_type))
    orders = encoders_by_llm(picked, inputs)
    llms, blocks = list(orders), llm_blocks(orders, inputs)
    columns = [Column(data_type, [cells.get((llm, data_type), {}) for llm in llms]) for data_type in shown]
    rankings = {key: inputs.standing(of_cell) for key, of_cell in cells.items()}

    def colour(score: Score) -> str:
        standing = rankings[str(score.llm), score.data_type]
        worse = _is_known(standing) and score.encoder not in standing.answer
        return WORSE if worse else inputs.colour(score)

    figure = new_figure(2.0 + 2.6 * max(2, len(shown)), 1.7 + table_height(blocks, heading=0.45))
    axes = score_table(figure, blocks, columns, colour, sharex="all", sharey="row")
    most_lines = 0  # of the verdicts between the titles and the first row of panels
    for row, (llm, block) in enumerate(zip(llms, blocks, strict=True)):
        for column, data_type in enumerate(shown):
            if (llm, data_type) in rankings:
                lines = _verdict(axes[row, column], rankings[llm, data_type], list(block.rows), inputs)
                if row == 0:
                    most_lines = max(most_lines, lines)
    for ax, data_type in zip(axes[0], shown, strict=True):
        n = next((s.n for s in cells.get((llms[0], data_type), {}).values()), 0)
        ax.set_title(f"{fit(clean(data_type), 24)} (n = {n})" + "\n" * most_lines)
    low, high = axes[0, 0].get_xlim()
    axes[0, 0].set_xlim(low, high + 0.3 * (high - low))  # room for "best" beside the numbers
    entitle(
        figure,
        f"Which encoder fits on which data type? ({metric})",
        f"Coloured: the type's best encoder or, marked =, those that are {TOO_CLOSE} (paired differences, "
        "studentised range). Pale: worse by more than chance, or no encoder beats shuffled pairs here.",
        reading_notes(picked),
        *left_out(len(shown), len(types), "data types"),
    )
    return figure


def _is_known(standing: Standings) -> bool:
    return standing.tie_groups is not None and len(standing.order) > 1


def _verdict(ax: Axes, standing: Standings, encoders: list[str], inputs: FigureInputs) -> int:
    """Write the verdict above the panel and mark its encoders; return the number of lines of the verdict."""
    lines = wrap(headline(standing, inputs.label), MOST_CHARACTERS)
    beside(ax, "\n".join(lines), (0, 1), (0, 3), "axes fraction", color=MUTED)
    look = {"fontweight": "bold", "color": INK} if standing.winner else {"color": MUTED}
    mark = "best" if standing.winner else "="
    for encoder in standing.answer if _is_known(standing) else ():
        at = (1, encoders.index(encoder))
        beside(ax, mark, at, (-2, 0), ("axes fraction", "data"), ha="right", va="center", **look)
    return len(lines)
