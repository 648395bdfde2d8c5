"""Every encoder with every LLM: what is recorded, ranked and drawn, and how a metric is chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from alignbench.experiments.multi_llm.figures import multi_llm_matrix
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.findings import Findings
from alignbench.metrics import METRICS
from alignbench.show import terminal_table
from alignbench.tests.ranking_fakes import rank
from alignbench.tests.report_fakes import make_inputs, make_matrix, make_run, make_score, make_scores
from alignbench.tests.space_fakes import make_related
from alignbench.tests.toys import copy_benchmarks, run, scores
from alignbench.types import Null

LLMS = "--llms=toy-llm,toy-llm2"
SHUFFLED = Null("permutation of groups", 0.0, 0.02, p=0.4)
ALIGNED = Null("permutation of groups", 0.0, 0.02, p=0.001)


def test_every_metric_sees_every_pair(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_multi_llm.py")
    result = run(
        project, "benchmarks", LLMS, "-m", "multi_llm", "--align-metrics=linear_cka,eas_adjusted,ncoral"
    )
    assert result.ret == 0
    found = scores(project).values()
    assert {(s["experiment"], s["metric"], s["encoder"], s["llm"]) for s in found} == {
        ("multi_llm", metric, encoder, llm)
        for metric in ("linear_cka", "eas_adjusted", "ncoral")
        for encoder in ("toy-a", "toy-b")
        for llm in ("toy-llm", "toy-llm2")
    }


def test_both_llms_are_ranked_and_a_metric_of_two_experiments_is_ranked_once(
    project: pytest.Pytester,
) -> None:
    copy_benchmarks(project, "test_multi_llm.py", "test_cka.py")
    result = run(project, "benchmarks", LLMS, "-k", "calibrated_cka")
    assert result.ret == 0
    found = scores(project)
    assert len(found) == 8
    for (experiment, *models), score in found.items():
        if experiment == "multi_llm":
            assert score["value"] == found["cka", *models]["value"]
            assert score["deletions"] == found["cka", *models]["deletions"]
    shown = [line for line in result.outlines if line.startswith("LLM ")]
    assert shown == [
        f"LLM {llm}: ranked by calibrated_cka (higher is better), n = 30" for llm in ("toy-llm", "toy-llm2")
    ]
    assert sum(line.startswith(("1  toy-", "2  toy-")) for line in result.outlines) == 4


@pytest.mark.parametrize(
    "args", [("-n", "2"), ("-p", "randomly", "-p", "no:xdist")], ids=["workers", "shuffled"]
)
def test_scores_do_not_depend_on_who_computes_them(project: pytest.Pytester, args: tuple[str, ...]) -> None:
    copy_benchmarks(project, "test_multi_llm.py")
    assert run(project, "benchmarks", LLMS, "-p", "no:randomly", "-p", "no:xdist").ret == 0
    serial = scores(project)
    assert run(project, "benchmarks", LLMS, *args).ret == 0
    again = scores(project)
    assert len(serial) == 8
    assert serial.keys() == again.keys()
    for key, score in serial.items():
        assert score["value"] == pytest.approx(again[key]["value"], abs=1e-12)
        assert score["null"]["p"] == again[key]["null"]["p"]


@pytest.mark.parametrize("metric", METRICS.names(kind="unary") + METRICS.names(kind="labelled"))
def test_a_metric_of_one_side_is_refused_in_one_line(project: pytest.Pytester, metric: str) -> None:
    copy_benchmarks(project, "test_multi_llm.py")
    result = run(project, "benchmarks", f"--align-metrics=mutual_knn,{metric}", "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [line] = [line for line in result.errlines if line.strip()]
    assert f"--align-metrics: '{metric}' looks at one side alone" in line
    assert "mutual_knn" in line


def test_an_unknown_metric_is_answered_with_the_closest(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_multi_llm.py")
    result = run(project, "benchmarks", "--align-metrics=mutual_kn", "--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Did you mean 'mutual_knn'?" in result.stderr.str()


@pytest.mark.slow
def test_shuffled_pairs_score_at_the_null() -> None:
    metric, settings = METRICS.get("calibrated_cka"), Settings(permutations=99)
    p_values = []
    for n in range(60, 76):
        score = score_pair(metric, make_related(n, shuffled=True), settings, experiment="multi_llm")
        assert score.null is not None
        assert score.null.p is not None
        assert score.null.mean == pytest.approx(0.0, abs=1e-9)
        p_values.append(score.null.p)
    assert 0.25 < np.mean(p_values) < 0.75
    aligned = score_pair(metric, make_related(60), settings, experiment="multi_llm")
    assert aligned.null is not None
    assert aligned.null.p == 0.01


def test_the_table_of_two_llms_fits_eighty_columns() -> None:
    models = (*(f"an-encoder-with-a-long-name-{i}" for i in range(4)),), ("llama", "qwen")
    found = [*make_scores(*models), *make_matrix(*models)]
    lines = terminal_table(Findings.of(found, make_run(*models)), 80)
    assert max(map(len, lines)) <= 80
    ranked = [line.split(":")[0] for line in lines if line.startswith("LLM ") and ": ranked by" in line]
    assert ranked == ["LLM llama", "LLM qwen"]


def test_rankings_may_differ_by_llm() -> None:
    found = [
        make_score("calibrated_cka", value, encoder, llm, spread=0.01, experiment="multi_llm", null=ALIGNED)
        for llm, values in (("one", (0.4, 0.2)), ("two", (0.2, 0.4)))
        for encoder, value in zip(("a", "b"), values, strict=True)
    ]
    assert {ranking.llm: ranking.best for ranking in rank(found)} == {"one": "a", "two": "b"}
    assert all(ranking.tied_with_best == () for ranking in rank(found))


def column(*values: float | None, **fields: Any) -> list[Any]:
    return [
        make_score(
            "calibrated_cka", value, f"e{i}", "l", **{"null": ALIGNED, "experiment": "multi_llm", **fields}
        )
        for i, value in enumerate(values)
    ]


def framed(ax: Any, gid: str) -> set[tuple[int, int]]:
    return {(round(p.get_y() + 0.43), round(p.get_x() + 0.46)) for p in ax.patches if p.get_gid() == gid}


def test_without_deletions_ties_are_unknown_and_nothing_is_framed() -> None:
    figure = multi_llm_matrix(Findings.of(column(0.1, 0.2, deletions=())).figure_inputs())
    assert figure is not None
    assert "ties are unknown" in figure.get_supxlabel()
    assert framed(figure.axes[0], "best") == framed(figure.axes[0], "tied") == set()


@pytest.mark.parametrize(
    ("values", "fields", "best", "tied"),
    [
        ((0.1, 0.40, 0.41), {"spread": 0.05}, set(), {(1, 0), (2, 0)}),
        ((0.1, 0.40, 0.41), {"spread": 1e-4}, {(2, 0)}, set()),
        ((0.3, 0.1), {"spread": 1e-4, "higher_is_better": False}, {(1, 0)}, set()),
        ((0.1, 0.40, 0.41), {"spread": 1e-4, "null": SHUFFLED}, set(), set()),
    ],
    ids=["tie", "alone", "lower is better", "no better than shuffled pairs"],
)
def test_the_best_alone_has_a_solid_box_and_all_that_tie_have_dashed_ones(
    values: tuple[float, ...], fields: dict[str, Any], best: set[Any], tied: set[Any]
) -> None:
    figure = multi_llm_matrix(Findings.of(column(*values, **fields)).figure_inputs())
    assert figure is not None
    assert framed(figure.axes[0], "best") == best
    assert framed(figure.axes[0], "tied") == tied


@pytest.mark.slow
def test_cells_hold_value_and_half_width_and_the_best_is_framed() -> None:
    figure = multi_llm_matrix(make_inputs(("a", "b", "c"), ("one", "two")))
    assert figure is not None
    axes = {ax.get_title(loc="left").strip(): ax for ax in figure.axes if ax.images}
    left, right = axes["calibrated_cka"], axes["bures_similarity"]
    first = next(ax for ax in figure.axes if ax.images)
    assert [t.get_text() for t in first.get_yticklabels()] == ["a", "b", "c"]
    assert [t.get_text() for t in right.get_xticklabels()] == ["one", "two"]
    assert ".450 ±.060" in {t.get_text() for t in left.texts}
    assert ".550 ±.060" in {t.get_text() for t in right.texts}
    assert (framed(left, "best"), framed(left, "tied")) == ({(0, 0)}, {(0, 1), (1, 1)})
    assert (framed(right, "best"), framed(right, "tied")) == ({(0, 0), (0, 1)}, set())
    patches: list[Any] = list(left.patches)
    hatched = {(round(p.get_y() + 0.5), round(p.get_x() + 0.5)) for p in patches if p.get_hatch()}
    assert hatched == {(2, 0), (2, 1)}
    image = np.asarray(left.images[0].get_array())
    assert image[0] == pytest.approx([0.45, 0.42])


def test_the_brightest_cell_is_the_best_whichever_way_is_better() -> None:
    figure = multi_llm_matrix(make_inputs(("a", "b", "c"), ("one",)))
    assert figure is not None
    for ax in (ax for ax in figure.axes if ax.images):
        [image] = ax.images
        colours = np.asarray(image.cmap(image.norm(np.asarray(image.get_array()))))[:, 0, :3].sum(axis=1)
        assert colours[0] > colours[1] > colours[2]


def test_what_has_no_value_or_was_not_recorded_is_no_zero() -> None:
    found = make_matrix(("a", "b"), ("one", "two"))
    gone: dict[str, Any] = {"value": None, "interval": None, "deletions": ()}
    found[0] = replace(found[0], status="not_applicable", reason="zero variance", **gone)
    figure = multi_llm_matrix(Findings.of([s for i, s in enumerate(found) if i != 3]).figure_inputs())
    assert figure is not None
    ax = next(ax for ax in figure.axes if ax.get_title(loc="left").strip() == found[0].metric)
    texts = [t.get_text() for t in ax.texts]
    assert "n/a" in texts
    assert "-" in texts
    assert np.isnan(np.asarray(ax.images[0].get_array(), dtype=float)[0, 0])


def test_a_metric_without_a_test_says_so() -> None:
    figure = multi_llm_matrix(Findings.of(column(0.1, 0.2, null=None)).figure_inputs())
    assert figure is not None
    assert "higher is better; not tested" in {t.get_text() for t in figure.axes[0].texts}


@pytest.mark.slow
@pytest.mark.parametrize(("encoders", "llms", "metrics"), [(10, 5, 2), (4, 2, 2), (1, 1, 2), (3, 12, 2)])
def test_what_is_written_stays_in_its_cell(encoders: int, llms: int, metrics: int) -> None:
    figure = multi_llm_matrix(
        make_inputs([f"encoder-{i}" for i in range(encoders)], [f"llm-{i}" for i in range(llms)])
    )
    assert figure is not None
    figure.draw_without_rendering()
    assert figure.get_figwidth() <= 14
    panels = [ax for ax in figure.axes if ax.images]
    assert len(panels) == metrics
    for ax in panels:
        cell = ax.get_window_extent().width / llms
        written = [t for t in ax.texts if "±" in t.get_text()]
        assert len(written) == encoders * llms
        assert max(t.get_window_extent().width for t in written) < cell
