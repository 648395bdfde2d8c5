"""What CORAL's figures show: pairs and their order, covariances, spectra and similarities of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from alignbench.experiments.coral.figures.alignment import cka_vs_coral
from alignbench.experiments.coral.figures.comparison import coral_comparison, coral_dashboard
from alignbench.experiments.coral.figures.samples import sample_similarity
from alignbench.experiments.coral.figures.spectra import (
    covariance_heatmaps,
    effective_directions,
    eigenvalue_spectrum,
)
from alignbench.plots import CoralArrays, FigureInputs, SimilarityArrays
from alignbench.plots.images import coarse
from alignbench.tests.figure_helpers import axes_titled, bars, drawn, texts
from alignbench.tests.report_fakes import (
    ENCODERS,
    make_inputs,
    make_score,
)


@pytest.mark.slow
def test_coral_never_claims_alignment() -> None:
    for draw in (coral_comparison, coral_dashboard, cka_vs_coral):
        note = drawn(draw(make_inputs(("mini-clip",), ("mini-llama",)))).get_supxlabel()
        assert "doesn't see which image belongs to which text" in note


@pytest.mark.slow
def test_coral_comparison_has_a_block_a_mode_and_the_most_alike_on_top() -> None:
    inputs = make_inputs(ENCODERS, ("mini-llama", "mini-qwen"))
    figure = drawn(coral_comparison(inputs))
    blocks = [t for t in texts(figure) if t in {"encoder × LLM", "encoder × encoder", "LLM × LLM"}]
    assert blocks == ["encoder × LLM", "encoder × encoder", "LLM × LLM"]
    widths = [bar.get_width() for bar in bars(axes_titled(figure, "ncoral"))]
    assert widths == sorted(widths)
    assert len(widths) == 8


@pytest.mark.parametrize(("mode", "block"), [("encoder", "encoder × encoder"), ("llm", "LLM × LLM")])
def test_one_mode_alone_is_drawn(mode: str, block: str) -> None:
    sides: dict[str, Any] = {"encoder": None, "llm": None} | {mode: "a"}
    score = make_score("ncoral", 0.2, **sides, other="b", experiment="coral", higher_is_better=False)
    assert block in texts(drawn(coral_comparison(FigureInputs([score]))))
    assert coral_dashboard(FigureInputs([score])) is not None


def test_scores_of_one_side_are_no_pairs() -> None:
    scores = [
        make_score("ncoral", 0.2, experiment="coral"),
        make_score("spread", 0.2, "a", None, experiment="coral"),
    ]
    figure = drawn(coral_comparison(FigureInputs(scores)))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["mini-clip × mini-llama"]


def test_saturated_similarity_is_hatched_and_said() -> None:
    figure = drawn(coral_comparison(make_inputs(("mini-clip",), ("mini-llama",))))
    assert all(bar.get_hatch() for bar in bars(axes_titled(figure, "coral_similarity")))
    assert not any(bar.get_hatch() for bar in bars(axes_titled(figure, "ncoral")))
    assert "saturated" in figure.get_supxlabel()


@pytest.mark.slow
def test_long_lists_of_pairs_are_cut_and_it_is_said() -> None:
    inputs = make_inputs([f"e{i}" for i in range(8)], ("l",))
    figure = drawn(coral_comparison(inputs))
    assert "encoder × encoder (first 20 of 28)" in texts(figure)
    assert max(len(ax.get_yticks()) for ax in figure.axes) == 20


def test_covariances_share_one_scale_around_zero() -> None:
    inputs = make_inputs(("mini-clip", "random-vit"), ("mini-llama",))
    images = [ax.images[0] for ax in drawn(covariance_heatmaps(inputs)).axes if ax.images]
    limits = {image.get_clim() for image in images}
    assert len(images) == 6
    [(low, high)] = limits
    assert low == -high
    assert high == pytest.approx(max(np.abs(np.asarray([p.cov_x, p.cov_y])).max() for p in inputs.coral))
    x, y, difference = (np.asarray(image.get_array()) for image in images[:3])
    assert difference == pytest.approx(x - y)


@pytest.mark.slow
def test_covariance_pairs_beyond_the_page_are_said() -> None:
    figure = drawn(covariance_heatmaps(make_inputs(ENCODERS, ("one", "two"))))
    assert "The 6 most alike of 8 pairs" in figure.get_supxlabel()


def test_pairs_without_a_shared_basis_still_have_spectra() -> None:
    spectrum = np.array([0.7, 0.3])
    inputs = FigureInputs(coral=[CoralArrays("a", "b", "cross-modal", spectrum, spectrum)])
    assert covariance_heatmaps(inputs) is None
    assert eigenvalue_spectrum(inputs) is not None


def test_each_model_has_one_spectrum_that_ends_at_all_the_variance() -> None:
    inputs = make_inputs(ENCODERS, ("mini-llama", "mini-qwen"))
    left, right, *_ = drawn(eigenvalue_spectrum(inputs)).axes
    assert len(left.lines) == len(right.lines) == 6
    for line in right.lines:
        assert np.asarray(line.get_ydata())[-1] == pytest.approx(1.0, abs=1e-4)
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")


def test_spectra_differ_by_more_than_colour() -> None:
    left, *_ = drawn(eigenvalue_spectrum(make_inputs(("clip", "mini-clip"), ("l",)))).axes
    first, second = left.lines[:2]
    assert first.get_color() == second.get_color()
    assert first.get_marker() != second.get_marker()
    assert first.get_linestyle() != second.get_linestyle()


@pytest.mark.parametrize(("shares", "expected"), [([0.25] * 4, 4.0), ([1.0], 1.0), ([], 1.0)])
def test_effective_directions_count_equal_shares(shares: list[float], expected: float) -> None:
    assert effective_directions(np.array(shares)) == pytest.approx(expected)


def test_similarities_share_one_scale_and_mark_types() -> None:
    inputs = make_inputs(("mini-clip",), ("mini-llama",))
    figure = drawn(sample_similarity(inputs))
    panels = [ax for ax in figure.axes if ax.images]
    assert len({ax.images[0].get_clim() for ax in panels}) == 1
    assert panels[0].images[0].get_clim()[1] == 1.0
    assert [t.get_text() for t in panels[0].get_yticklabels()] == ["chart", "document", "table"]
    assert [float(np.asarray(line.get_ydata())[0]) for line in panels[0].lines[::2]] == [30, 60]


def test_mean_cosines_leave_out_a_sample_with_itself() -> None:
    cosine = np.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.1], [0.1, 0.1, 1.0]])
    inputs = FigureInputs(similarity=[SimilarityArrays("m", cosine, ("a", "a", "b"))])
    assert drawn(sample_similarity(inputs)).axes[0].get_xlabel() == "within 0.500, between 0.100"


def test_coarse_averages_blocks_and_keeps_the_mean() -> None:
    matrix = np.random.default_rng(0).normal(size=(1000, 1000))
    small = coarse(matrix, most=100)
    assert small.shape == (100, 100)
    assert small[3, 7] == pytest.approx(matrix[30:40, 70:80].mean())
    assert coarse(np.ones((7, 7)), most=3) == pytest.approx(np.ones((3, 3)))
    assert coarse(matrix[:9, :9]) is not None
    assert coarse(matrix[:9, :9]).shape == (9, 9)
