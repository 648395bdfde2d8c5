"""What the figures show: artists, labels and limits; never 0 for what isn't there, nothing for nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench import score_arrays
from alignbench.experiments.coral.figures.alignment import cka_vs_coral
from alignbench.experiments.coral.figures.comparison import coral_comparison, coral_dashboard
from alignbench.experiments.eas.figures import contributions, eas_dashboard
from alignbench.plots import FIGURES, FigureInputs, save
from alignbench.tests.figure_helpers import NOT_APPLICABLE, axes_titled, bars, drawn, texts
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

    from alignbench.types import Score


# The figures of a published table, which test_published.py draws, need its scores.
OF_SEVERAL = {"model_similarity", "intra_modal_similarity", "race"}  # of two encoders at least
OF_A_RUN = [name for name in FIGURES.names() if "--table" not in FIGURES.get(name).requires]


def replaced(scores: list[Score], encoder: str, **changes: Any) -> list[Score]:
    return [replace(s, **changes) if s.encoder == encoder and s.llm else s for s in scores]


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


def test_a_title_has_the_numbers_of_groups_of_all_columns() -> None:
    scores = [
        replace(make_score(name, 0.5, "a"), n=n) for name, n in (("linear_cka", 6000), ("rbf_cka", 5000))
    ]
    title = drawn(FIGURES.get("cka_comparison")(FigureInputs(scores))).get_suptitle()
    assert title.endswith("(n = 5000 to 6000 groups)")


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
