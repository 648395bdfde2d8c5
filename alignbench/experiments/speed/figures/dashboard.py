"""The dashboard of speed: encoders by batch size, the stages of an image, texts, and the cost of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.experiments.speed.figures.metric_costs import MOST_METRICS, logarithmic, metric_costs
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import BAR, beside, interval_line, legend_line, name_rows, span_text
from alignbench.plots.style import entitle, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from alignbench.plots.inputs import FigureInputs
    from alignbench.plots.style import Look
    from alignbench.types import Score

    # metric -> model -> batch size -> score
    ByBatch = Mapping[str, Mapping[str, Mapping[int, Score]]]

STAGES = {"decode": 0.3, "preprocess": 0.6, "model": 1.0}
MOST_ENCODERS = 12
_LABEL = 30
_PANELS = {
    "throughput": ("Throughput", "images per second"),
    "latency_ms": ("Latency", "milliseconds per batch"),
    "peak_memory": ("Memory", "MiB"),
}


@declare_figure(
    "speed",
    caption=Caption(
        "How fast is it, and how much memory does it take?",
        "Above, encoders by batch size: throughput, time of a batch, and memory. Below: how the time of an "
        "image and of a text is spent, and how long the dozen slowest metrics take by number of rows; the "
        "table of scores has all metrics.",
        "The speed of another machine or, for values flagged busy, of this one when it is quiet. On a CPU, "
        "memory is what the process grew by during a batch, without the weights that were loaded before.",
    ),
)
def speed_dashboard(inputs: FigureInputs) -> Figure | None:
    """Draw throughput, latency and memory by batch size; below, the stages of an image, and metrics by n."""
    scores = [s for s in inputs.of("speed") if s.value is not None and "at" in s.params]
    by_batch = _by_batch(scores)
    encoders = sorted(by_batch.get("latency_ms", {}), key=inputs.place)[:MOST_ENCODERS]
    texts = [s for s in scores if s.metric == "latency_ms" and s.llm is not None]
    costs = [s for s in scores if s.metric == "metric_ms"]
    if not (encoders or texts or costs):
        return None
    rows = 0.27 * (len(encoders) + max(2, len(texts))) + 1.6
    metrics = 0.135 * min(MOST_METRICS, len({s.params["at"]["metric"] for s in costs})) + 1.1
    heights = [3.2] if encoders else []
    heights.append(max(rows, min(5.6, max(metrics, 3.0)) if costs else 0.0))
    figure = new_figure(11.5, 1.1 + sum(heights))
    parts = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel())
    if encoders:
        _batches(next(parts), by_batch, encoders, inputs)
    _below(next(parts), scores, by_batch, encoders, texts, costs, inputs)
    entitle(figure, f"Speed{_where(scores)}", *_notes(scores))
    return figure


def _by_batch(scores: Sequence[Score]) -> ByBatch:
    by_batch: dict[str, dict[str, dict[int, Score]]] = {}
    for score in scores:
        size = score.params["at"].get("batch_size")
        if score.encoder is not None and size is not None:
            by_batch.setdefault(score.metric, {}).setdefault(score.encoder, {})[int(size)] = score
    return by_batch


def _batches(part: SubFigure, by_batch: ByBatch, encoders: Sequence[str], inputs: FigureInputs) -> None:
    """Draw one panel per quantity, with batch size to the right and one line per encoder; then the names."""
    axes = part.subplots(1, 4, width_ratios=[1, 1, 1, 0.55])
    for ax, (metric, (title, unit)) in zip(axes, _PANELS.items(), strict=False):
        for encoder in encoders:
            _line(ax, by_batch.get(metric, {}).get(encoder, {}), inputs, encoder)
        sizes = sorted({size for by_size in by_batch.get(metric, {}).values() for size in by_size})
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()
        ax.set_xlabel("batch size")
        ax.set_ylabel(unit)
        ax.set_title(title)
        ax.grid(visible=True)
        if metric == "latency_ms" and len(sizes) > 1:
            logarithmic(ax, (1.0, 2.0, 5.0))
        else:
            ax.set_ylim(bottom=0)
    memory = by_batch.get("peak_memory", {})
    handles = [
        legend_line(_with_weights(inputs, e, memory.get(e, {})), **_style(inputs.look(e))) for e in encoders
    ]
    axes[3].set_axis_off()
    axes[3].legend(handles=handles, loc="upper left", borderaxespad=0, handlelength=2.4)


def _line(ax: Axes, by_size: Mapping[int, Score], inputs: FigureInputs, encoder: str) -> None:
    sizes = sorted(by_size)
    values = [float(by_size[size].value or 0) for size in sizes]
    look = inputs.look(encoder)
    ends = [_quartiles(by_size[size]) for size in sizes]
    below = [max(0.0, value - low) for value, (low, _) in zip(values, ends, strict=True)]
    above = [max(0.0, high - value) for value, (_, high) in zip(values, ends, strict=True)]
    ends_style: Any = {"elinewidth": 1.2, "capsize": 2.5, "linewidth": 1.5}
    ax.errorbar(sizes, values, yerr=[below, above], **_style(look), **ends_style)


def _quartiles(score: Score) -> tuple[float, float]:
    value = float(score.value or 0)
    return float(score.params.get("q1", value)), float(score.params.get("q3", value))


def _style(look: Look) -> dict[str, Any]:
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.5, "markersize": 5}
    return {"color": look.colour, "marker": look.marker, "linestyle": look.dash, **edge}


def _below(
    part: SubFigure,
    scores: Sequence[Score],
    by_batch: ByBatch,
    encoders: Sequence[str],
    texts: Sequence[Score],
    costs: Sequence[Score],
    inputs: FigureInputs,
) -> None:
    """Draw the stages of an image and the time of a text on the left, and the metrics on the right."""
    left, right = bool(encoders or texts), bool(costs)
    widths = [1, 1.25] if left and right else None
    places = iter(part.subfigures(1, left + right, width_ratios=widths, squeeze=False).ravel())
    if left:
        counts = [max(2, len(block)) + 1.6 for block in (encoders, texts) if block]
        panels = iter(next(places).subplots(len(counts), 1, height_ratios=counts, squeeze=False).ravel())
        if encoders:
            _stages(next(panels), scores, by_batch, encoders, inputs)
        if texts:
            _texts(next(panels), sorted(texts, key=lambda s: inputs.place(str(s.llm))), inputs)
    if right:
        metric_costs(next(places).subplots(), costs)


def _stages(
    ax: Axes,
    scores: Sequence[Score],
    by_batch: ByBatch,
    encoders: Sequence[str],
    inputs: FigureInputs,
) -> None:
    """Draw the time of an image for each encoder: decoding, preprocessing, and the model's largest batch."""
    from matplotlib.patches import Patch

    decode = next((float(s.value or 0) for s in scores if s.metric == "decode_ms"), 0.0)
    before = {s.encoder: float(s.value or 0) for s in scores if s.metric == "preprocess_ms"}
    batches = {encoder: max(by_batch["latency_ms"][encoder]) for encoder in encoders}
    for row, encoder in enumerate(encoders):
        last = by_batch["latency_ms"][encoder][batches[encoder]]
        parts = {
            "decode": decode,
            "preprocess": before.get(encoder, 0.0),
            "model": float(last.value or 0) / batches[encoder],
        }
        start = 0.0
        for stage, width in parts.items():
            look: Any = {"color": inputs.look(encoder).colour, "alpha": STAGES[stage], "linewidth": 0.6}
            ax.barh(row, width, BAR, left=start, edgecolor="white", **look)
            start += width
        beside(ax, f"{start:.3g}", (start, row), (4, 0), va="center")
    name_rows(ax, [inputs.label(encoder, _LABEL) for encoder in encoders])
    ax.set_title("An image")
    of = " or ".join(map(str, sorted(set(batches.values()))))
    ax.set_xlabel(f"milliseconds per image, in batches of {of}")
    ax.margins(x=0.14)
    known = {"decode": decode > 0, "preprocess": bool(before), "model": True}
    handles = [Patch(facecolor="#444444", alpha=STAGES[s], label=s) for s in STAGES if known[s]]
    gaps: Any = {"borderaxespad": 0.2, "handlelength": 1.2, "handletextpad": 0.4, "columnspacing": 0.9}
    ax.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, **gaps)


