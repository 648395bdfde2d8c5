"""What the figures show: artists, labels and limits; never 0 for what isn't there, nothing for nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench import score_arrays
from alignbench.experiments.coral.figures.alignment import cka_vs_coral
from alignbench.experiments.coral.figures.comparison import coral_comparison, coral_dashboard
from alignbench.experiments.coral.figures.samples import sample_similarity
from alignbench.experiments.coral.figures.spectra import (
    covariance_heatmaps,
    effective_directions,
    eigenvalue_spectrum,
)
from alignbench.experiments.eas.figures import contributions, eas_dashboard
from alignbench.plots import FIGURES, CoralArrays, FigureInputs, SimilarityArrays, save
from alignbench.plots.images import coarse
from alignbench.tests.report_fakes import (
    ENCODERS,
    HOSTILE,
    make_inputs,
    make_model,
    make_run,
    make_score,
    make_scores,
)

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alignbench.types import Score


# The figures of a published table, which test_published.py draws, need its scores.
OF_SEVERAL = {"model_similarity", "intra_modal_similarity", "race"}  # of two encoders at least
OF_A_RUN = [name for name in FIGURES.names() if "--table" not in FIGURES.get(name).requires]


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def texts(figure: Figure) -> list[str]:
    """Return all that is written in a figure."""
    import matplotlib.text

    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


def axes_titled(figure: Figure, title: str) -> Axes:
    [found] = [ax for ax in figure.axes if ax.get_title(loc="left") == title]
    return found


def bars(ax: Axes) -> list[Any]:
    """Return the bars that are values, without the bands of the null."""
    patches: list[Any] = list(ax.patches)
    return [patch for patch in patches if patch.get_height() < 0.7]


def replaced(scores: list[Score], encoder: str, **changes: Any) -> list[Score]:
    return [replace(s, **changes) if s.encoder == encoder and s.llm else s for s in scores]


NOT_APPLICABLE: dict[str, Any] = {
    "value": None,
    "status": "not_applicable",
    "reason": "zero variance in x",
    "interval": None,
    "null": None,
    "deletions": (),
}


@pytest.mark.parametrize("name", FIGURES.names())
def test_nothing_recorded_gives_no_figure(name: str) -> None:
    assert FIGURES.get(name)(FigureInputs()) is None


@pytest.mark.parametrize("name", FIGURES.names())
def test_scores_of_another_experiment_give_no_figure(name: str) -> None:
    scores = [make_score("ttft", 0.1, experiment="speed")]
    assert FIGURES.get(name)(FigureInputs(scores, make_run().models)) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_A_RUN)
def test_every_figure_says_what_is_seen(name: str) -> None:
    figure = drawn(FIGURES.get(name)(make_inputs(("mini-clip", "random-vit"), ("mini-llama",))))
    assert len(figure.get_suptitle()) > 15
    assert figure.get_supxlabel()
    written = " ".join(texts(figure))
    assert "nan" not in written.lower().split()
    assert any(name in written for name in ("mini-clip", "mini-llama"))


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_A_RUN)
def test_hostile_names_are_drawn_as_text(name: str, tmp_path: Path) -> None:
    figure = drawn(FIGURES.get(name)(make_inputs((*HOSTILE[2:4], HOSTILE[5]), (HOSTILE[0],))))
    save(figure, tmp_path / name)
    assert not any(c in text for text in texts(figure) for c in "\x1b\u202e")


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_A_RUN)
def test_stand_ins_are_called_so(name: str) -> None:
    encoder = make_model("mini-clip", stand_in_for="clip")
    llm = make_model("mini-llama", "text", stand_in_for="llama")
    made = make_inputs((encoder.label, "random-vit"), (llm.label,))
    inputs = replace(made, models=[encoder, make_model("random-vit"), llm])
    written = " ".join(texts(drawn(FIGURES.get(name)(inputs)))).replace("\n", " ")
    assert "mini-clip (stand-in for clip)" in written


@pytest.mark.slow
def test_eas_bars_add_up_to_the_value() -> None:
    inputs = make_inputs(("mini-clip",), ("mini-llama",))
    figure = drawn(eas_dashboard(inputs))
    for title, metric in (("EAS as published", "eas"), ("EAS adjusted", "eas_adjusted")):
        [score] = [s for s in inputs.scores if s.metric == metric]
        ends = [bar.get_x() + bar.get_width() for bar in bars(axes_titled(figure, title))]
        assert len(ends) == 3
        assert max(ends) == pytest.approx(score.value)


@pytest.mark.parametrize(("metric", "labels"), [("eas", True), ("eas", False), ("eas_adjusted", True)])
def test_eas_parts_are_found_whatever_they_are_called(metric: str, labels: bool) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 30, 5))
    [score] = score_arrays(x, y, labels=["a", "b"] * 15 if labels else None, metrics=metric).scores
    cka, coral, alone = score.params["parts"].values()
    added = contributions(score)
    assert added == pytest.approx({"cka": 0.3 * cka, "coral": 0.3 * coral, "classes": 0.4 * alone})
    assert sum(added.values()) == pytest.approx(score.value)
    assert contributions(make_score("eas", 0.61)) == {"cka": 0.61}


@pytest.mark.slow
def test_eas_shows_the_shuffled_value_and_the_interval() -> None:
    inputs = make_inputs(("mini-clip",), ("mini-llama",))
    ax = axes_titled(drawn(eas_dashboard(inputs)), "EAS adjusted")
    [score] = [s for s in inputs.scores if s.metric == "eas_adjusted"]
    assert score.null is not None
    assert score.null.mean is not None
    assert score.interval is not None
    assert any(list(np.asarray(line.get_xdata())) == [score.null.mean] * 2 for line in ax.lines)
    [segment] = [segment for c in ax.collections for segment in c.get_segments()]  # type: ignore[attr-defined]
    assert segment[:, 0] == pytest.approx([score.interval.low, score.interval.high])


def test_only_the_saturated_part_is_hatched() -> None:
    figure = drawn(eas_dashboard(make_inputs(("mini-clip",), ("mini-llama",))))
    hatches = [bar.get_hatch() for bar in bars(axes_titled(figure, "EAS as published"))]
    assert [bool(hatch) for hatch in hatches] == [False, True, False]
    assert not any(bar.get_hatch() for bar in bars(axes_titled(figure, "EAS adjusted")))
    assert "never sees the LLM" in " ".join(figure.get_supxlabel().split())


def test_eas_rows_are_best_first_by_the_adjusted_score() -> None:
    scores = [
        make_score("eas_adjusted", v, e, experiment="eas") for e, v in (("b", 0.2), ("a", 0.3), ("c", None))
    ]
    [ax] = drawn(eas_dashboard(FigureInputs(scores))).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.yaxis_inverted()


@pytest.mark.slow
@pytest.mark.parametrize("draw", [eas_dashboard, coral_comparison, coral_dashboard])
def test_what_has_no_value_is_said_and_not_drawn_as_zero(draw: Any) -> None:
    scores = replaced(make_scores(("a", "b"), ("l",)), "b", **NOT_APPLICABLE)
    figure = drawn(draw(FigureInputs(scores)))
    assert "n/a: zero variance in x" in texts(figure)
    for ax in figure.axes:
        rows = [label.get_text() for label in ax.get_yticklabels()]
        missing = [i for i, row in enumerate(rows) if row in {"b", "b × l"}]
        assert not [p for p in bars(ax) if round(p.get_y() + p.get_height() / 2) in missing]


@pytest.mark.slow
def test_labels_say_which_way_is_better() -> None:
    inputs = make_inputs(("a", "b"), ("l",))
    written = texts(drawn(eas_dashboard(inputs)))
    assert "eas (0 to 1, higher is better)" in written
    assert "eas_adjusted (0 to 1, higher is better)" in written
    assert "0 to 1, lower is more alike" in texts(drawn(coral_comparison(inputs)))
    published, read = drawn(cka_vs_coral(inputs)).axes
    assert published.get_xlabel() == "coral_similarity (higher is more alike)"
    assert read.get_xlabel() == "ncoral (lower is more alike)"


@pytest.mark.slow
def test_scatter_has_each_encoder_where_its_scores_are() -> None:
    inputs = make_inputs(ENCODERS, ("mini-llama",))
    ax = axes_titled(drawn(cka_vs_coral(inputs)), "As it should be read")
    value = {(s.metric, s.encoder): s.value for s in inputs.scores if s.llm and s.experiment != "compare"}
    points = {(line.get_color(), *line.get_xydata()[0]) for line in ax.lines if line.get_marker() == "o"}  # type: ignore[index, misc]
    expected = {(inputs.look(e).colour, value["ncoral", e], value["calibrated_cka", e]) for e in ENCODERS}
    assert points == expected
    assert {t.get_text() for t in ax.texts} >= set(ENCODERS)


def test_scatter_limits_hold_points_intervals_null_and_zero() -> None:
    inputs = make_inputs(ENCODERS, ("mini-llama",))
    ax = axes_titled(drawn(cka_vs_coral(inputs)), "As it should be read")
    low, high = ax.get_ylim()
    cka = [s for s in inputs.scores if (s.experiment, s.metric) == ("cka", "calibrated_cka")]
    for score in cka:
        assert score.interval is not None
        assert low <= score.interval.low < score.interval.high <= high
    assert low < -2 * 0.02 < 0


@pytest.mark.slow
def test_scatter_names_do_not_overlap_each_other_or_leave_the_axes() -> None:
    scores = []
    for i, encoder in enumerate(f"encoder-number-{j}" for j in range(9)):
        at = 0.3 + 0.004 * (i % 3), 0.2 + 0.004 * (i // 3)
        scores.append(make_score("calibrated_cka", at[1], encoder))
        scores.append(make_score("ncoral", at[0], encoder, experiment="coral", higher_is_better=False))
    figure = drawn(cka_vs_coral(FigureInputs(scores)))
    figure.draw_without_rendering()
    [ax] = figure.axes
    boxes = [t.get_window_extent() for t in ax.texts if t.get_text()]
    assert len(boxes) == 9
    for i, box in enumerate(boxes):
        assert ax.get_window_extent().padded(2).contains(*box.min)
        assert ax.get_window_extent().padded(2).contains(*box.max)
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


@pytest.mark.slow
def test_scatter_gives_each_llm_a_marker_or_a_panel() -> None:
    few = drawn(cka_vs_coral(make_inputs(("a", "b"), ("one", "two"))))
    assert len(few.axes) == 2
    assert [t.get_text() for t in few.legends[0].get_texts()] == ["for one", "for two"]
    many = drawn(cka_vs_coral(make_inputs([f"e{i}" for i in range(7)], ("one", "two"))))
    assert [ax.get_title(loc="left") for ax in many.axes] == [
        f"{view}, for {llm}" for llm in ("one", "two") for view in ("As published", "As it should be read")
    ]
    assert many.axes[1].get_xlim() == many.axes[3].get_xlim()


def test_scatter_needs_both_metrics_of_a_pair() -> None:
    cka = make_score("calibrated_cka", 0.3, "a")
    coral = make_score("ncoral", 0.3, "b", experiment="coral")
    assert cka_vs_coral(FigureInputs([cka])) is None
    assert cka_vs_coral(FigureInputs([cka, coral])) is None


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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*OF_A_RUN} - OF_SEVERAL))
def test_a_single_pair_of_nine_samples_is_drawn(name: str) -> None:
    inputs = make_inputs(("mini-clip",), ("mini-llama",))
    scores = [replace(s, interval=None, null=None, deletions=(), n=9) for s in inputs.scores]
    changed = replace(inputs, scores=scores)
    figure = drawn(FIGURES.get(name)(changed))
    figure.draw_without_rendering()
    assert "Black bar" not in figure.get_supxlabel()


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_A_RUN)
def test_twelve_encoders_and_five_llms_stay_within_bounds(name: str) -> None:
    encoders = [f"a-rather-long-encoder-name-{i}" for i in range(12)]
    figure = drawn(FIGURES.get(name)(make_inputs(encoders, [f"llm-{i}" for i in range(5)])))
    width, height = figure.get_size_inches()
    assert width <= 14
    assert height <= 30
