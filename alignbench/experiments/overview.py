"""The summary figure: where each encoder stands by a dozen of the metrics that the run recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datatypes import ALL
from alignbench.metrics import METRICS
from alignbench.plots.cells import draw_cells
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import left_out
from alignbench.plots.style import MUTED, entitle, new_figure
from alignbench.stats import beats_shuffled
from alignbench.text import clean, fit, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.types import Score

NOT_ALIGNMENT = frozenset({"speed", "embedding", "invariants"})
OF_SAMPLES = frozenset({"choose", "scaling"})
"""Experiments whose scores are of samples of several sizes, which can't be compared."""
MOST_ROWS = 12
NOTED = (
    "calibrated_cka",
    "mutual_knn",
    "procrustes_similarity",
    "rsa",
    "ridge_r2",
    "elas",
    "mrr",
    "projection_cosine",
    "ncoral",
    "spectral_ncoral",
    "knn_accuracy",
    "eas",
)
"""The metrics that come first if there is no room for all: one or two of each kind."""
MOST_COLUMNS = 24
WIDE_COLUMNS = 14
REACH = 0.5  # values beyond get the strongest colour
SEES = "sees the pairing"
BLIND = "doesn't see the pairing"
ONE_SIDED = "no LLM takes part"
GROUPS = (SEES, BLIND, ONE_SIDED)
COLOURS = "RdBu"

Row = tuple[str, str]  # metric, variant


@declare_figure(
    "cka",
    "compare",
    shows=("cka", "coral", "eas", "elas", "e2e"),
    caption=Caption(
        "Where does each encoder stand by each kind of metric?",
        "Each row is a metric, each column an encoder. Blue is better than shuffled pairs or chance, and "
        "darker is nearer to the best possible value; red is worse. Values in brackets are not shown to beat "
        "shuffled pairs. The figure has at most a dozen metrics; all are in the table of scores.",
        "Whether two encoders differ: a darker blue may be chance. Grey rows have no chance level, so their "
        "colour says nothing. Rows are not independent, so counting them is no vote.",
    ),
)
def alignment_summary(inputs: FigureInputs) -> Figure | None:
    """Draw the values of a dozen metrics for all encoders, coloured by how far they are above chance."""
    scores = _scores(inputs)
    pairs = list(dict.fromkeys((str(s.llm), str(s.encoder)) for s in scores if s.llm))
    pairs.sort(key=lambda pair: (inputs.place(pair[0]), inputs.place(pair[1])))
    if not pairs:
        return None
    shown = _whole_llms(pairs)
    kinds = {score.metric: kind_of(score.metric, scores) for score in scores}
    recorded = _rows(scores, kinds)
    rows = _chosen(recorded)
    cells = {(s.metric, s.variant, s.encoder, s.llm): s for s in reversed(scores)}
    values = np.full((len(rows), len(shown)), np.nan)
    written = [["" for _ in shown] for _ in rows]
    for i, (metric, variant) in enumerate(rows):
        for j, (llm, encoder) in enumerate(shown):
            score = cells.get((metric, variant, encoder, llm)) or cells.get((metric, variant, encoder, None))
            if score is not None:
                share = None if kinds[metric] == BLIND else standing(score)
                values[i, j] = np.nan if share is None else share
                written[i][j] = _cell(score)
    wide = len(shown) <= WIDE_COLUMNS
    figure = new_figure(4.3 + (0.62 if wide else 0.4) * len(shown), 2.4 + 0.2 * len(rows))
    ax = figure.subplots()
    known = np.abs(values[np.isfinite(values)])
    reach = float(np.clip(known.max(initial=0.2), 0.2, REACH))
    image = draw_cells(ax, values, -reach, reach, COLOURS, written, size=6.5 if wide else 5.2)
    _name(ax, rows, shown, {s.metric for s in scores if not s.higher_is_better}, inputs)
    _name_kinds(ax, [kinds[metric] for metric, _ in rows], len(shown))
    bar = figure.colorbar(image, ax=ax, shrink=0.5, aspect=25, pad=0.01, extend="both")
    bar.set_label("from shuffled pairs or chance (0)\nto the best possible value (1)", fontsize=8)
    notes = [
        "Blue: better than shuffled pairs and chance; red: worse. In brackets: not shown to beat shuffled "
        "pairs (p > .05). ↓: lower is better. Grey: the metric doesn't see which text belongs to which "
        "image, or it has no chance level. n/a: the report has the reason.",
    ]
    if len(recorded) > len(rows):
        notes.append(f"{len(rows)} of {len(recorded)} rows; the others are in the report's table of scores.")
    notes += left_out(len(shown), len(pairs), "pairs; all are in the report")
    entitle(figure, "Where each encoder stands by each kind of metric", *notes)
    return figure


