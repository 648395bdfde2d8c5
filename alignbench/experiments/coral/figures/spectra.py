"""Figures of second moments: covariances in the shared basis, and eigenvalue spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.plots.declared import Caption, declare_figure
from alignbench.plots.images import show_array
from alignbench.plots.inputs import models_of_pair, pick
from alignbench.plots.marks import left_out
from alignbench.plots.panels import panel_grid, rows_of
from alignbench.plots.style import DIVERGING, MUTED, entitle, new_figure
from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from numpy.typing import NDArray

    from alignbench.plots.inputs import CoralArrays, FigureInputs
    from alignbench.types import Score

MOST_PAIRS = 6
MOST_ENCODERS, MOST_LLMS, COLUMNS = 12, 3, 4  # in the panels of encoders
SMALLEST_SHARE = 1e-6


@declare_figure(
    "coral",
    caption=Caption(
        "Where do two covariances differ?",
        "Each row is a pair of models: both covariances in the basis they share, and their difference. An "
        "empty third panel means the same distribution.",
        "The whole spaces: the shared basis has only a few directions. Of many pairs, only the most alike "
        "ones are shown.",
    ),
)
def covariance_heatmaps(inputs: FigureInputs) -> Figure | None:
    """Draw both covariances of each pair in their shared basis, and their difference."""
    pairs = pair_order(inputs)
    if not pairs:
        return None
    shown = pairs[:MOST_PAIRS]
    figure = new_figure(8.2, 1.2 + 2.35 * len(shown))
    covariance_rows(figure, figure.subplots(len(shown), 3, squeeze=False), shown, inputs)
    notes = [
        "Rows and columns: directions of the shared basis. An empty third column: the same distribution."
    ]
    if len(pairs) > len(shown):
        notes.append(f"The {len(shown)} most alike of {len(pairs)} pairs; all are in the run's artifacts.")
    entitle(figure, "Covariances in the shared basis, scaled to unit trace", *notes)
    return figure


def pair_order(inputs: FigureInputs) -> list[CoralArrays]:
    """Return the pairs with covariances, those across sides first, from the most to the least alike."""
    values = _ncoral(inputs)
    modes = ("cross-modal", "vision-vision", "text-text")
    place = {mode: i for i, mode in enumerate(modes)}
    return sorted(
        (pair for pair in inputs.coral if pair.cov_x is not None and pair.cov_y is not None),
        key=lambda c: (place.get(c.mode, 9), values.get((c.name_x, c.name_y), np.inf), c.name_x, c.name_y),
    )


def _ncoral(inputs: FigureInputs) -> dict[tuple[str, str], float]:
    values: dict[tuple[str, str], float] = {}
    for score in pick(inputs.of("coral"), "ncoral"):
        first, second = models_of_pair(score)
        if score.value is not None:
            values[first, second] = values[second, first] = score.value
    return values


def covariance_rows(
    figure: FigureBase, axes: NDArray[np.object_], pairs: Sequence[CoralArrays], inputs: FigureInputs
) -> None:
    """Draw x, y and x - y, one row per pair, all on one colour scale."""
    covariances = [(np.asarray(pair.cov_x), np.asarray(pair.cov_y)) for pair in pairs]
    limit = max(float(np.abs(cov).max()) for both in covariances for cov in both) or 1.0
    values = _ncoral(inputs)
    for row, pair, (x, y) in zip(axes, pairs, covariances, strict=True):
        value = values.get((pair.name_x, pair.name_y))
        last = "difference" if value is None else f"difference (ncoral {number(value)})"
        titles = (inputs.title(pair.name_x), inputs.title(pair.name_y), last)
        for ax, matrix, title in zip(row, (x, y, x - y), titles, strict=True):
            show_array(ax, matrix, DIVERGING, -limit, limit)
            ax.set_title(title)
        row[0].set_ylabel(f"k = {len(x)}")
    shrink, aspect = (0.85, 17) if len(pairs) == 1 else (0.5, 30)
    bar = figure.colorbar(axes[0, 0].images[0], ax=axes, shrink=shrink, aspect=aspect, pad=0.01)
    bar.set_label("covariance (total variance: 1)", fontsize=8)


@declare_figure(
    "coral",
    caption=Caption(
        "Over how many directions does the variance spread?",
        "Above, all models: the share of variance of each direction, and of the first directions together. "
        "A model whose curve falls late uses many directions; the legend has their effective number. Below, "
        "each encoder against the LLM, with the spectral divergence of the two.",
        "What the directions mean, or whether two models use the same ones. The tail ends at n, not at the "
        "model's width.",
    ),
)
def eigenvalue_spectrum(inputs: FigureInputs) -> Figure | None:
    """Draw how each model's variance spreads over directions: all models together, then each encoder.

    The panel of an encoder has its spectrum, those of the LLMs, and its spectral divergence from each.
    """
    if not inputs.coral:
        return None
    encoders = _against_llms(inputs)
    shown = dict(list(encoders.items())[:MOST_ENCODERS])
    rows = rows_of(len(shown), COLUMNS)
    heights = [3.7, 2.75 * rows] if rows else [3.7]
    figure = new_figure(10.5, 1.2 + sum(heights))
    areas = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel()
    left, right = areas[0].subplots(1, 2)
    spectrum_lines(left, right, inputs)
    if rows:
        axes = panel_grid(areas[1], len(shown), COLUMNS, sharex=True, sharey=True)
        for i, (ax, (encoder, pairs)) in enumerate(zip(axes, shown.items(), strict=True)):
            _encoder_panel(ax, encoder, pairs, inputs)
            if i % COLUMNS == 0:
                ax.set_ylabel("share of variance (log)")
    notes = [
        "Each model's covariance in its own space, with sum 1. Effective directions: exp(entropy of shares)."
    ]
    if rows:
        notes.append(
            "Below, each encoder against the LLM: the spectral divergence of the two curves (Jensen-Shannon; "
            "0: same spectrum, at most 0.69) doesn't see which image belongs to which text."
        )
    notes += left_out(len(shown), len(encoders), "encoders")
    entitle(figure, "Eigenvalue spectra: over how many directions does the variance spread?", *notes)
    return figure


def _against_llms(inputs: FigureInputs) -> dict[str, list[CoralArrays]]:
    """Return encoder -> its pairs with LLMs, in the order of the run."""
    pairs: dict[str, list[CoralArrays]] = {}
    for pair in sorted(inputs.coral, key=lambda c: (inputs.place(c.name_x), inputs.place(c.name_y))):
        if pair.mode == "cross-modal":
            pairs.setdefault(pair.name_x, []).append(pair)
    return pairs


def _encoder_panel(ax: Axes, encoder: str, pairs: Sequence[CoralArrays], inputs: FigureInputs) -> None:
    """Draw an encoder's spectrum and those of LLMs, with its divergence from each."""
    _spectrum(ax, pairs[0].eig_x, inputs, encoder)
    divergence = {
        str(score.llm): score
        for score in pick(inputs.of("coral"), "spectral_divergence")
        if score.encoder == encoder and score.other is None
    }
    lines = ["divergence from"]
    for pair in pairs[:MOST_LLMS]:
        _spectrum(ax, pair.eig_y, inputs, pair.name_y)
        lines.append(f"{inputs.label(pair.name_y, 24)}: {_divergence(divergence.get(pair.name_y))}")
    if len(pairs) > MOST_LLMS:
        lines.append(f"and {len(pairs) - MOST_LLMS} more LLMs")
    _log_axes(ax)
    ax.tick_params(labelbottom=True)
    ax.set_title(inputs.title(encoder))
    ax.text(0.03, 0.04, "\n".join(lines), transform=ax.transAxes, fontsize=7.5, color=MUTED)


