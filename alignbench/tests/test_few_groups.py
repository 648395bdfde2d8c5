"""Many images, few groups: every score is a value, or a reason that says what the images share."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from alignbench import score_arrays
from alignbench.datasets import Sample
from alignbench.errors import InputError, TooFewSamplesError
from alignbench.experiments.compare.influence import influence
from alignbench.experiments.compare.projection import project as trained
from alignbench.experiments.coral.arrays import covariance_arrays
from alignbench.experiments.e2e.retrieval import e2e_scores
from alignbench.experiments.elas.score import elas_score
from alignbench.experiments.embedding.overlay import RESIDUAL
from alignbench.experiments.embedding.space import embedding_space
from alignbench.experiments.repeats import Repeats
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.experiments.sensitivity.variants import standardised
from alignbench.experiments.sharing import Sharing
from alignbench.experiments.vlm.result import VLMSettings
from alignbench.experiments.vlm.scores import plan_jobs
from alignbench.findings import read_run
from alignbench.metrics import METRICS, knn_accuracy
from alignbench.metrics.nearest import check_k
from alignbench.stats import evaluate
from alignbench.tests.pairs import make_pair
from alignbench.tests.toys import copy_benchmarks, run

if TYPE_CHECKING:
    from alignbench.types import Pair, Score

ROWS = 24
FEW = Settings(permutations=19)
COUNTS = pytest.mark.parametrize("count", [1, 2, 3])


def shared(count: int, rows: int = ROWS) -> Pair:
    """Return a pair of images that share a few texts, as the answers to a question with few answers do."""
    pair = make_pair(rows, types=2)
    text = np.arange(rows) % count
    values = pair.y.values[text]
    groups = tuple(f"g{i}" for i in text)
    images, texts = tuple(f"image {i}" for i in range(rows)), tuple(f"text {i}" for i in text)
    return replace(pair, y=replace(pair.y, values=values), groups=groups, images=images, texts=texts)


def said(count: int) -> str:
    return f"{count} group{'s' * (count > 1)}: {ROWS} images share {count} text{'s' * (count > 1)}"


def check(score: Score, count: int) -> None:
    if score.status == "ok":
        assert score.value is not None
        assert np.isfinite(score.value)
        assert score.chance is None or score.chance <= 1
        return
    assert score.reason is not None
    assert (
        f"({said(count)})" in score.reason or "all 24 rows" in score.reason or "at least two" in score.reason
    )


@COUNTS
@pytest.mark.parametrize("basis", ["procrustes", "pca", "none"])
def test_every_metric_has_a_value_or_a_reason(count: int, basis: str) -> None:
    pair = shared(count)
    narrow = replace(pair, x=replace(pair.x, values=pair.x.values[:, :6]))
    settings = replace(FEW, basis=basis)
    for name in METRICS:
        score = score_pair(METRICS.get(name), narrow, settings, experiment="cka")
        check(score, count)
        if name in {"mutual_knn", "cknna"}:
            assert score.reason is not None
            assert score.reason.endswith(f"groups, got {count}; use more samples ({said(count)})")
    check(score_pair(RESIDUAL, narrow, settings, experiment="embedding"), count)


@COUNTS
def test_every_experiment_has_a_value_or_a_reason(count: int) -> None:
    pair, repeats = shared(count), Repeats(splits=2, seeds=1, epochs=2)
    samples = [
        Sample(name, None, (), "all", group) for name, group in zip(pair.x.ids, pair.groups, strict=True)
    ]
    scores = [
        *e2e_scores(pair, "contrastive", repeats),
        elas_score(pair, repeats),
        *trained(pair, repeats)[0],
        influence(pair, samples, FEW, experiment="cka")[0],
        *(
            score
            for method in ("pca", "tsne")
            for score in embedding_space(pair, method, FEW, experiment="e").scores
        ),
    ]
    assert len(scores) == 18
    for score in scores:
        assert score.status == "not_applicable"
        check(score, count)
    assert (covariance_arrays(pair, FEW) is None) == (count == 1)
    with pytest.raises(TooFewSamplesError, match=f"at least 10 groups .* got {count}"):
        plan_jobs(samples, VLMSettings())


def test_a_type_without_samples_is_not_applicable() -> None:
    for name in METRICS:
        score = score_pair(METRICS.get(name), shared(3), FEW, experiment="cka", data_type="none such")
        assert score.reason == "no sample is of the data type 'none such'"


@COUNTS
def test_a_call_on_arrays_returns_all_that_exists(count: int) -> None:
    pair = shared(count)
    found = score_arrays(
        pair.x.values, pair.y.values, labels=pair.labels, groups=pair.groups, permutations=19
    )
    assert {score.metric for score in found.scores} >= {"mutual_knn", "cknna", "spread", "discriminability"}
    for score in found.scores:
        if score.metric == "mutual_knn":
            assert str(score.reason).endswith(f"({count} group{'s' * (count > 1)} of 24 rows)")
        if score.metric == "spread":
            assert score.value is not None


def test_a_k_that_was_given_is_an_error_and_a_default_is_not() -> None:
    with pytest.raises(TooFewSamplesError, match="at least 3 rows"):
        check_k(None, 2)
    with pytest.raises(InputError, match="1 <= k <= n - 2 = 3") as caught:
        check_k(4, 5)
    assert not isinstance(caught.value, TooFewSamplesError)
    assert check_k(None, 5, 2) == 2
    rng = np.random.default_rng(0)
    groups = np.asarray([0, 1, 2, 3] + [4] * 8)  # without the last group four rows are left to vote
    with pytest.raises(TooFewSamplesError, match="at least 5 train rows to vote, got 4"):
        knn_accuracy(rng.normal(size=(12, 3)), np.arange(12) % 2, groups=groups)
    with pytest.raises(InputError, match="1 <= k <= 4, the train rows, got 5") as caught:
        knn_accuracy(rng.normal(size=(12, 3)), np.arange(12) % 2, groups=groups, k=5)
    assert not isinstance(caught.value, TooFewSamplesError)


def test_chance_is_of_the_rows_that_a_metric_sees() -> None:
    """Six groups of forty rows made a guesser right in 333% of them."""
    rng = np.random.default_rng(0)
    x, labels, groups = rng.normal(size=(40, 4)), np.arange(40) % 2, np.arange(40) // 2 % 6
    for name, chance in (("knn_accuracy", 0.5), ("discriminability_raw", 1 / 39)):
        found = evaluate(METRICS.get(name), x, labels=labels, groups=groups)
        assert found.n == 6
        assert found.chance == pytest.approx(chance)


def test_features_that_are_all_the_same_are_zero_when_standardised() -> None:
    assert not standardised(np.full((5, 3), 0.1)).any()
    x = np.random.default_rng(0).normal(size=(5, 3)) * [1, 1e-12, 1]
    np.testing.assert_allclose(standardised(x).std(axis=0), 1)


@pytest.mark.parametrize(
    ("sharing", "words"),
    [
        (Sharing(40, 2, 40, 2), "2 groups: 40 images share 2 texts"),
        (Sharing(40, 1, 40, 1), "1 group: 40 images share 1 text"),
        (Sharing(12, 3, 3, 12), "3 groups: 3 images with 12 texts"),
        (
            Sharing(9, 2, 5, 6),
            "2 groups of 5 images and 6 texts: those with an image or a text in common are one",
        ),
        (Sharing(8, 2, 0, 0), "2 groups of 8 rows"),
    ],
)
def test_what_rows_share_is_said(sharing: Sharing, words: str) -> None:
    assert sharing.sentence().startswith(words)


def test_a_run_on_questions_with_few_answers(project: pytest.Pytester) -> None:
    """Types of one and of two groups, three in all: no test fails, and nothing is lost."""
    folder = project.mkdir("data")
    lines = []
    for i in range(12):
        kind = "scene" if i % 3 else "chart"
        path = folder / "images" / kind / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (20 * i, 255 - 20 * i, 7 * i)).save(path)
        answer = "Maybe." if kind == "chart" else ("Yes.", "No.")[i % 2]
        asked = [{"type": "image", "image": f"{kind}/{i}.png"}, {"type": "text", "text": "Is it a bar?"}]
        exchange = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"messages": exchange}))
    (folder / "labels.jsonl").write_text("\n".join(lines), encoding="utf-8")
    names = ("cka", "eas", "coral", "compare", "e2e", "sensitivity")
    copy_benchmarks(project, *(f"test_{name}.py" for name in names))
    few = ("--align-epochs=2", "--align-splits=2", "--align-seeds=1", "--encoders=toy-a")
    result = run(project, "benchmarks", "--align-data-root=data", *few)
    assert result.ret == 0
    scores = read_run(project.path / "reports" / "latest")[1]
    reasons = {(score.metric, score.data_type): score.reason for score in scores if score.status != "ok"}
    assert "(3 groups: 12 images share 3 texts)" in str(reasons["mutual_knn", "all"])
    assert "(2 groups: 8 images share 2 texts)" in str(reasons["mutual_knn", "scene"])
    assert "(1 group: 4 images share 1 text)" in str(reasons["mutual_knn", "chart"])
    assert all(score.value is not None for score in scores if score.status == "ok")