def _whole_llms(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs of as many LLMs as there is room for, but of at least one."""
    shown: list[tuple[str, str]] = []
    for llm in dict.fromkeys(llm for llm, _ in pairs):
        block = [pair for pair in pairs if pair[0] == llm]
        if shown and len(shown) + len(block) > MOST_COLUMNS:
            break
        shown += block[:MOST_COLUMNS]
    return shown


def _scores(inputs: FigureInputs) -> list[Score]:
    """Return the scores over all data of an encoder with an LLM or alone; of duplicates the first."""
    firsts: dict[tuple[str | None, ...], Score] = {}
    for score in inputs.scores:
        whole = score.encoder is not None and score.other is None and score.data_type == ALL
        if whole and score.experiment not in NOT_ALIGNMENT | OF_SAMPLES and "fidelity" not in score.flags:
            firsts.setdefault((score.metric, score.variant, score.encoder, score.llm), score)
    return list(firsts.values())


def kind_of(metric: str, scores: Sequence[Score]) -> str:
    """Return whether the metric sees the pairing, sees both sides without it, or sees only the encoder."""
    if all(score.llm is None for score in scores if score.metric == metric):
        return ONE_SIDED
    registered = METRICS.get(metric) if metric in METRICS else None
    blind = registered is not None and registered.kind == "pair" and not registered.pairing
    return BLIND if blind else SEES


def _rows(scores: Sequence[Score], kinds: Mapping[str, str]) -> list[Row]:
    """Return the rows sorted by kind; registered metrics come family by family, others as recorded."""
    rows = dict.fromkeys((score.metric, score.variant) for score in scores)
    place = {metric: i for i, metric in enumerate(METRICS.names())}
    return sorted(rows, key=lambda row: (GROUPS.index(kinds[row[0]]), place.get(row[0], len(place))))


def _chosen(rows: Sequence[Row]) -> list[Row]:
    """Return as many rows as can be read, in their order: one of each noted metric, then the first others."""
    firsts: dict[str, Row] = {}
    for row in rows:
        firsts.setdefault(row[0], row)
    noted = [firsts[metric] for metric in NOTED if metric in firsts]
    kept = set(list(dict.fromkeys([*noted, *firsts.values(), *rows]))[:MOST_ROWS])
    return [row for row in rows if row in kept]


def standing(score: Score) -> float | None:
    """Return where the value lies between chance (0) and the best possible value (1); None if unknown.

    Chance is what shuffled pairs or a guesser get, whichever is better. The best value is the metric's own
    bound; for a metric that is not registered, it is 1, or 0 if lower is better.
    """
    sign = 1.0 if score.higher_is_better else -1.0
    marks = [score.chance, score.null.mean if score.null is not None else None]
    start = max((sign * mark for mark in marks if mark is not None), default=None)
    if score.value is None or start is None:
        return None
    bounds = METRICS.get(score.metric).bounds if score.metric in METRICS else (0.0, 1.0)
    best = sign * bounds[1 if score.higher_is_better else 0]
    if not np.isfinite(best) or best <= start:
        return None
    return (sign * score.value - start) / (best - start)


def _cell(score: Score) -> str:
    if score.value is None:
        return "n/a"
    return number(score.value) if beats_shuffled(score) else f"({number(score.value)})"


def _name(
    ax: Axes, rows: Sequence[Row], pairs: Sequence[tuple[str, str]], lower: set[str], inputs: FigureInputs
) -> None:
    """Write the names of the rows, those of the columns, and each LLM above its encoders."""
    names = [f"{metric} {variant}".strip() + (" ↓" if metric in lower else "") for metric, variant in rows]
    ax.set_yticks(range(len(rows)), [fit(clean(name), 44) for name in names], fontsize=7.5)
    encoders = [inputs.label(encoder, 36 if len(pairs) <= 12 else 24) for _, encoder in pairs]
    ax.set_xticks(range(len(pairs)), encoders, rotation=40, ha="right", rotation_mode="anchor", fontsize=7.5)
    llms = [llm for llm, _ in pairs]
    for llm in dict.fromkeys(llms):
        columns = [j for j, other in enumerate(llms) if other == llm]
        middle = (columns[0] + columns[-1]) / 2
        label = f"for {inputs.label(llm, max(8, 9 * len(columns)))}"
        ax.text(middle, -0.75, label, ha="center", va="bottom", fontsize=8, fontweight="bold")
        if columns[0]:
            ax.axvline(columns[0] - 0.5, color="white", linewidth=4)


def _name_kinds(ax: Axes, kinds: Sequence[str], columns: int) -> None:
    """Write on the right what the metrics of each block of rows see."""
    look: Any = {"rotation": 270, "ha": "left", "va": "center", "fontsize": 7, "color": MUTED}
    for kind in dict.fromkeys(kinds):
        members = [i for i, other in enumerate(kinds) if other == kind]
        if len(members) > 0.25 * len(kind):
            ax.text(columns - 0.4, (members[0] + members[-1]) / 2, kind, **look)
        if members[0]:
            ax.axhline(members[0] - 0.5, color="white", linewidth=4)
