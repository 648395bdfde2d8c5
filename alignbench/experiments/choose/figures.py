"""The figure of a race: every encoder's score at every look, and where it was dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.choose.record import races_of
from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.marks import left_out
from alignbench.plots.panels import grid_figure
from alignbench.plots.style import INK, MUTED, entitle
from alignbench.text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.experiments.choose.record import RecordedRace
    from alignbench.plots.inputs import FigureInputs

MOST_LLMS = 3
MOST_NAMED = 12
ROOM = 0.045  # of an octave: how far apart the intervals of two encoders at one look are


@declare_figure(
    "choose",
    caption=Caption(
        "Who fell when, and why?",
        "Each line is an encoder: its score on more and more groups of samples, with 95% intervals. A line "
        "that ends in a cross was dropped there, because its score on the same samples is lower than the "
        "leader's by more than chance. The list says at how many groups, and how far behind. A large mark "
        "with a dark edge: the encoder is left.",
        "How good a dropped encoder is on all samples. Nor is the last score of the winner without bias: it "
        "was the best of many, so that it is too high on average.",
    ),
)
def race(inputs: FigureInputs) -> Figure | None:
    """Draw the score of every encoder over the number of groups, one panel per LLM."""
    races = {one.llm: one for one in races_of(inputs.scores)}
    llms = inputs.ordered(races)[:MOST_LLMS]
    if not llms:
        return None
    most = max(len(one.last_look) for one in races.values())
    height = 2.6 + 0.16 * min(most, MOST_NAMED)
    figure, axes = grid_figure(len(llms), 1, 9.0, height, margins=(0.0, 1.2))
    for ax, llm in zip(axes, llms, strict=True):
        _panel(ax, races[llm], inputs)
        ax.set_title(f"{inputs.label(llm)}: {races[llm].used:.0%} of all embeddings")
    entitle(
        figure,
        "Who fell when, and why?",
        "Lines: 95% intervals. Cross: dropped, worse than the leader by more than chance. Dark edge: left.",
        *left_out(len(llms), len(races), "LLMs are shown"),
    )
    return figure


def _panel(ax: Axes, found: RecordedRace, inputs: FigureInputs) -> None:
    encoders = list(found.last_look)
    for place, name in enumerate(encoders):
        look = inputs.look(name)
        shift = 2 ** (ROOM * (place - (len(encoders) - 1) / 2))
        points = [
            (groups, score)
            for (encoder, groups), score in sorted(found.scores.items(), key=lambda item: item[0][1])
            if encoder == name and score.value is not None
        ]
        x = [groups * shift for groups, _ in points]
        y = [float(score.value or 0.0) for _, score in points]
        stays = name in found.race.survivors
        label = fate(found, name, inputs.label(name)) if place < MOST_NAMED else None
        ax.plot(x, y, look.marker, linestyle="-", color=look.colour, linewidth=1.0, markersize=4, label=label)
        for at, (_, score) in zip(x, points, strict=True):
            if score.interval is not None:
                ends = [score.interval.low, score.interval.high]
                ax.plot([at, at], ends, color=look.colour, linewidth=0.9, alpha=0.7)
        if points and not stays:
            ax.plot(x[-1], y[-1], "x", color=INK, markersize=9, markeredgewidth=1.6, zorder=4)
        elif points:
            ax.plot(x[-1], y[-1], look.marker, color=look.colour, markeredgecolor=INK, markersize=8, zorder=4)
    sizes = [look.groups for look in found.race.looks]
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
    ax.set_xlim(sizes[0] / 1.35, max(sizes[-1], 2 * sizes[0]) * 1.35)
    ax.set_xlabel(f"groups of samples, of {found.groups:,}")
    ax.set_ylabel(found.metric)
    legend = ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, handletextpad=0.6)
    more = len(encoders) - MOST_NAMED
    if more > 0:
        legend.set_title(f"the last {MOST_NAMED}; {more} more fell earlier")
        legend.get_title().set_color(MUTED)


def fate(found: RecordedRace, name: str, label: str) -> str:
    """Return how the race ended for an encoder, after its label."""
    look = found.last_look[name]
    if name in look.unscored:
        return f"{label}: no score at {look.groups:,}"
    if name in found.race.survivors:
        return f"{label}: left, {number(look.values[name])}"
    return f"{label}: out at {look.groups:,}, {number(look.behind[name].lead)} behind"
