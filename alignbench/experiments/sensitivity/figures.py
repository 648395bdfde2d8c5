"""The figure of sensitivity: each encoder's score under every variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import beside, left_out, legend_mark, name_rows
from alignbench.plots.style import MUTED, entitle, new_figure
from alignbench.stats.variations import AS_SCORED, METRIC, OF
from alignbench.stats.verdict import TOO_CLOSE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.stats.variations import Variation
    from alignbench.types import Score

MOST_LLMS = 3
MOST_NAMED = 6
FEW = 4  # encoders whose names fit in full above the figure


@declare_figure(
    "sensitivity",
    caption=Caption(
        "Does the ranking survive other choices?",
        "Each row changes one choice of pooling, layer, fit or scaling. Each mark is an encoder, and its "
        "line the 95% interval. τ compares the ranking of the encoders with the ranking as scored (1: the "
        "same). =: the encoder that is first as scored is also first here, or too close to call.",
        "Which choice is right, or what two changes do together. The score of the variant that looks best is "
        "too high, since its interval ignores that it was picked.",
    ),
)
def sensitivity(inputs: FigureInputs) -> Figure | None:
    """Draw each encoder's score under every variant, with its interval and Kendall's τ of the ranking."""
    rows = inputs.variations
    llms = inputs.ordered(row.llm for row in rows)[:MOST_LLMS]
    if not llms:
        return None
    names = list(dict.fromkeys(row.variant for row in rows))
    encoders = inputs.ordered(encoder for row in rows for encoder in row.values)
    legend = _legend(encoders[:MOST_NAMED], inputs)
    length = sum(0.45 + 0.075 * len(str(handle.get_label())) for handle in legend)
    figure = new_figure(max(2.6 + 3.6 * len(llms), length), 2.0 + 0.4 * len(names))
    axes = figure.subplots(1, len(llms), squeeze=False)[0]
    scores = {(s.llm, s.variant, s.encoder): s for s in inputs.scores if s.metric == METRIC}
    for ax, llm in zip(axes, llms, strict=True):
        for row in (r for r in rows if r.llm == llm):
            _row(ax, names.index(row.variant), row, encoders, scores, inputs)
        name_rows(ax, [_row_name(name, rows) for name in names], labelled=ax is axes[0])
        ax.axhline(0.5, color=MUTED, linewidth=0.8)
        ax.margins(x=0.05)
        ax.set_xlabel(OF)
        ax.set_title(inputs.title(llm))
        beside(ax, "τ  first", (1, 1), (6, 3), "axes fraction", color=MUTED)
    entitle(
        figure,
        "Does the ranking survive other choices?",
        "One choice is changed at a time. Hollow: an encoder without this variant, as scored.",
        "Lines: 95% intervals. Kendall's τ compares the ranking with the one as scored (1: the same).",
        f"=: the encoder that is first as scored is also first here, or {TOO_CLOSE}.",
        *left_out(len(legend), len(encoders), "encoders are named above"),
        legend=legend,
    )
    return figure


def _row(
    ax: Axes,
    at: int,
    row: Variation,
    encoders: Sequence[str],
    scores: dict[tuple[str | None, str, str | None], Score],
    inputs: FigureInputs,
) -> None:
    for place, encoder in enumerate(encoders):
        if encoder not in row.values:
            continue
        y = at + 0.5 * ((place + 0.5) / len(encoders) - 0.5)
        look, same = inputs.look(encoder), encoder in row.unchanged
        score = scores.get((row.llm, AS_SCORED if same else row.variant, encoder))
        if score is not None and score.interval is not None:
            ax.plot([score.interval.low, score.interval.high], [y, y], color=look.colour, linewidth=0.9)
        face = "white" if same else look.colour
        ax.plot(row.values[encoder], y, look.marker, color=look.colour, markerfacecolor=face, markersize=4.5)
    if row.tau is not None:
        first = "=" if row.keeps_first else "other"
        text, where = f"{row.tau:.2f}  {first}", ("axes fraction", "data")
        beside(ax, text, (1, at), (6, 0), where, va="center", annotation_clip=False)


def _row_name(name: str, rows: Sequence[Variation]) -> str:
    """Return the name of a variant, with the number of encoders that have it if not all do."""
    changed = {e for row in rows if row.variant == name for e in row.values if e not in row.unchanged}
    everyone = {e for row in rows for e in row.values}
    return name if changed == everyone else f"{name} ({len(changed)} of {len(everyone)})"


def _legend(encoders: Sequence[str], inputs: FigureInputs) -> list[Artist]:
    width = 30 if len(encoders) <= FEW else 18
    looks = {encoder: inputs.look(encoder) for encoder in encoders}
    return [legend_mark(inputs.label(e, width), look.marker, look.colour) for e, look in looks.items()]
