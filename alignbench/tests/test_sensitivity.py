"""The same score under other choices: each variant is what it says, and survival is counted right."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.embed import Embedder, EmbeddingStore
from alignbench.encoders import resolve
from alignbench.experiments.scoring import Settings
from alignbench.experiments.sensitivity.variants import (
    other_poolings,
    sensitivity,
    standardised,
    variants,
)
from alignbench.findings import Findings
from alignbench.llms import resolve as resolve_llm
from alignbench.metrics import METRICS
from alignbench.plots import FIGURES, FigureInputs
from alignbench.rows import unit_rows
from alignbench.show.sensitivity import sensitivity_lines
from alignbench.stats.variations import AS_SCORED, METRIC, kendall, variations
from alignbench.tests.embed_fakes import drawings
from alignbench.tests.pairs import make_pair
from alignbench.tests.report_fakes import make_score
from alignbench.tests.toys import copy_benchmarks, run, scores
from alignbench.types import Pair, Score

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOW: dict[str, Any] = {"device": "cpu", "dtype": "float32"}


class Bench:
    """A pair of tiny models with what the suite gives an experiment."""

    def __init__(self, encoder: Any, llm: Any, store: EmbeddingStore) -> None:
        self.encoder, self.llm, self.store, self.data = encoder, llm, store, drawings(8)
        x, y = self.embed(encoder), self.embed(llm)
        groups = tuple(sample.group for sample in self.data.samples)
        self.pair = Pair(x, y, ("chart",) * 8, groups, "toy@0")

    def embed(self, model: Any) -> Any:
        embedder = Embedder(self.store, **HOW)
        return (embedder.images if model.info.side == "vision" else embedder.texts)(model, self.data)

    def varied(self, model: Any, **changes: Any) -> Any:
        return self.embed(model.varied(**changes))

    def layers(self, model: Any) -> Any:
        return Embedder(self.store, **HOW).layers(model, self.data)

    def variants(self) -> dict[str, Any]:
        found = variants(self.encoder, self.llm, self.pair, self.varied, self.layers)
        return {variant.name: variant for variant in found}


@pytest.mark.slow
def test_each_variant_changes_one_choice_and_is_what_it_says(
    folders: Callable[[str], Path], store: EmbeddingStore
) -> None:
    folder, mouth = folders("clip"), folders("llama")
    bench = Bench(resolve(str(folder)), resolve_llm(str(mouth)), store)
    found = bench.variants()
    assert list(found) == [
        AS_SCORED,
        "pooling mean",
        "pooling projected",
        "fit pad",
        "encoder middle layer",
        "LLM middle layer",
        "lengths kept",
        "centred, then unit length",
        "features standardised",
    ]
    x, y = bench.pair.x.values, bench.pair.y.values
    expected_x = {
        "pooling mean": resolve(str(folder), pooling="mean"),
        "pooling projected": resolve(str(folder), pooling="projected"),
        "fit pad": resolve(str(folder), fit="pad"),
        "encoder middle layer": resolve(str(folder), layer=2, pooling="cls"),
    }
    for name, encoder in expected_x.items():
        np.testing.assert_allclose(found[name].x, bench.embed(encoder).values, atol=1e-6)
        np.testing.assert_array_equal(found[name].y, y)
    np.testing.assert_array_equal(found["LLM middle layer"].x, x)
    middle = bench.embed(resolve_llm(str(mouth), layer=2)).values
    np.testing.assert_allclose(found["LLM middle layer"].y, middle, atol=1e-6)
    raw = bench.embed(resolve(str(folder), l2=False)).values.astype(np.float64)
    np.testing.assert_allclose(found["lengths kept"].x, raw)
    assert not np.allclose(np.linalg.norm(raw, axis=1), 1)
    centred = found["centred, then unit length"].x
    np.testing.assert_allclose(centred, unit_rows(raw - raw.mean(axis=0)))
    np.testing.assert_allclose(found["features standardised"].x.std(axis=0), 1)


@pytest.mark.slow
def test_vectors_whose_lengths_are_kept_are_varied_to_unit_length(
    folders: Callable[[str], Path], store: EmbeddingStore
) -> None:
    encoder, llm = resolve(str(folders("siglip")), l2=False), resolve_llm(str(folders("llama")), l2=False)
    found = Bench(encoder, llm, store).variants()
    assert "lengths kept" not in found
    np.testing.assert_allclose(np.linalg.norm(found["unit length"].x, axis=1), 1)


@pytest.mark.parametrize(
    ("family", "options", "others"),
    [
        ("clip", {}, ["mean", "projected"]),
        ("clip", {"pooling": "projected"}, ["cls", "pooler", "mean"]),
        ("clip", {"layer": 1}, ["mean"]),
        ("siglip", {}, ["mean"]),
        ("dinov2", {}, ["mean"]),
        ("internvit", {}, ["cls"]),
        ("paligemma", {}, ["mean"]),
    ],
)
def test_the_other_poolings_are_those_that_give_other_vectors(
    family: str, options: dict[str, Any], others: list[str], folders: Callable[[str], Path]
) -> None:
    encoder: Any = resolve(str(folders(family)), **options)
    assert other_poolings(encoder) == others


class Bare:
    """What somebody else registered: embeddings and nothing else."""

    def __init__(self, pair: Pair, side: str) -> None:
        self.info = getattr(pair, side).model


def nothing(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("it can't give more than embeddings")


def bare(pair: Pair) -> list[Score]:
    return sensitivity(Bare(pair, "x"), Bare(pair, "y"), pair, nothing, nothing, Settings())


def test_of_embeddings_alone_there_are_the_variants_of_scaling() -> None:
    pair = make_pair(40)
    found = {score.variant: score for score in bare(pair)}
    assert set(found) == {AS_SCORED, "centred, then unit length", "features standardised"}
    metric = METRICS.get("calibrated_cka")
    x, y = pair.x.values.astype(np.float64), pair.y.values.astype(np.float64)
    assert found[AS_SCORED].value == pytest.approx(metric(x, y))
    assert found["features standardised"].value == pytest.approx(metric(standardised(x), standardised(y)))
    assert all(score.interval is not None and len(score.deletions) == 40 for score in found.values())
    assert all(score.metric == METRIC for score in found.values())  # and is taken for no ranking of the run


def test_features_without_spread_are_left_out() -> None:
    values = np.random.default_rng(0).normal(size=(6, 3))
    values[:, 1] = 4.0
    assert standardised(values).shape == (6, 2)


def test_too_few_samples_are_not_applicable_with_the_reason() -> None:
    found = bare(make_pair(4))
    assert [score.status for score in found] == ["not_applicable"] * 3
    assert "at least 5" in str(found[0].reason)


def score(encoder: str, variant: str, value: float, spread: float = 0.01) -> Score:
    made = make_score("calibrated_cka", value, encoder)
    deletions = [value + spread * (-1) ** i * (1 + len(encoder) + i % 3) / 5 for i in range(30)]
    return replace(made, metric=METRIC, variant=variant, experiment="sensitivity", deletions=tuple(deletions))


def ranked() -> list[Score]:
    values = {
        AS_SCORED: {"a": 0.5, "b": 0.4, "c": 0.1},
        "fit pad": {"a": 0.45, "b": 0.41, "c": 0.1},
        "pooling mean": {"a": 0.2, "b": 0.6},
    }
    return [score(e, variant, v, 1e-4) for variant, row in values.items() for e, v in row.items()]


def test_a_ranking_that_holds_and_one_that_turns_are_told_apart() -> None:
    rows = {row.variant: row for row in variations(ranked()[::-1])}
    assert list(rows) == [AS_SCORED, "pooling mean", "fit pad"]  # whatever order they come in
    assert rows["fit pad"].order == ("a", "b", "c")
    assert (rows["fit pad"].tau, rows["fit pad"].keeps_first) == (1.0, True)
    turned = rows["pooling mean"]
    assert turned.order == ("b", "a", "c")
    assert turned.tau == pytest.approx(1 / 3)
    assert not turned.keeps_first
    assert turned.unchanged == ("c",)
    assert turned.values["c"] == 0.1


def test_the_best_as_scored_that_is_tied_with_another_survives() -> None:
    rows = variations(
        [
            score("a", AS_SCORED, 0.5),
            score("bb", AS_SCORED, 0.4),
            score("a", "fit pad", 0.5, 2.0),
            score("bb", "fit pad", 0.51, 2.0),
        ]
    )
    assert rows[1].order == ("bb", "a")
    assert rows[1].tied == ("bb", "a")
    assert rows[1].keeps_first


def test_kendalls_tau_of_orders() -> None:
    assert kendall("abc", "abc") == 1
    assert kendall("abc", "cba") == -1
    assert kendall("abcd", "abdc") == pytest.approx(4 / 6)
    assert kendall("a", "a") is None


def test_the_summary_says_under_how_many_choices_the_best_stays() -> None:
    found = ranked()
    labels = {name: name for name in ("a", "b", "c", *{str(s.llm) for s in found})}
    text = "\n".join(sensitivity_lines(variations(found), found, labels))
    said = "a, the first of these 3 encoders as scored, stays the first or too close to call under 1 of 2"
    assert said in text
    row = next(line for line in text.split("\n") if line.startswith("| pooling mean"))
    assert row == "| pooling mean | 0.200 | 0.600 | (0.100) | b | 0.33 |"
    assert sensitivity_lines(variations([]), [], {}) == []


def test_the_figure_has_a_row_a_variant_and_hollow_marks_for_what_has_none() -> None:
    figure: Any = FIGURES.get("sensitivity")(Findings.of(ranked()).figure_inputs())
    ax = figure.axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [AS_SCORED, "pooling mean (2 of 3)", "fit pad"]
    marks = [line for line in ax.lines if line.get_marker() not in ("None", None, "")]
    hollow = [line for line in marks if line.get_markerfacecolor() == "white"]
    assert (len(marks), len(hollow)) == (9, 1)
    assert [t.get_text() for t in ax.texts if t.get_text()[0].isdigit()] == [
        "1.00  =",
        "0.33  other",
        "1.00  =",
    ]
    assert FIGURES.get("sensitivity")(FigureInputs()) is None


def test_a_run_scores_the_same_in_workers_and_loads_nothing_the_second_time(
    folders: Callable[[str], Path], project: pytest.Pytester
) -> None:
    copy_benchmarks(project, "test_sensitivity.py")
    ours = (f"--encoders=eye={folders('dinov2')},toy-a", f"--llms=mouth={folders('llama')}", "--n-samples=8")
    assert run(project, "benchmarks", *ours, "-p", "no:xdist").ret == 0
    serial = scores(project)
    again = run(project, "benchmarks", *ours, "-n", "2")
    assert again.ret == 0
    assert "weights loaded" not in again.stdout.str()
    warm = scores(project)
    assert serial.keys() == warm.keys()
    for key, one in serial.items():
        assert warm[key]["value"] == pytest.approx(one["value"], abs=1e-12)
    assert "Does the ranking survive" in (project.path / "reports" / "latest" / "summary.md").read_text()
