"""Figures that compare encoders: the CKA family, and CKA on each data type with its tie groups."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.inputs import pick
from alignbench.plots.marks import limit, name_rows, reading_notes, sample_note, score_bars
from alignbench.plots.style import INK, MUTED, entitle, new_figure
from alignbench.plots.text import clean, fit
from alignbench.plots.verdict import TOO_CLOSE, headline
from alignbench.stats import standings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

FAMILY = ("calibrated_cka", "debiased_cka", "linear_cka", "rbf_cka")
BY_TYPE = ("calibrated_cka", "debiased_cka", "mutual_knn", "ridge_r2")
MOST_TYPES = 6
WORSE = "#D9D9D9"
MOST_CHARACTERS = 52  # of a verdict above a panel


@declare_figure(
    "cka",
    "compare",
    shows=("cka",),
    caption=Caption(
        "Does the similarity measure matter?",
        "Bars: the score; black line: its 95% interval; grey: what shuffled pairs give (mean, ±2 standard "
        "deviations). How far a bar passes its own grey is what counts.",
        "Anything by the length of a bar of linear or RBF CKA alone: with few samples or many dimensions "
        "they are high for unrelated data. Do not compare bars of different panels.",
    ),
)
def cka_comparison(inputs: FigureInputs) -> Figure | None:
    """Draw the CKA family, a column a member, a block an LLM, a row an encoder, each beside its null."""
    scores = [s for s in inputs.of("cka") if s.encoder and s.llm]
    columns = {metric: own for metric in FAMILY if (own := pick(scores, metric))}
    if not columns:
        return None
    first = next(iter(columns.values()))
    blocks = _encoders_by_llm(first)
    heights = [len(encoders) + 0.1 for encoders in blocks.values()]
    figure = new_figure(2.0 + 2.6 * len(columns), 1.5 + 0.3 * sum(heights) + 0.3 * len(blocks))
    axes = figure.subplots(len(blocks), len(columns), sharex="col", squeeze=False, height_ratios=heights)
    for row, (llm, encoders) in enumerate(blocks.items()):
        for column, (metric, own) in enumerate(columns.items()):
            ax = axes[row, column]
            by_encoder = {str(s.encoder): s for s in own if s.llm == llm}
            shown = [encoder for encoder in encoders if encoder in by_encoder]
            score_bars(
                ax,
                [by_encoder[encoder] for encoder in shown],
                [inputs.look(encoder).colour for encoder in shown],
                [encoders.index(encoder) for encoder in shown],
            )
            names = [inputs.label(encoder) for encoder in encoders]
            name_rows(ax, names, f"for {inputs.label(llm)}", labelled=column == 0)
            limit(ax, own)
            if row == 0:
                ax.set_title(metric)
    every = [score for own in columns.values() for score in own]
    entitle(
        figure,
        f"The CKA family beside shuffled pairs{sample_note(first)}",
        reading_notes(every),
        "How far a bar reaches says little by itself: compare it with its own grey band. calibrated_cka is\n"
        "linear_cka with that band moved to 0 and the best possible left at 1.",
    )
    return figure


def _encoders_by_llm(scores: Sequence[Score]) -> dict[str, list[str]]:
    """Return each LLM's encoders, the best first, those without a value last."""
    blocks: dict[str, list[str]] = {}
    sign = -1.0 if scores[0].higher_is_better else 1.0
    for score in sorted(scores, key=lambda s: (s.value is None, sign * (s.value or 0.0), str(s.encoder))):
        blocks.setdefault(str(score.llm), []).append(str(score.encoder))
    return {llm: blocks[llm] for llm in dict.fromkeys(str(score.llm) for score in scores)}


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
    blocks = {
        llm: sorted({str(s.encoder) for s in own if s.llm == llm}, key=inputs.place)
        for llm in dict.fromkeys(str(s.llm) for s in own)
    }
    heights = [len(encoders) + 0.1 for encoders in blocks.values()]
    figure = new_figure(2.0 + 2.6 * max(2, len(shown)), 1.7 + 0.3 * sum(heights) + 0.45 * len(blocks))
    axes = figure.subplots(
        len(blocks), len(shown), sharex=True, sharey="row", squeeze=False, height_ratios=heights
    )
    titles: dict[Axes, tuple[str, int]] = {}
    for row, (llm, encoders) in enumerate(blocks.items()):
        for column, data_type in enumerate(shown):
            ax = axes[row, column]
            here = {str(s.encoder): s for s in own if s.llm == llm and s.data_type == data_type}
            told = _type_panel(ax, here, encoders, inputs)
            name_rows(ax, [inputs.label(e) for e in encoders], f"for {inputs.label(llm)}", column == 0)
            if row == 0:
                n = next(iter(here.values())).n if here else 0
                titles[ax] = f"{fit(clean(data_type), 24)} (n = {n})", told
    most = max(lines for _, lines in titles.values())
    for ax, (title, _) in titles.items():
        ax.set_title(title + "\n" * most)
    limit(axes[0, 0], [s for s in own if s.data_type in shown])
    low, high = axes[0, 0].get_xlim()
    axes[0, 0].set_xlim(low, high + 0.16 * (high - low))  # room for "best" beside the numbers
    notes = [
        f"Coloured: the type's best, or, marked =, those that are {TOO_CLOSE} (paired differences,\n"
        "studentised range). Pale: worse by more than chance, or no encoder beats shuffled pairs here.",
        reading_notes(own),
    ]
    if len(types) > len(shown):
        notes.append(f"The first {len(shown)} of {len(types)} data types.")
    entitle(figure, f"Which encoder fits on which data type? ({metric})", *notes)
    return figure


def _type_panel(ax: Axes, here: Mapping[str, Score], encoders: Sequence[str], inputs: FigureInputs) -> int:
    """Draw the encoders on one type below their verdict, and return how many lines that has."""
    standing = standings(here)
    known = standing.tie_groups is not None and len(standing.order) > 1
    shown = [encoder for encoder in encoders if encoder in here]
    rows = [encoders.index(encoder) for encoder in shown]
    colours = [
        inputs.look(encoder).colour if not known or encoder in standing.answer else WORSE for encoder in shown
    ]
    score_bars(ax, [here[encoder] for encoder in shown], colours, rows)
    told = wrap(headline(standing, inputs.label), MOST_CHARACTERS)
    ax.annotate(
        "\n".join(told),
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=7.5,
        color=MUTED,
    )
    for row, encoder in zip(rows, shown, strict=True):
        if known and encoder in standing.answer:
            ax.annotate(
                "best" if standing.winner else "=",
                (1, row),
                xycoords=("axes fraction", "data"),
                xytext=(-2, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=7.5,
                fontweight="bold" if standing.winner else "normal",
                color=INK if standing.winner else MUTED,
            )
    return len(told)
