"""`alignbench.score_arrays`: the scores of arrays at hand, the same as a run's and as the metrics' own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import alignbench
from alignbench import score_arrays
from alignbench.errors import AlignbenchError, AlignbenchWarning, InputError, ModelError, UnknownNameError
from alignbench.metrics import METRICS, Metric
from alignbench.stats import evaluate
from alignbench.types import Score

if TYPE_CHECKING:
    from pathlib import Path

N = 40
RNG = np.random.default_rng(5)
SHARED = RNG.standard_normal((N, 4))
IMAGES = SHARED @ RNG.standard_normal((4, 9)) + 0.3 * RNG.standard_normal((N, 9))
TEXTS = SHARED @ RNG.standard_normal((4, 7)) + 0.3 * RNG.standard_normal((N, 7)) + 5
NOISE = RNG.standard_normal((N, 6))
LABELS = ["chart", "table"] * (N // 2)
DETERMINED = [
    n for n in METRICS.names(kind="pair") if METRICS.get(n).settings is None and not METRICS.get(n).needs
]


def by_metric(found: alignbench.ArrayScores) -> dict[str, Score]:
    return {score.metric: score for score in found.scores}


def test_a_part_that_is_at_its_ceiling_for_all_arrays_is_dead() -> None:
    wide = RNG.standard_normal((2, 12, 300))
    found = score_arrays({"a": wide[0], "b": wide[1]}, TEXTS[:12], metrics="eas", l2=True, basis="pca")
    assert [score.params["dead_parts"] for score in found.scores] == 2 * [["coral_similarity"]]
    assert all("dead" in score.flags for score in found.scores)


@pytest.mark.parametrize("metric", DETERMINED)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_value_is_that_of_the_metric_called_directly(metric: str, dtype: str) -> None:
    x, y = IMAGES.astype(dtype), TEXTS.astype(dtype)
    (score,) = score_arrays(x, y, metrics=metric, permutations=19).scores
    assert score.value == pytest.approx(METRICS.get(metric)(x, y), abs=1e-12)


@pytest.mark.parametrize("metric", list(METRICS))
def test_everything_that_goes_with_a_score_is_that_of_the_evaluation(metric: str) -> None:
    known = METRICS.get(metric)
    (score,) = score_arrays(IMAGES, TEXTS, LABELS, metrics=[metric], permutations=19, seed=3).scores
    direct = evaluate(
        known, IMAGES, TEXTS if known.two_sided else None, labels=LABELS, n_permutations=19, seed=3
    )
    assert score.value == pytest.approx(direct.value, abs=1e-12)
    assert score.deletions == pytest.approx(direct.deletions, abs=1e-12)
    assert (score.null and score.null.p) == (direct.null and direct.null.p)
    assert (score.interval is None) == (direct.interval is None)
    assert score.n == N


@pytest.mark.slow
def test_by_default_all_metrics_that_apply() -> None:
    without = score_arrays(IMAGES, TEXTS, permutations=19)
    kinds = {METRICS.get(score.metric).kind for score in without.scores}
    assert kinds == {"pair", "unary", "composite"}
    assert [s.metric for s in without.scores if METRICS.get(s.metric).kind == "composite"] == ["eas"]
    labelled = by_metric(score_arrays(IMAGES, TEXTS, LABELS, permutations=19))
    assert set(labelled) == {name for name in METRICS if METRICS.get(name).kind != "trained"}
    assert labelled["eas"].llm == "text"
    assert labelled["discriminability"].llm is None
    assert labelled["discriminability"].encoder == "vision"


def test_without_labels_spread_is_a_part_of_eas_under_its_own_name() -> None:
    (score,) = score_arrays(0.1 * IMAGES, TEXTS, metrics="eas", permutations=19).scores
    parts = score.params["parts"]
    assert list(parts) == ["linear_cka", "coral_similarity", "spread"]
    assert parts["spread"] == pytest.approx(METRICS.get("spread")(0.1 * IMAGES))
    assert score.value == pytest.approx(
        0.3 * parts["linear_cka"] + 0.3 * parts["coral_similarity"] + 0.4 * parts["spread"]
    )
    assert "no_labels" in score.flags
    assert score.null is not None
    assert score.null.within_p is None
    assert score.interval is not None
    (wide,) = score_arrays(10 * IMAGES, TEXTS, metrics="eas", permutations=19).scores
    assert wide.params["parts"]["spread"] == 1.0
    (labelled,) = score_arrays(0.1 * IMAGES, TEXTS, LABELS, metrics="eas", permutations=19).scores
    assert "no_labels" not in labelled.flags
    assert "discriminability_raw" in labelled.params["parts"]
    (one_class,) = score_arrays(0.1 * IMAGES, TEXTS, ["a"] * N, metrics="eas", permutations=19).scores
    assert one_class.value == score.value
    assert "no_labels" in one_class.flags
    with pytest.raises(InputError, match="eas_adjusted: it needs labels"):
        score_arrays(IMAGES, TEXTS, metrics="eas_adjusted")


@pytest.mark.slow
def test_a_metric_of_somebody_else_is_among_them() -> None:
    @METRICS.register("half", kind="pair", bounds=(0, 1))
    def half(x: Any, y: Any) -> float:
        return 0.5

    try:
        assert by_metric(score_arrays(IMAGES, TEXTS, permutations=19))["half"].value == 0.5
    finally:
        METRICS.remove("half")
    own = Metric("own", half, bounds=(0, 1))
    assert score_arrays(IMAGES, TEXTS, metrics=own).scores[0].metric == "own"


def test_several_arrays_a_side_are_ranked_for_each_text() -> None:
    found = score_arrays(
        {"noise": NOISE, "good": IMAGES}, {"t": TEXTS, "u": TEXTS[:, :5]}, metrics="calibrated_cka"
    )
    assert [(s.encoder, s.llm) for s in found.scores] == [
        ("noise", "t"),
        ("noise", "u"),
        ("good", "t"),
        ("good", "u"),
    ]
    assert [(ranking.llm, ranking.order) for ranking in found.ranking] == [
        ("t", ("good", "noise")),
        ("u", ("good", "noise")),
    ]
    assert {(m.name, m.side, m.weights, m.source) for m in found.models} >= {
        ("good", "vision", "arrays", "an array")
    }
    assert set(found.scores[0].weights.values()) == {"arrays"}


def test_all_pairs_share_a_basis_as_wide_as_the_narrowest_allows() -> None:
    found = score_arrays({"wide": IMAGES, "narrow": NOISE[:, :2]}, TEXTS, metrics="ncoral")
    assert [score.params["k"] for score in found.scores] == [2, 2]
    assert score_arrays(IMAGES, TEXTS, metrics="ncoral").scores[0].params["k"] > 2
    assert score_arrays(IMAGES, TEXTS, metrics="ncoral", k=1).scores[0].params["k"] == 1


def test_printed_it_is_the_table_of_a_run() -> None:
    found = score_arrays({"noise": NOISE, "good": IMAGES}, {"t": TEXTS}, metrics="calibrated_cka")
    lines = str(found).splitlines()
    assert lines[0] == "LLM t: ranked by calibrated_cka (higher is better), n = 40"
    assert lines[2].split()[:2] == ["1", "good"]
    assert any(line.startswith("Best: good.") for line in lines)
    assert max(map(len, found.table(60).splitlines())) <= 60


def test_a_notebook_shows_the_scores_and_a_figure_is_drawn_of_them() -> None:
    found = score_arrays({"noise": NOISE, "<good>": IMAGES}, TEXTS, metrics=["linear_cka", "calibrated_cka"])
    html = found._repr_html_()
    assert html.count("<tr>") == 1 + len(found.scores)
    assert "<td>&lt;good&gt;</td>" in html
    axes, _ = found.figure("alignment_summary").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["noise", "<good>"]
    assert found.scores[1].value is not None
    assert f"{found.scores[1].value:.3f}" in {text.get_text() for text in axes.texts}
    with pytest.raises(InputError, match="'speed_dashboard': the scores of arrays do not allow it"):
        found.figure("speed_dashboard")


def test_as_plain_json() -> None:
    found = score_arrays(IMAGES, TEXTS, metrics=["linear_cka", "calibrated_cka"])
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [Score.from_dict(score) for score in plain["scores"]] == list(found.scores)
    assert plain["ranking"][0]["order"] == ["vision"]
    assert [model["name"] for model in plain["models"]] == ["vision", "text"]


def test_paths_of_npy_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", IMAGES)
    np.save("texts.npy", TEXTS)
    found = score_arrays("images.npy", {"t": tmp_path / "texts.npy"}, metrics="linear_cka")
    (score,), (images, texts) = found.scores, found.models
    assert (score.encoder, score.llm) == ("images", "t")
    assert score.value == score_arrays(IMAGES, TEXTS, metrics="linear_cka").scores[0].value
    assert images.source == "npy:images.npy"
    assert texts.source == "npy:texts.npy"
    assert images.revision
    with pytest.raises(AlignbenchError, match=r"there is no file none\.npy"):
        score_arrays("none.npy", TEXTS)


def test_torch_tensors_and_lists_are_arrays() -> None:
    torch = pytest.importorskip("torch")
    expected = score_arrays(IMAGES.astype("f4"), TEXTS, metrics="linear_cka").scores[0].value
    tensor = torch.tensor(IMAGES.astype("f4"))
    assert score_arrays(tensor, TEXTS.tolist(), metrics="linear_cka").scores[0].value == expected


def test_arrays_are_taken_as_they_are_unless_l2_is_asked_for() -> None:
    unit = IMAGES / np.linalg.norm(IMAGES, axis=1, keepdims=True)
    other = TEXTS / np.linalg.norm(TEXTS, axis=1, keepdims=True)
    plain, unit_length = (
        score_arrays(IMAGES, TEXTS, metrics="linear_cka", l2=l2).scores[0] for l2 in (False, True)
    )
    assert plain.value == METRICS.get("linear_cka")(IMAGES, TEXTS)
    assert unit_length.value == pytest.approx(METRICS.get("linear_cka")(unit, other), abs=1e-12)
    assert plain.value != pytest.approx(unit_length.value, abs=1e-6)
    assert unit_length.params["preprocessing"]["vision"] == {"l2": True}
    zero = IMAGES.copy()
    zero[7] = 0
    with pytest.raises(InputError, match="vision 'vision': row 7 is zero"):
        score_arrays(zero, TEXTS, l2=True)


@pytest.mark.slow
def test_nothing_given_is_changed() -> None:
    x, y = IMAGES.copy(), TEXTS.copy()
    score_arrays(x, y, LABELS, permutations=19, l2=True)
    np.testing.assert_array_equal(x, IMAGES)
    np.testing.assert_array_equal(y, TEXTS)


def test_groups_are_the_unit() -> None:
    groups = [i // 2 for i in range(N)]
    (score,) = score_arrays(IMAGES, TEXTS, groups=groups, metrics="mutual_knn", permutations=19).scores
    direct = evaluate(METRICS.get("mutual_knn"), IMAGES, TEXTS, groups=groups, n_permutations=19)
    assert score.n == N // 2
    assert score.value == direct.value
    assert score.value != score_arrays(IMAGES, TEXTS, metrics="mutual_knn").scores[0].value


def test_three_captions_an_image_are_not_three_images() -> None:
    """Independent data, each row three times: without groups it would look aligned."""
    rng = np.random.default_rng(0)
    x, y = (np.repeat(rng.standard_normal((20, 5)), 3, axis=0) for _ in range(2))
    with pytest.warns(AlignbenchWarning, match="40 of 60 rows equal an earlier one"):
        alone = score_arrays(x, y, metrics="calibrated_cka").scores[0]
    grouped = score_arrays(x, y, groups=np.repeat(np.arange(20), 3), metrics="calibrated_cka").scores[0]
    assert alone.null is not None
    assert grouped.null is not None
    assert (alone.null.p or 0) < 0.05 < (grouped.null.p or 0)


def test_labels_shuffle_inside_types() -> None:
    plain = score_arrays(IMAGES, TEXTS, metrics="linear_cka", permutations=19).scores[0].null
    labelled = score_arrays(IMAGES, TEXTS, LABELS, metrics="linear_cka", permutations=19).scores[0].null
    assert plain is not None
    assert labelled is not None
    assert plain.within_p is None
    assert labelled.within_p is not None
    assert plain.p == labelled.p


def test_a_value_that_does_not_exist_says_why() -> None:
    found = by_metric(score_arrays(IMAGES, TEXTS, ["one"] * N, metrics=["discriminability", "linear_cka"]))
    assert found["discriminability"].status == "not_applicable"
    assert "two classes" in str(found["discriminability"].reason)
    assert found["linear_cka"].status == "ok"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"vision": IMAGES[:9]}, "vision 'vision' has 9 rows and text 'text' has 40"),
        ({"vision": IMAGES[0]}, r"vision 'vision': expected a matrix \[n, d\], got shape \(9,\)"),
        ({"text": TEXTS * np.nan}, "text 'text': 280 of 280 values are NaN"),
        ({"vision": {"a": IMAGES * 1j}}, "vision 'a': expected real numbers"),
        ({"text": {}}, "text: expected an array, or several by name"),
        ({"vision": {"a": IMAGES}, "text": {"a": TEXTS}}, "two arrays are called 'a'"),
        ({"labels": LABELS[:5]}, r"labels: expected 40, one per row, got shape \(5,\)"),
        ({"labels": [None, *LABELS[1:]]}, "labels: row 0 has none"),
        ({"groups": [0.0, np.nan, *range(38)]}, "groups: row 1 has none"),
        ({"metrics": "eas_adjusted"}, "eas_adjusted: it needs labels"),
        ({"metrics": []}, "metrics: expected at least one"),
        ({"basis": "pcaa"}, "unknown basis 'pcaa'. Did you mean 'pca'"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_cant_be_scored_is_one_clean_line(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        score_arrays(**{"vision": IMAGES, "text": TEXTS, **given})


def test_an_unknown_metric_is_told_the_closest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'linear_cka'"):
        score_arrays(IMAGES, TEXTS, metrics="linear_cks")


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([[1, None]], dtype=object), allow_pickle=True)
    with pytest.raises(ModelError, match="never read"):
        score_arrays(tmp_path / "o.npy", TEXTS)


@pytest.mark.slow
def test_the_package_stays_light_until_it_is_asked() -> None:
    code = (
        "import sys, alignbench; light = 'numpy' not in sys.modules; alignbench.score_arrays;"
        "print(light, [name in sys.modules for name in ('alignbench.show', 'matplotlib', 'torch')])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "True [False, False, False]"
    with pytest.raises(AttributeError, match="no attribute 'score_array'"):
        alignbench.score_array  # noqa: B018


@pytest.mark.parametrize("factor", [1e30, 1e-30, 2.0**490, 2.0**-490])
def test_a_factor_of_all_values_changes_no_score_of_two_sides(factor: float) -> None:
    plain = by_metric(score_arrays(IMAGES, TEXTS, metrics=DETERMINED, permutations=19))
    scaled = by_metric(score_arrays(IMAGES * factor, TEXTS / factor, metrics=DETERMINED, permutations=19))
    for name, score in plain.items():
        assert scaled[name].value == pytest.approx(score.value, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("l2", [False, True])
@pytest.mark.parametrize(
    ("factor", "says"), [(1e200, "as large as"), (1e-200, "as small as"), (1e-320, "as small as")]
)
def test_values_whose_squares_are_beyond_float64_are_refused_with_the_arrays_name(
    factor: float, says: str, l2: bool
) -> None:
    with pytest.raises(InputError, match=rf"text 'mine': row 0: values {says} "):
        score_arrays(IMAGES, {"mine": TEXTS * factor}, l2=l2)
    one = IMAGES.copy()
    one[7] *= factor
    with pytest.raises(InputError, match=rf"vision 'vision': row 7: values {says} "):
        score_arrays(one, TEXTS, l2=l2)


def test_small_values_in_rows_of_usual_size_and_rows_of_zeros_are_taken() -> None:
    images = IMAGES.copy()
    images[:, 2] = 1e-300
    images[3] = 0
    [score] = score_arrays(images, TEXTS, metrics="linear_cka", permutations=19).scores
    assert score.value is not None
