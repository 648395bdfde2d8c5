"""The dashboard of speed: what is drawn where, with what was measured only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.experiments.speed.figures.dashboard import speed_dashboard
from alignbench.experiments.speed.figures.metric_costs import spread
from alignbench.plots import FigureInputs
from alignbench.tests import speed_fakes
from alignbench.tests.report_fakes import ENCODERS, LLMS, make_run
from alignbench.tests.speed_fakes import make_speed_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.types import Score

SCORES = make_speed_scores(ENCODERS, LLMS, {})


def drawn(scores: list[Score]) -> Figure:
    figure = speed_dashboard(FigureInputs(scores, make_run().models))
    assert figure is not None
    return figure


@pytest.fixture(scope="module")
def whole() -> Figure:
    """The dashboard of all scores, drawn once: the tests only look at it."""
    return drawn(SCORES)


def panels(figure: Figure) -> dict[str, Axes]:
    return {ax.get_title(loc="left"): ax for ax in figure.axes if ax.get_title(loc="left")}


def test_every_quantity_has_its_panel(whole: Figure) -> None:
    assert list(panels(whole)) == [
        "Throughput",
        "Latency",
        "Memory",
        "An image",
        "A text",
        "Metrics, value only",
    ]


def test_lines_go_through_the_medians_and_bars_from_quartile_to_quartile(whole: Figure) -> None:
    ax = panels(whole)["Latency"]
    line, *_ = ax.containers[0].lines  # type: ignore[attr-defined]
    assert list(line.get_xdata()) == [1, 4, 16]
    assert list(line.get_ydata()) == pytest.approx([4.0, 7.0, 19.0])
    segments = ax.containers[0].lines[2][0].get_segments()  # type: ignore[attr-defined]
    assert segments[0][:, 1] == pytest.approx([4.0 * 0.95, 4.0 * 1.1])


@pytest.mark.slow
def test_the_weights_are_named_beside_memory_that_lacks_them() -> None:
    def told(of: str) -> list[str]:
        known = {"of": of, "weights_mib": 1023.4}
        weighed = [
            replace(s, params={**s.params, **known}) if s.metric == "peak_memory" else s for s in SCORES
        ]
        figure = drawn(weighed)
        [legend] = [ax.get_legend() for ax in figure.axes if not ax.axison]
        assert legend is not None
        return [*(text.get_text() for text in legend.get_texts()), figure.get_supxlabel()]

    name, *_, note = told("resident set growth")
    assert name.endswith("\n(weights: 1,023 MiB)")
    assert "resident set growth, without the weights." in note
    name, *_, note = told("allocated, weights included")
    assert "weights" not in name
    assert "without" not in note


def test_a_dozen_metrics_are_drawn_the_dearest_no_two_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_fakes, "METRICS", {f"metric_{i}": (1.0 + i,) * 3 for i in range(30)})
    costs = make_speed_scores((), (), {})
    ax = panels(drawn(costs))["Metrics, value only (the slowest 12 of 30)"]
    assert {text.get_text() for text in ax.texts} >= {f"metric_{i}" for i in range(18, 30)}
    own = [line for line in ax.lines if len(line.get_xdata()) == 3]  # type: ignore[arg-type]
    assert len({(line.get_color(), line.get_linestyle()) for line in own}) == 12


def test_the_stages_of_an_image_add_up(whole: Figure) -> None:
    ax = panels(whole)["An image"]
    patches: list[Any] = list(ax.patches)
    first = patches[:3]
    assert [patch.get_width() for patch in first] == pytest.approx([0.9, 1.0, 19.0 / 16])
    assert first[-1].get_x() + first[-1].get_width() == pytest.approx(0.9 + 1.0 + 19.0 / 16)


@pytest.mark.slow
def test_every_metric_is_named_and_one_that_ends_early_says_where(whole: Figure) -> None:
    ax = panels(whole)["Metrics, value only"]
    assert {text.get_text() for text in ax.texts} == {"linear_cka", "spread", "rsa (to 1,000)"}
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


@pytest.mark.parametrize("metrics", [("metric_ms",), ("latency_ms",), ("decode_ms", "latency_ms")])
def test_what_was_not_measured_is_not_drawn(metrics: tuple[str, ...]) -> None:
    figure = drawn([s for s in SCORES if s.metric in metrics])
    assert ("Metrics, value only" in panels(figure)) == ("metric_ms" in metrics)
    assert ("Latency" in panels(figure)) == ("latency_ms" in metrics)
    if "latency_ms" in metrics:
        legend = panels(figure)["An image"].get_legend()
        assert legend is not None
        stages = [text.get_text() for text in legend.get_texts()]
        assert stages == [*(["decode"] if "decode_ms" in metrics else []), "model"]


def test_decoding_alone_is_no_figure() -> None:
    assert speed_dashboard(FigureInputs([s for s in SCORES if s.metric == "decode_ms"])) is None


def test_the_title_says_where_and_the_notes_under_which_load(whole: Figure) -> None:
    assert whole.get_suptitle() == "Speed on cpu, 1 thread"
    assert "resident set growth" in whole.get_supxlabel()
    assert "other processes" not in whole.get_supxlabel()


@pytest.mark.parametrize(
    "heights",
    [
        [0.5],
        [0.5, 0.5, 0.5],
        [0.0, 0.0, 1.0, 1.0],
        [0.1, 0.4, 0.41, 0.42, 0.9],
        list(np.linspace(0.9, 1, 12)),
    ],
)
def test_names_keep_their_order_and_distance(heights: list[float]) -> None:
    step = 0.08
    places = spread(heights, step)
    assert np.diff(places).min(initial=step) >= step - 1e-12
    assert step / 2 - 1e-12 <= places[0]
    assert places[-1] <= 1 - step / 2 + 1e-12


def test_names_with_room_stay_where_their_lines_end() -> None:
    assert spread([0.2, 0.5, 0.8], 0.1) == pytest.approx([0.2, 0.5, 0.8])
