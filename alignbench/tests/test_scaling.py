"""Scores of nested samples: they are what they say, and the n from which an order stands is counted right."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignbench.experiments.base import NotApplicableError
from alignbench.experiments.scaling.names import AT_N, CAPTIONS, STANDS
from alignbench.experiments.scaling.scores import average_texts, scaling
from alignbench.experiments.scoring import Settings
from alignbench.findings import Findings
from alignbench.metrics import METRICS, Metric
from alignbench.plots import FIGURES, FigureInputs
from alignbench.show import write_run
from alignbench.show.scaling import scaling_sentences
from alignbench.show.summary import summary_markdown
from alignbench.show.terminal import terminal_table
from alignbench.stats.scaling import agreement, sizes_up_to, stands_from, told_apart
from alignbench.stats.splits import some_groups
from alignbench.tests.pairs import make_pair
from alignbench.tests.report_fakes import make_run, make_score
from alignbench.tests.toys import copy_benchmarks, run, scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

    from alignbench.types import Pair, Score


@pytest.mark.parametrize(
    ("n", "sizes"), [(20, (20,)), (30, (30,)), (31, (30, 31)), (90, (30, 60, 90)), (240, (30, 60, 120, 240))]
)
def test_sizes_double_up_to_all_groups(n: int, sizes: tuple[int, ...]) -> None:
    assert sizes_up_to(n) == sizes


def test_models_of_one_tie_group_have_no_order() -> None:
    assert told_apart([["a", "b"], ["c"], ["d"]]) == [
        ("a", "c"),
        ("a", "d"),
        ("b", "c"),
        ("b", "d"),
        ("c", "d"),
    ]
    assert told_apart([["a", "b"]]) == []


@pytest.mark.parametrize(("higher", "share"), [(True, 0.5), (False, 0.0)])
def test_a_sample_agrees_if_every_pair_is_in_order(higher: bool, share: float) -> None:
    values: dict[str, Sequence[float]] = {"a": [3, 3, 3, 1], "b": [2, 2, 1, 2], "c": [1, 3, 0.5, 0]}
    assert agreement([("a", "b"), ("b", "c")], values, higher) == share


def test_equal_values_are_in_no_order() -> None:
    assert agreement([("a", "b")], {"a": [1.0], "b": [1.0]}) == 0


@given(st.dictionaries(st.integers(1, 50), st.floats(0, 1), max_size=8))
def test_an_order_stands_from_the_first_of_the_sizes_that_all_agree(shares: dict[int, float]) -> None:
    standing = [size for size in shares if all(shares[other] >= 0.95 for other in shares if other >= size)]
    assert stands_from(shares) == min(standing, default=None)


NOISES = {"good": 0.1, "fair": 1.0, "none": 100.0}


def encoders(n: int = 100, noises: Mapping[str, float] = NOISES) -> list[Pair]:
    """Return pairs of encoders with one LLM, whose vectors they have with more and more noise."""
    pair, rng = make_pair(n), np.random.default_rng(3)
    pairs = []
    for name, noise in noises.items():
        values = pair.y.values / pair.y.values.std() + noise * rng.normal(size=pair.y.values.shape)
        side = replace(pair.x, values=values.astype(np.float32), model=replace(pair.x.model, name=name))
        pairs.append(replace(pair, x=side))
    return pairs


def by_variant(found: list[Score], metric: str, encoder: str | None) -> dict[str, Score]:
    return {score.variant: score for score in found if (score.metric, score.encoder) == (metric, encoder)}


def test_a_score_at_n_is_the_mean_over_samples_that_are_parts_of_each_other() -> None:
    pairs = encoders()
    found = by_variant(scaling(pairs, ["linear_cka"], Settings(), 4), AT_N, "good")
    assert [score.n for score in found.values()] == [30, 60, 100]
    x, y = (side.values.astype(np.float64) for side in (pairs[0].x, pairs[0].y))
    before = np.zeros((4, 100), dtype=bool)
    for size in (30, 60):
        masks = np.array(
            [some_groups(np.asarray(pairs[0].groups), size, 42, f"scaling {draw}") for draw in range(4)]
        )
        assert (masks.sum(axis=1) == size).all()
        assert (masks | before == masks).all()
        values = [METRICS.get("linear_cka")(x[mask], y[mask]) for mask in masks]
        score = found[f"linear_cka, n = {size}"]
        assert score.repeats == pytest.approx(values, abs=1e-12)
        assert score.value == pytest.approx(np.mean(values))
        before = masks
    whole = found["linear_cka, n = 100"]
    assert whole.value == pytest.approx(METRICS.get("linear_cka")(x, y), abs=1e-12)
    assert whole.interval is not None


@pytest.mark.slow
def test_the_size_from_which_the_order_stands_is_counted_over_what_is_told_apart() -> None:
    [stands] = by_variant(scaling(encoders(200), ["calibrated_cka"], Settings(), 5), STANDS, None).values()
    assert stands.params["told_apart"][0] == ["good", "fair"]
    shares = {int(size): share for size, share in stands.params["shares"].items()}
    assert list(shares) == [30, 60, 120]
    assert stands.value == stands_from(shares) == 30


def test_encoders_that_are_not_told_apart_have_no_order_to_find_again() -> None:
    same = [
        replace(p, x=replace(p.x, model=replace(p.x.model, name=n))) for n in "ab" for p in encoders()[2:]
    ]
    [stands] = by_variant(scaling(same, ["linear_cka"], Settings(), 3), STANDS, None).values()
    assert stands.reason == "all 100 groups tell no two encoders apart, so there is no order to find again"
    [one] = {score.metric for score in scaling(same[:1], ["linear_cka"], Settings(), 2)}
    assert one == AT_N


@pytest.mark.slow
def test_the_order_of_close_encoders_stands_later() -> None:
    pairs = encoders(130, {"better": 0.8, "worse": 1.0})
    [stands] = by_variant(scaling(pairs, ["linear_cka"], Settings(), 20), STANDS, None).values()
    assert stands.params["told_apart"] == [["better", "worse"]]
    assert stands.params["shares"] == {"30": 0.8, "60": 1.0, "120": 1.0}
    assert stands.value == 60


def test_an_order_that_no_sample_gives_does_not_stand() -> None:
    def turned(x: ArrayLike, y: ArrayLike) -> float:
        value = float(METRICS.get("linear_cka")(x, y))
        return value if len(np.asarray(x)) > 70 else -value  # also without one block of 100 rows

    METRICS.add(Metric("turned", turned, pairing=True))
    try:
        [stands] = by_variant(scaling(encoders(), ["turned"], Settings(), 2), STANDS, None).values()
    finally:
        METRICS.remove("turned")
    assert stands.params["shares"] == {"30": 0.0, "60": 0.0}
    said = "samples of 60 groups give the order of all 100 in only 0% of draws; take more samples"
    assert stands.reason == said


def test_too_few_groups_are_said() -> None:
    with pytest.raises(NotApplicableError, match="more than 30 groups, and there are 30"):
        scaling(encoders(30), ["linear_cka"], Settings(), 2)


def test_a_metric_that_does_not_exist_on_a_sample_says_why() -> None:
    flat = [replace(p, x=replace(p.x, values=np.ones_like(p.x.values))) for p in encoders()]
    found = scaling(flat, ["linear_cka"], Settings(), 2)
    assert all(score.status == "not_applicable" and score.reason for score in found)


def several_texts(texts: list[int]) -> Pair:
    """Return a pair with this many texts of each image."""
    images = [f"image {i}" for i, count in enumerate(texts) for _ in range(count)]
    pair = make_pair(len(images))
    return replace(
        pair,
        groups=tuple(images),
        images=tuple(images),
        texts=tuple(f"text {i}" for i in range(len(images))),
    )


@pytest.mark.parametrize("unit", [True, False])
def test_texts_of_an_image_are_averaged(unit: bool) -> None:
    pair = several_texts([3, 1, 4] * 12)
    pair = replace(pair, y=replace(pair.y, model=replace(pair.y.model, params={"l2": unit})))
    mean = average_texts(pair, 4, seed=1)
    assert mean.groups == tuple(dict.fromkeys(pair.images))
    for row, image in enumerate(mean.images):
        own = pair.y.values[[i for i, name in enumerate(pair.images) if name == image]].mean(axis=0)
        expected = own / np.linalg.norm(own) if unit else own
        assert mean.y.values[row] == pytest.approx(expected, abs=1e-6)
    two, three = (average_texts(pair, count, seed=1).y.values for count in (2, 3))
    assert np.array_equal(two[1], mean.y.values[1])
    assert not np.array_equal(two[0], three[0])
    assert np.array_equal(three[0], mean.y.values[0])


def test_a_text_that_an_image_has_twice_counts_once() -> None:
    pair = several_texts([2] * 40)
    twice = replace(pair, texts=tuple("same" for _ in pair.texts))
    assert np.array_equal(
        average_texts(twice, 2, 1).y.values, average_texts(pair.take(range(0, 80, 2)), 1, 1).y.values
    )


def test_captions_are_scored_at_doubled_numbers_up_to_all() -> None:
    found = scaling([several_texts([5, 2] * 20)], ["linear_cka"], Settings(), 2)
    counted = [score for score in found if score.metric == CAPTIONS]
    assert [score.variant for score in counted] == [f"linear_cka, {c} of an image" for c in (1, 2, 4, 5)]
    assert len({score.value for score in counted}) == 4
    one = scaling([several_texts([1] * 40)], ["linear_cka"], Settings(), 2)
    assert not [score for score in one if score.metric == CAPTIONS]


@pytest.mark.slow
def test_the_figure_has_a_panel_a_metric_and_marks_where_the_order_stands() -> None:
    found = scaling(encoders(), ["calibrated_cka", "mutual_knn"], Settings(), 3)
    figure: Any = FIGURES.get("scaling")(Findings.of(found).figure_inputs())
    assert [ax.get_title("left").splitlines()[0] for ax in figure.axes if ax.lines] == [
        "calibrated_cka",
        "mutual_knn",
    ]
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert [float(line.get_xdata()[0]) for line in dashed] == [30.0]
    assert len(figure.axes[0].lines) == 4
    assert FIGURES.get("scaling")(FigureInputs()) is None


def test_a_run_files_the_scores_of_a_metric_that_is_named(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_scaling.py")
    result = run(
        project, "benchmarks", "-m", "scaling", "--n-samples=11", "--align-draws=2", "--align-metrics=rsa"
    )
    assert result.ret == 0
    found = scores(project)
    assert {key[0] for key in found} == {"scaling"}
    assert {key[6] for key in found if key[1] == AT_N} == {"rsa, n = 30", "rsa, n = 33"}


@pytest.mark.slow
def test_terminal_summary_and_report_say_from_which_n_the_order_stands(tmp_path: Path) -> None:
    found = scaling(encoders(), ["linear_cka", "calibrated_cka"], Settings(), 3)
    same = scaling(encoders(100, {"a": 1.0, "b": 1.0}), ["linear_cka"], Settings(), 3)
    said = scaling_sentences([*found, *(replace(score, llm="other") for score in same)], str.upper)
    assert said[0] == (
        "With LLM, samples order the encoders as all 100 groups do from n = 30 by linear_cka and 30 by "
        "calibrated_cka on."
    )
    assert said[1] == (
        "With OTHER, no such n by linear_cka: all 100 groups tell no two encoders apart, so there is no "
        "order to find again."
    )
    assert len(said) == 2
    findings = Findings.of(found)
    assert "all 100 groups do from n = 30 by" in " ".join(line.strip() for line in terminal_table(findings))
    summary = summary_markdown(findings)
    assert "all 100 groups do from n = 30 by" in summary
    assert "nothing to rank" not in summary_markdown(Findings.of(same))
    assert scaling_sentences([], str) == []
    stands = (
        "With llm, samples order the encoders as all 100 groups do from n = 30 by calibrated_cka and 30 by"
    )
    for recorded, shown in ((found, stands), (same, said[1].replace("OTHER", "llm"))):
        write_run(tmp_path, Findings.of(recorded, make_run(("good",))), figures=False)
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        section = page.partition('<section id="scaling"')[2].partition("</section>")[0]
        assert f'<p class="statement">{shown}' in section
        assert '<a href="#scaling">' in page
        assert "nothing to rank" not in page
    write_run(tmp_path, Findings.of([make_score("linear_cka", 0.3)], make_run(("good",))), figures=False)
    assert 'id="scaling"' not in (tmp_path / "report.html").read_text(encoding="utf-8")