def _divergence(score: Score | None) -> str:
    if score is None:
        return "not recorded"
    return "no value" if score.value is None else number(score.value)


def spectrum_lines(left: Axes, right: Axes, inputs: FigureInputs) -> None:
    """Draw each model's spectrum: shares by rank on the left, their running sum and a legend on the right."""
    spectra: dict[str, NDArray[np.float64]] = {}
    for pair in inputs.coral:
        spectra.setdefault(pair.name_x, pair.eig_x)
        spectra.setdefault(pair.name_y, pair.eig_y)
    for name, spectrum in sorted(spectra.items(), key=lambda item: inputs.place(item[0])):
        for ax, cumulated in ((left, False), (right, True)):
            _spectrum(ax, spectrum, inputs, name, cumulated=cumulated)
    _log_axes(left)
    _log_axes(right, shares=False)
    left.set_ylabel("share of variance (log)")
    left.set_title("Share of each direction")
    right.set_ylim(0, 1.02)
    right.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
    right.set_ylabel("cumulative share of variance")
    right.set_title("Share of the first directions together")
    legend = right.legend(
        loc="center left", bbox_to_anchor=(1.01, 0.5), title="model (effective\ndirections)"
    )
    legend.get_title().set_color(MUTED)
    legend.get_title().set_fontsize(8)


def _spectrum(
    ax: Axes, spectrum: NDArray[np.float64], inputs: FigureInputs, name: str, *, cumulated: bool = False
) -> None:
    """Draw a model's shares of variance by rank, or their running sum, labelled with effective directions."""
    look = inputs.look(name)
    shares = spectrum[spectrum > SMALLEST_SHARE]
    marked = np.unique(np.geomspace(1, max(len(shares), 1), 7).astype(int)) - 1
    ax.plot(
        np.arange(1, len(shares) + 1),
        np.cumsum(shares) if cumulated else shares,
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker,
        markevery=list(marked),
        markersize=4.5,
        linewidth=1.4,
        label=f"{inputs.label(name)} ({effective_directions(shares):.1f})",
    )


def _log_axes(ax: Axes, *, shares: bool = True) -> None:
    """Give the ranks, and the shares if they are shown, a logarithmic axis with plain numbers."""
    from matplotlib.ticker import LogLocator

    ax.set_xscale("log")
    ax.grid(visible=True)
    ax.set_xlabel("rank of the direction (log)")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter("{x:g}")
    if shares:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    ax.minorticks_off()


def effective_directions(shares: NDArray[np.float64]) -> float:
    """Return exp(entropy) of a spectrum's shares: k equal shares give k."""
    p = shares / shares.sum() if shares.size and shares.sum() > 0 else np.ones(1)
    return float(np.exp(-np.sum(p * np.log(p))))
