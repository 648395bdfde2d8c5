"""What each sample does to a score, against leaving it out and scoring again."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.datasets import Sample
from alignbench.errors import DegenerateError, InputError
from alignbench.experiments.compare.figures.influence import sample_influence
from alignbench.experiments.compare.influence import EVEN, evenness, influence
from alignbench.experiments.scoring import Settings
from alignbench.metrics import METRICS
from alignbench.metrics.influence import debiased_cka_without
from alignbench.plots import FIGURES, FigureInputs
from alignbench.stats import evaluate
from alignbench.tests.pairs import make_pair
from alignbench.tests.report_fakes import make_inputs
from alignbench.tests.toys import copy_benchmarks, run

if TYPE_CHECKING:
    from alignbench.types import Pair

DEBIASED = METRICS.get("debiased_cka")


def samples(pair: Pair) -> list[Sample]:
    return [
        Sample(i, Path("/data/images") / t.replace(" ", "-") / f"{i}.png", (f"text of {i}",), t)
        for i, t in zip(pair.x.ids, pair.labels, strict=True)
    ]


def measured(pair: Pair) -> tuple[Any, Any]:
    return influence(pair, samples(pair), Settings(), experiment="compare")


@pytest.mark.parametrize(("n", "dims"), [(5, (3, 4)), (12, (40, 30)), (60, (6, 5))])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_each_value_is_the_score_without_that_row(n: int, dims: tuple[int, int], offset: float) -> None:
    rng = np.random.default_rng(n)
    x = rng.standard_t(3, size=(n, dims[0])) + offset
    y = x[:, :1] * rng.normal(size=dims[1]) + rng.normal(size=(n, dims[1]))
    expected = [DEBIASED(np.delete(x, row, axis=0), np.delete(y, row, axis=0)) for row in range(n)]
    np.testing.assert_allclose(debiased_cka_without(x, y), expected, atol=1e-9)


def test_nothing_that_rotation_shift_or_scale_do_changes_them() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 3))
    turned = 3 * x @ np.linalg.qr(rng.normal(size=(4, 4)))[0] + 7
    np.testing.assert_allclose(debiased_cka_without(turned, y), debiased_cka_without(x, y), atol=1e-12)


def test_a_row_without_which_the_score_does_not_exist_is_said() -> None:
    x = np.zeros((8, 2))
    x[3] = 1.0  # without it all rows are equal
    with pytest.raises(DegenerateError):
        debiased_cka_without(x, np.random.default_rng(0).normal(size=(8, 3)))
    with pytest.raises(InputError, match="at least 5"):
        debiased_cka_without(np.ones((4, 2)), np.ones((4, 2)))


def test_influences_are_the_deletions_of_the_score_itself() -> None:
    pair = make_pair(30, types=3)
    _, arrays = measured(pair)
    found = evaluate(DEBIASED, pair.x.values, pair.y.values, groups=pair.groups, n_permutations=0)
    assert len(found.deletions) == 30  # a block a group
    np.testing.assert_allclose(sorted(found.value - arrays["influence"]), sorted(found.deletions), atol=1e-12)
    assert arrays["value"] == pytest.approx(found.value)


def test_a_pair_that_does_not_fit_spoils_the_score_and_is_named() -> None:
    pair = make_pair(30, noise=0.05, types=3)
    values = pair.y.values.copy()
    far = int(np.argmax(np.linalg.norm(pair.x.values - pair.x.values.mean(axis=0), axis=1)))
    values[far] = 2 * values.mean(axis=0) - values[far]
    _, arrays = measured(replace(pair, y=replace(pair.y, values=values)))
    worst = int(np.argmin(arrays["influence"]))
    assert arrays["ids"][worst] == f"s{far}"
    assert arrays["influence"][worst] < 0
    assert arrays["texts"][worst] == f"text of s{far}"
    assert arrays["images"][worst] == f"type-{far % 3}/s{far}.png"
    assert arrays["labels"][worst] == f"type {far % 3}"


def test_one_row_of_a_group_stands_for_it() -> None:
    pair = make_pair(30, per_group=3)
    score, arrays = measured(pair)
    assert score.n == 10
    assert len(arrays["ids"]) == len(arrays["influence"]) == len(arrays["texts"]) == 10


def test_evenness_is_low_where_few_samples_decide() -> None:
    assert evenness(np.tile([1.0, -1.0], 10)) == pytest.approx(1.0)
    assert evenness(np.random.default_rng(0).normal(size=100_000)) == pytest.approx(EVEN, abs=0.01)
    assert evenness(np.r_[100.0, np.zeros(99)]) < 0.05


def test_images_without_files_have_no_path_and_too_few_groups_no_score() -> None:
    pair = make_pair(8)
    own = [replace(sample, image=b"png") for sample in samples(pair)]
    _, arrays = influence(pair, own, Settings(), experiment="compare")
    assert arrays is not None
    assert set(arrays["images"]) == {""}
    score, missing = measured(make_pair(4))
    assert missing is None
    assert score.status == "not_applicable"
    assert "at least 5 rows" in score.reason


@pytest.mark.slow
def test_thousands_of_samples_take_seconds() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2000, 32)), rng.normal(size=(2000, 32))
    started = time.process_time()
    debiased_cka_without(x, y)
    assert time.process_time() - started < 20  # one by one it would be minutes


def test_the_figure_orders_samples_and_names_the_ends() -> None:
    pair = make_pair(12, types=2)
    _, arrays = measured(pair)
    figure: Any = FIGURES.get("sample_influence")(FigureInputs(artifacts={"influence": [arrays]}))
    ax = figure.axes[0]
    assert ax.get_title("left").startswith("encoder\n× llm: ")
    drawn = [line for line in ax.lines if line.get_marker() not in ("None", None, "")]
    points = sorted((int(x), float(y)) for line in drawn for x, y in zip(*line.get_data(), strict=True))
    np.testing.assert_allclose([y for _, y in points], sorted(arrays["influence"])[::-1])
    names = [text.get_text() for text in ax.texts]
    assert arrays["ids"][int(np.argmax(arrays["influence"]))] in names
    assert arrays["ids"][int(np.argmin(arrays["influence"]))] in names
    assert FIGURES.get("sample_influence")(FigureInputs()) is None


def test_a_run_leaves_an_artifact_a_pair(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_compare.py")
    assert run(project, "benchmarks", "-k", "influence", "--n-samples=4").ret == 0
    folder = project.path / "reports" / "latest"
    files = sorted(path.name for path in (folder / "artifacts").glob("influence-*.npz"))
    assert files == ["influence-toy-a~toy-llm.npz", "influence-toy-b~toy-llm.npz"]
    with np.load(folder / "artifacts" / files[0]) as arrays:
        assert all(image.count("/") == 1 and image.endswith(".png") for image in arrays["images"])


def test_a_second_name_is_written_only_where_it_lies_on_no_other_sample() -> None:
    [made] = make_inputs(("mini-clip",), ("mini-llama",)).artifacts["influence"]
    ids = np.array([f"sample-{i}" for i in range(30)])
    values = np.linspace(0.004, -0.004, 30)
    values[[0, 1, 29]] = 0.03, 0.02, -0.02  # sample 28 is one of the many
    arrays = {**made, "influence": values, "ids": ids, "labels": np.array(["chart"] * 30)}
    figure = sample_influence(FigureInputs(artifacts={"influence": [arrays]}))
    assert figure is not None
    assert {text.get_text() for text in figure.axes[0].texts} == {"sample-0", "sample-1", "sample-29"}
