"""The research toolkit's figures: each as it was published, beside what should be read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.text import Text

from alignbench.experiments.coral.figures.alignment import cka_vs_coral
from alignbench.experiments.coral.figures.comparison import coral_comparison
from alignbench.experiments.coral.figures.intra_modal import intra_modal_similarity
from alignbench.experiments.coral.figures.samples import sample_similarity, usual_low
from alignbench.experiments.coral.figures.spectra import eigenvalue_spectrum
from alignbench.experiments.eas.figures import eas_dashboard, places
from alignbench.plots import FigureInputs, SimilarityArrays
from alignbench.tests.figure_helpers import axes_titled, bars, drawn, texts
from alignbench.tests.report_fakes import ENCODERS, make_inputs, make_score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ONE = ("mini-llama",)


def points_of(ax: Axes) -> list[Any]:
    """Return the round markers of a scatter."""
    return [line for line in ax.lines if line.get_marker() == "o"]


def table_of(ax: Axes) -> Any:
    """Return the numbers behind a table of colours, NaN where a cell is empty."""
    return np.ma.filled(np.ma.masked_array(ax.images[0].get_array()), np.nan)


def test_cka_against_coral_as_published_has_the_diagonal_and_hollow_points() -> None:
    inputs = make_inputs(ENCODERS, ONE)
    ax = axes_titled(drawn(cka_vs_coral(inputs)), "As published")
    assert any(np.array_equal(line.get_xydata(), [[0, 0], [1, 1]]) for line in ax.lines)
    points = points_of(ax)
    value = {(s.metric, s.encoder): s.value for s in inputs.scores if s.llm and s.experiment != "compare"}
    assert {tuple(p.get_xydata()[0]) for p in points} == {
        (value["coral_similarity", e], value["linear_cka", e]) for e in ENCODERS
    }
    assert {p.get_markerfacecolor() for p in points} == {"white"}
    low, high = ax.get_xlim()
    assert low <= 0 < 1 <= high


def test_points_that_are_not_saturated_are_filled() -> None:
    scores = [replace(s, flags=()) for s in make_inputs(("a", "b"), ("l",)).scores]
    figure = drawn(cka_vs_coral(FigureInputs(scores)))
    for ax in figure.axes:
        points = points_of(ax)
        assert len(points) == 2
        assert "white" not in {p.get_markerfacecolor() for p in points}
    assert "Hollow" not in figure.get_supxlabel()


def test_either_view_of_cka_and_coral_is_drawn_without_the_other() -> None:
    scores = make_inputs(("a", "b"), ("l",)).scores
    for metric, title in (("linear_cka", "As published"), ("calibrated_cka", "As it should be read")):
        own = [s for s in scores if s.experiment == "coral" or s.metric == metric]
        if metric == "calibrated_cka":
            own = [s for s in own if s.metric != "coral_similarity"]
        else:
            own = [s for s in own if "ncoral" not in s.metric]
        [ax] = drawn(cka_vs_coral(FigureInputs(own))).axes
        assert ax.get_title(loc="left") == title


def test_coral_comparison_has_the_distance_as_published() -> None:
    inputs = make_inputs(("mini-clip",), ONE)
    ax = axes_titled(drawn(coral_comparison(inputs)), "coral_distance")
    [bar] = bars(ax)
    assert bar.get_width() == pytest.approx(1e-7)
    assert ax.get_xlabel() == "from 0 on, lower is more alike"


def test_each_encoder_has_a_panel_against_the_llms_with_its_divergence() -> None:
    inputs = make_inputs(ENCODERS, ("mini-llama", "mini-qwen"))
    figure = drawn(eigenvalue_spectrum(inputs))
    divergence = {
        (s.encoder, s.llm): s.value for s in inputs.scores if s.metric == "spectral_divergence" and s.llm
    }
    for encoder in ENCODERS:
        ax = axes_titled(figure, encoder)
        assert len(ax.lines) == 3
        [told] = [t.get_text() for t in ax.texts]
        for llm in ("mini-llama", "mini-qwen"):
            assert f"{llm}: {divergence[encoder, llm]:.3f}" in told
    assert "doesn't see which image belongs to which text" in " ".join(figure.get_supxlabel().split())


def test_a_divergence_that_is_not_there_is_said() -> None:
    inputs = make_inputs(("mini-clip",), ONE)
    others = [s for s in inputs.scores if s.metric != "spectral_divergence"]
    written = texts(drawn(eigenvalue_spectrum(replace(inputs, scores=others))))
    assert "divergence from\nmini-llama: not recorded" in written


def test_models_of_one_side_are_compared_by_similarity_and_ncoral() -> None:
    inputs = make_inputs(ENCODERS, ("mini-llama", "mini-qwen"))
    figure = drawn(intra_modal_similarity(inputs))
    similarity = axes_titled(figure, "coral_similarity\nencoders, same images")
    assert axes_titled(figure, "coral_similarity\nLLMs, same texts").images
    ncoral = next(ax for ax in figure.axes if ax.get_title(loc="left").startswith("ncoral"))
    for ax, own in ((similarity, 1.0), (ncoral, 0.0)):
        values = np.asarray(ax.images[0].get_array())
        assert values == pytest.approx(values.T)
        assert values.diagonal() == pytest.approx([own] * 4)
    # Every cell of two models is saturated, and none of a model with itself.
    assert len([patch for patch in similarity.patches if patch.get_hatch()]) == 12
    assert not [patch for patch in ncoral.patches if patch.get_hatch()]
    assert "Hatched: saturated" in figure.get_supxlabel()


def test_light_is_alike_whichever_way_the_metric_goes() -> None:
    figure = drawn(intra_modal_similarity(make_inputs(("a", "b", "c"), ("l",))))
    for ax in (a for a in figure.axes if a.images):
        image: Any = ax.images[0]
        alike = table_of(ax)[0, 0]
        unlike = 1.0 - alike
        assert sum(image.to_rgba(alike)[:3]) > sum(image.to_rgba(unlike)[:3])


def test_one_model_of_each_side_has_nothing_to_be_compared_with() -> None:
    assert intra_modal_similarity(make_inputs(("mini-clip",), ONE)) is None


def outlier(n: int = 30) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return cosines of samples that are alike, but for one that points the other way."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 8)) * 0.2 + 1
    x[0] *= -1
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x @ x.T)


def test_one_odd_sample_does_not_grey_out_the_cosines() -> None:
    cosine = outlier()
    assert cosine.min() < -0.9
    assert usual_low(cosine) > 0.5
    figure = drawn(sample_similarity(FigureInputs(similarity=[SimilarityArrays("m", cosine, ("a",) * 30)])))
    low, high = figure.axes[0].images[0].get_clim()
    assert (low, high) == (0.0, 1.0)
    assert "6.7% of all pairs of samples are below" in figure.get_supxlabel()


def test_several_odd_samples_do_not_either() -> None:
    cosine = outlier(40)
    cosine[:3, 3:] = cosine[3:, :3] = -0.95
    assert usual_low(cosine) > 0.5


def test_of_cosines_without_outliers_one_in_twenty_is_below_the_scale() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cosine = x @ x.T
    pairs = cosine[np.triu_indices(40, 1)]
    assert np.mean(pairs < usual_low(cosine)) == pytest.approx(0.05, abs=0.003)


def test_cosines_that_are_all_positive_begin_at_zero_and_nothing_is_left_out() -> None:
    cosine = np.abs(outlier())
    figure = drawn(sample_similarity(FigureInputs(similarity=[SimilarityArrays("m", cosine, ("a",) * 30)])))
    assert figure.axes[0].images[0].get_clim() == (0.0, 1.0)
    assert "darkest" not in figure.get_supxlabel()


@pytest.mark.slow
def test_eas_is_held_against_its_own_cka() -> None:
    inputs = make_inputs(ENCODERS, ONE)
    figure = drawn(eas_dashboard(inputs))
    for metric, part, title in (
        ("eas", "linear_cka", "EAS as published"),
        ("eas_adjusted", "calibrated_cka", "EAS adjusted"),
    ):
        ax = axes_titled(figure, f"{title}, against its CKA")
        own = [s for s in inputs.scores if s.metric == metric]
        points = {tuple(point.get_xydata()[0]) for point in points_of(ax)}
        assert points == {(s.params["parts"][part], s.value) for s in own}
        assert {t.get_text() for t in ax.texts} >= set(ENCODERS)


@pytest.mark.slow
def test_where_an_encoder_is_named_once_its_name_hides_no_point_of_another_llm() -> None:
    by_llm = {
        "a": ((0.512, 0.596), (0.255, 0.443), (0.239, 0.512)),
        "b": ((0.574, 0.615), (0.268, 0.447), (0.275, 0.523)),
        "c": ((0.637, 0.634), (0.302, 0.457), (0.408, 0.563)),
    }
    scores = [
        make_score("eas", value, encoder, llm, experiment="eas", params={"parts": {"x": cka, "y": 1, "z": 0}})
        for llm, own in by_llm.items()
        for encoder, (cka, value) in zip(("efficientnet", "mini-clip", "random-vit"), own, strict=True)
    ]
    figure = drawn(eas_dashboard(FigureInputs(scores)))
    ax = axes_titled(figure, "EAS as published, against its CKA")
    at = ax.transData.transform([point for own in by_llm.values() for point in own])
    names = [text for text in ax.texts if text.get_text()]
    assert len(names) == 3
    for text in names:
        box = Text.get_window_extent(text)  # without the line to its point
        assert not any(box.contains(x, y) for x, y in at)


@pytest.mark.slow
def test_eas_adjusted_says_what_its_third_part_is() -> None:
    figure = drawn(eas_dashboard(make_inputs(ENCODERS, ONE)))
    assert "0.4 × discriminability (knn above chance in EAS adjusted)" in texts(figure)


@pytest.mark.slow
def test_the_three_rankings_give_places_and_none_where_coral_is_saturated() -> None:
    inputs = make_inputs(ENCODERS, ONE)
    figure = drawn(eas_dashboard(inputs))
    published = axes_titled(figure, "Places by EAS as published,\nfor mini-llama")
    adjusted = axes_titled(figure, "Places by EAS adjusted,\nfor mini-llama")
    assert [t.get_text() for t in adjusted.get_xticklabels()] == ["CKA", "CORAL", "EAS"]
    table = table_of(adjusted)
    order = [t.get_text() for t in published.get_yticklabels()]
    scores = {str(s.encoder): s for s in inputs.scores if s.metric == "eas_adjusted"}
    for column, part in enumerate(("calibrated_cka", "1 - ncoral", "")):
        values = {e: s.params["parts"][part] if part else s.value for e, s in scores.items()}
        ranked = sorted(order, key=lambda encoder, of=values: -of[encoder])  # type: ignore[misc]
        assert [ranked.index(encoder) + 1 for encoder in order] == list(table[:, column])
    saturated = np.isnan(table_of(published))
    assert saturated[:, 1].all()
    assert not saturated[:, [0, 2]].any()
    assert len([patch for patch in published.patches if patch.get_hatch()]) == 4


def test_equal_values_share_a_place_and_a_missing_encoder_has_none() -> None:
    values = {"a": [0.2, 1.0, 0.5], "b": [0.2, 0.5, 0.7]}
    found = places(values, ["a", "b", "c"])
    assert found[:2].tolist() == [[1, 1, 2], [1, 2, 1]]
    assert np.isnan(found[2]).all()


@pytest.mark.slow
def test_an_encoder_without_a_value_has_no_place() -> None:
    made = make_inputs(("a", "b", "c"), ("l",))
    none: dict[str, Any] = {
        "value": None,
        "status": "not_applicable",
        "reason": "too few",
        "interval": None,
        "deletions": (),
    }
    scores = [replace(s, **none) if s.encoder == "b" else s for s in made.scores]
    ax = axes_titled(drawn(eas_dashboard(replace(made, scores=scores))), "Places by EAS adjusted,\nfor l")
    table = table_of(ax)
    assert sorted(table[:, 2][np.isfinite(table[:, 2])]) == [1, 2]
    assert np.isnan(table[:, 2]).sum() == 1


def test_composites_without_parts_are_bars_alone() -> None:
    scores = [make_score("eas", v, e, experiment="eas") for e, v in (("a", 0.3), ("b", 0.4))]
    assert len(drawn(eas_dashboard(FigureInputs(scores))).axes) == 1