def _texts(ax: Axes, scores: Sequence[Score], inputs: FigureInputs) -> None:
    """Draw the time of a text for each LLM."""
    for row, score in enumerate(scores):
        each = float(score.value or 0) / score.params["at"]["texts"]
        low, high = (end / score.params["at"]["texts"] for end in _quartiles(score))
        ax.barh(row, each, BAR, color=inputs.look(str(score.llm)).colour)
        interval_line(ax, row, low, high)
        beside(ax, f"{each:.3g}", (max(each, high), row), (4, 0), va="center")
    name_rows(ax, [inputs.label(str(score.llm), _LABEL) for score in scores], room=2)
    ax.set_title("A text")
    ax.set_xlabel("milliseconds per text, as a run embeds them")
    ax.margins(x=0.14)


def _where(scores: Sequence[Score]) -> str:
    devices = dict.fromkeys(str(s.params["device"]) for s in scores if "device" in s.params)
    threads = dict.fromkeys(str(s.params["threads"]) for s in scores if "threads" in s.params)
    used = f", {', '.join(threads)} thread{'' if list(threads) == ['1'] else 's'}" if threads else ""
    return f" on {', '.join(devices)}{used}" if devices else ""


def _notes(scores: Sequence[Score]) -> list[str]:
    rounds = [int(s.params["rounds"]) for s in scores if "rounds" in s.params]
    span = span_text(rounds) if rounds else "no"
    notes = [f"Medians of {span} rounds; bars: first to third quartile. Memory: {_memory(scores)}."]
    busy = sum("busy" in s.flags for s in scores)
    if busy:
        notes.append(f"{busy} of {len(scores)} values were measured while other processes used the machine.")
    return notes


def _memory(scores: Sequence[Score]) -> str:
    memory = [score for score in scores if score.metric == "peak_memory"]
    kinds = dict.fromkeys(
        str(score.params["of"]) + ("" if weights_beside(score) is None else ", without the weights")
        for score in memory
        if "of" in score.params
    )
    return ", ".join(kinds) or "not measured"


def _with_weights(inputs: FigureInputs, encoder: str, memory: Mapping[int, Score]) -> str:
    """Return the encoder's label, with the size of its weights if memory was measured without them."""
    size = next((weights_beside(score) for score in memory.values()), None)
    return inputs.label(encoder, _LABEL) + (f"\n(weights: {size:,.4g} MiB)" if size is not None else "")


def weights_beside(memory: Score) -> float | None:
    """Return the MiB of the weights if memory was measured without them; None if included or unknown."""
    whole = "weights included" in str(memory.params.get("of"))
    return None if whole else memory.params.get("weights_mib")
