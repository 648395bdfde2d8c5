"""What the figures that compare encoders show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from alignbench.experiments.cka.figures import cka_comparison
from alignbench.experiments.compare.figures.data_types import cka_by_data_type
from alignbench.experiments.compare.figures.projectors import projector_comparison
from alignbench.experiments.compare.figures.similarity import model_similarity
from alignbench.experiments.overview import alignment_summary, standing
from alignbench.findings import Findings
from alignbench.plots import FIGURES, FigureInputs
from alignbench.tests.figure_helpers import NOT_APPLICABLE, axes_titled, bars, drawn, texts
from alignbench.tests.report_fakes import ENCODERS, HOSTILE, make_inputs, make_run, make_score
from alignbench.types import Null

NAMES = (
    "cka_comparison",
    "cka_by_data_type",
    "projector_comparison",
    "model_similarity",
    "alignment_summary",
)
NULL = Null("shuffled", 0.2, 0.01, p=0.001)


@pytest.mark.slow
def test_the_family_is_drawn_with_its_values_beside_its_nulls() -> None:
    inputs = make_inputs(ENCODERS, ("mini-llama",))
    figure = drawn(cka_comparison(inputs))
    for metric in ("calibrated_cka", "linear_cka"):
        own = {s.value for s in inputs.scores if s.metric == metric and s.experiment == "cka"}
        ax = axes_titled(figure, metric)
        assert {round(bar.get_width(), 9) for bar in bars(ax)} == {round(v, 9) for v in own if v is not None}
        assert any(len(set(line.get_xdata())) == 1 for line in ax.lines)  # type: ignore[arg-type]


def test_the_best_of_a_type_and_its_ties_are_marked() -> None:
    figure = drawn(cka_by_data_type(make_inputs(("a", "b", "c"), ("l",))))
    ax = axes_titled(figure, "chart (n = 30)\n")
    written = [t.get_text() for t in ax.texts]
    assert written.count("best") == 1
    assert "=" not in written  # the fakes' encoders are far apart


def with_values(values: dict[str, float], **fields: Any) -> FigureInputs:
    scores = [
        make_score("calibrated_cka", v, e, "l", experiment="compare", data_type="chart", **fields)
        for e, v in values.items()
    ]
    return Findings.of(scores, make_run(tuple(values), ("l",))).figure_inputs()


def test_encoders_that_tie_on_a_type_are_marked_alike_and_none_is_called_the_best() -> None:
    written = texts(drawn(cka_by_data_type(with_values({"a": 0.31, "b": 0.30, "c": 0.05}))))
    assert "a or b (too close to call)" in written
    assert (written.count("="), written.count("best")) == (2, 0)


def test_where_ties_are_unknown_nothing_is_marked_and_it_is_said() -> None:
    written = texts(drawn(cka_by_data_type(with_values({"a": 0.31, "b": 0.30}, deletions=()))))
    assert "a (ties unknown)" in written
    assert (written.count("="), written.count("best")) == (0, 0)


def test_where_no_encoder_beats_shuffled_pairs_none_is_marked() -> None:
    inputs = make_inputs(("a", "b"), ("l",))
    null = Null("shuffled", 0.0, 0.1, p=0.4)
    weak = [replace(s, null=null) if s.data_type == "chart" else s for s in inputs.scores]
    figure = drawn(cka_by_data_type(Findings.of(weak).figure_inputs()))
    written = [t.get_text() for t in axes_titled(figure, "chart (n = 30)\n").texts]
    assert "No encoder beats shuffled pairs here" in written
    assert not {"best", "="} & set(written)


@pytest.mark.slow
def test_projectors_show_value_interval_and_control() -> None:
    inputs = make_inputs(("a",), ("l",))
    ax = axes_titled(drawn(projector_comparison(inputs)), "projection_mse")
    [score] = [s for s in inputs.scores if s.metric == "projection_mse" and s.variant == "mlp"]
    assert score.null is not None
    assert score.interval is not None
    points = [list(np.ravel(line.get_xdata())) for line in ax.lines]
    assert [score.value] in points
    assert [score.null.mean] in points
    assert [score.interval.low, score.interval.high] in points
    assert [1.0, 1.0] in points  # chance


@pytest.mark.slow
def test_loss_curves_are_means_over_the_splits() -> None:
    inputs = make_inputs(("a",), ("l",))
    ax = axes_titled(drawn(projector_comparison(inputs)), "linear")
    arrays = inputs.artifacts["losses"][0]
    drawn_lines = [np.asarray(line.get_ydata(), dtype=float) for line in ax.lines]
    for name in ("train", "held_out"):
        assert any(len(y) == 40 and np.allclose(y, arrays[name].mean(axis=0)) for y in drawn_lines)


@pytest.mark.slow
def test_model_similarity_is_symmetric_with_the_values_written() -> None:
    inputs = make_inputs(ENCODERS, ("l", "m"))
    figure = drawn(model_similarity(inputs))
    ax = axes_titled(figure, "calibrated_cka\nencoders, same images")
    values = np.ma.filled(np.ma.masked_array(ax.images[0].get_array()), np.nan)
    assert np.array_equal(values, values.T, equal_nan=True)
    assert np.isnan(values.diagonal()).all()
    assert len([t for t in ax.texts if t.get_text() == "0.100"]) == 2 * 1
    assert axes_titled(figure, "calibrated_cka\nLLMs, same texts").images


@pytest.mark.parametrize(
    ("value", "fields", "expected"),
    [
        (0.6, {"null": NULL}, 0.5),
        (0.2, {"null": NULL}, 0.0),
        (0.1, {"null": NULL}, -0.125),
        (0.5, {"null": Null("s", 1.6), "chance": 1.0, "higher_is_better": False}, 0.5),
        (1.5, {"null": Null("s", 1.6), "chance": 1.0, "higher_is_better": False}, -0.5),
        (0.6, {}, None),
    ],
)
def test_standing_is_the_way_from_chance_to_the_best(
    value: float, fields: dict[str, Any], expected: float | None
) -> None:
    found = standing(make_score("something", value, **fields))
    assert found == (None if expected is None else pytest.approx(expected))


def test_the_summary_marks_what_is_blind_missing_or_unproven() -> None:
    inputs = make_inputs(("a", "b"), ("l",))
    weak = Null("shuffled", 0.3, 0.1, p=0.5)
    scores = [
        replace(s, null=weak) if (s.metric, s.encoder) == ("linear_cka", "a") else s for s in inputs.scores
    ]
    scores.append(make_score("rsa", None, "a", "l"))
    ax = drawn(alignment_summary(replace(inputs, scores=scores))).axes[0]
    rows = [label.get_text() for label in ax.get_yticklabels()]
    hidden = np.ma.getmaskarray(np.ma.masked_array(ax.images[0].get_array()))
    written = {tuple(np.round(t.get_position(), 3)): t.get_text() for t in ax.texts}
    assert hidden[rows.index("ncoral ↓")].all()
    assert not hidden[rows.index("linear_cka")].any()
    assert written[0, rows.index("rsa")] == "n/a"
    assert (1, rows.index("rsa")) not in written
    assert written[0, rows.index("linear_cka")].startswith("(")
    assert not written[1, rows.index("linear_cka")].startswith("(")
    assert "projection_cosine 2layer_mlp" in rows


def test_the_summary_shows_a_dozen_rows_of_each_kind_and_says_that_there_are_more() -> None:
    inputs = make_inputs(("a", "b"), ("l",))
    many = [make_score(f"own_{i}", 0.1, "a", "l", variant=v) for i in range(40) for v in ("", "x")]
    scores = [*many, *inputs.scores]
    figure = drawn(alignment_summary(replace(inputs, scores=scores)))
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(rows) == 12
    assert {"calibrated_cka", "elas", "eas", "own_0"} <= set(rows)
    assert "own_0 x" not in rows
    assert "12 of 1" in figure.get_supxlabel()  # of more than a hundred
    assert "the others are in the report's table of scores" in figure.get_supxlabel()


def test_the_summary_leaves_out_single_types_and_doubles() -> None:
    inputs = make_inputs(("a",), ("l",))
    again = make_score("calibrated_cka", 0.9, "a", "l", experiment="multi_llm")
    ax = drawn(alignment_summary(replace(inputs, scores=[*inputs.scores, again]))).axes[0]
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert rows.count("calibrated_cka") == 1
    assert "0.900" not in [t.get_text() for t in ax.texts]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_ten_encoders_and_five_llms_are_drawn(name: str) -> None:
    encoders = [f"encoder-{i}" for i in range(9)] + [HOSTILE[4]]
    figure = drawn(FIGURES.get(name)(make_inputs(encoders, [f"llm-{i}" for i in range(5)])))
    width, height = figure.get_size_inches()
    assert width <= 14
    assert height <= 30


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_values_that_do_not_exist_are_not_drawn_as_zero(name: str) -> None:
    inputs = make_inputs(("a", "b"), ("l",))
    changes: dict[str, Any] = NOT_APPLICABLE
    gone = [replace(s, **changes) for s in inputs.scores]
    figure = drawn(FIGURES.get(name)(Findings.of(gone, make_run(("a", "b"), ("l",))).figure_inputs()))
    assert any("n/a" in text for text in texts(figure)) or not any(bars(ax) for ax in figure.axes)


@pytest.mark.slow
def test_scores_of_samples_of_several_sizes_stand_in_no_summary() -> None:
    figure = alignment_summary(make_inputs(("mini-clip", "random-vit"), ("mini-llama",)))
    assert figure is not None
    written = " ".join(texts(figure))
    assert "calibrated_cka" in written
    assert not {"race_score", "value_at_n", "order_stands_from"} & set(written.split())
