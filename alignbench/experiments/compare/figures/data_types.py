"""The figure of encoders by data type, with those that tie with the best."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
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

BY_TYPE = ("calibrated_cka", "debiased_cka", "mutual_knn", "ridge_r2")
MOST_TYPES = 6
WORSE = "#D9D9D9"
MOST_CHARACTERS = 52  # of a verdict above a panel


@declare_figure(
    "compare",
    caption=Caption(
        "Which encoder fits on which data type?",
        "A panel a type. Coloured: the best on this type, or, marked =, those that are too close to call; "
        "pale: worse by more than chance, or no encoder beats shuffled pairs here.",
        "That types differ: each panel is judged by itself, on a third or less of the data. Of many "
        "types, some put another encoder first by chance.",
    ),
)
def cka_by_data_type(inputs: FigureInputs) -> Figure | None:
    """Draw each encoder's alignment on each data type; what may be the best is in colour."""
    scores = [
        s for s in inputs.scores if s.experiment == "compare" and s.data_type != ALL and s.encoder and s.llm
    ]
    metric = next((m for m in BY_TYPE if any(s.metric == m for s in scores)), None)
    if metric is None:
        return None
    own = pick(scores, metric)
    types = list(dict.fromkeys(s.data_type for s in own))
    shown = types[:MOST_TYPES]
    cells = by_block(own, lambda s: (str(s.llm), s.data_type))
    orders = encoders_by_llm(own, inputs)
    llms, blocks = list(orders), llm_blocks(orders, inputs)
    columns = [Column(data_type, [cells.get((llm, data_type), {}) for llm in llms]) for data_type in shown]
    ranked = {key: inputs.standing(here) for key, here in cells.items()}

    def colour(score: Score) -> str:
        standing = ranked[str(score.llm), score.data_type]
        worse = _is_known(standing) and score.encoder not in standing.answer
        return WORSE if worse else inputs.colour(score)

    figure = new_figure(2.0 + 2.6 * max(2, len(shown)), 1.7 + table_height(blocks, heading=0.45))
    axes = score_table(figure, blocks, columns, colour, sharex="all", sharey="row")
    lines = [0]
    for row, (llm, block) in enumerate(zip(llms, blocks, strict=True)):
        for column, data_type in enumerate(shown):
            if (llm, data_type) in ranked:
                told = _verdict(axes[row, column], ranked[llm, data_type], list(block.rows), inputs)
                lines.append(told if row == 0 else 0)
    for ax, data_type in zip(axes[0], shown, strict=True):
        n = next((s.n for s in cells.get((llms[0], data_type), {}).values()), 0)
        ax.set_title(f"{fit(clean(data_type), 24)} (n = {n})" + "\n" * max(lines))
    low, high = axes[0, 0].get_xlim()
    axes[0, 0].set_xlim(low, high + 0.3 * (high - low))  # room for "best" beside the numbers
    entitle(
        figure,
        f"Which encoder fits on which data type? ({metric})",
        f"Coloured: the type's best, or, marked =, those that are {TOO_CLOSE} (paired differences, "
        "studentised range). Pale: worse by more than chance, or no encoder beats shuffled pairs here.",
        reading_notes(own),
        *left_out(len(shown), len(types), "data types"),
    )
    return figure


def _is_known(standing: Standings) -> bool:
    return standing.tie_groups is not None and len(standing.order) > 1


def _verdict(ax: Axes, standing: Standings, encoders: list[str], inputs: FigureInputs) -> int:
    """Write the verdict above the panel and mark who is in it; return how many lines it has."""
    told = wrap(headline(standing, inputs.label), MOST_CHARACTERS)
    beside(ax, "\n".join(told), (0, 1), (0, 3), "axes fraction", color=MUTED)
    look = {"fontweight": "bold", "color": INK} if standing.winner else {"color": MUTED}
    for encoder in standing.answer if _is_known(standing) else ():
        at = (1, encoders.index(encoder))
        mark = "best" if standing.winner else "="
        beside(ax, mark, at, (-2, 0), ("axes fraction", "data"), ha="right", va="center", **look)
    return len(told)
