"""alignbench in a project of somebody else: the page in the docs, to the letter, and `assert_aligned`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import alignbench
from alignbench.aligned import assert_aligned
from alignbench.errors import AlignbenchError
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.findings import read_run
from alignbench.metrics import METRICS
from alignbench.tests.toys import run, scores
from alignbench.types import Embeddings, ModelInfo, Pair

if TYPE_CHECKING:
    from alignbench.types import Score

N = 40


def make_pair() -> Pair:
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((N, 4))
    ids = tuple(f"s{i}" for i in range(N))
    x, y = (
        Embeddings(
            ModelInfo(name, side, "other", "here", "custom"),  # type: ignore[arg-type]
            (shared + 0.3 * rng.standard_normal((N, 4))).astype(np.float32),
            ids,
        )
        for name, side in (("a", "vision"), ("b", "text"))
    )
    return Pair(x, y, labels=tuple("uv"[i % 2] for i in range(N)), groups=ids, dataset="toy@0")


PAIR = make_pair()
PAGE = Path(__file__).parents[1] / "docs" / "library.md"


def projects_of_the_page() -> list[dict[str, str]]:
    """Return name -> content of each project's Python files, each named in its first line.

    A project begins with its conftest.py.
    """
    found: list[dict[str, str]] = []
    for name, content in re.findall(
        r"```python\n# (\S+\.py)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    ):
        if name == "conftest.py":
            found.append({})
        found[-1][name] = content
    return found


def command_of_the_page() -> list[str]:
    commands: list[str] = re.findall(r"```\npytest (.*)\n```", PAGE.read_text(encoding="utf-8"))
    assert len(commands) == 1
    return commands[0].split()


@pytest.fixture
def outside(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty folder."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("ALIGNBENCH_CACHE", str(pytester.path / ".cache"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester


def fill(outside: pytest.Pytester, files: dict[str, str]) -> None:
    for name, content in files.items():
        (outside.path / name).write_text(content, encoding="utf-8")


def test_the_page_works_as_it_stands(outside: pytest.Pytester) -> None:
    files, _ = projects_of_the_page()
    assert files.keys() == {"conftest.py", "test_fit.py"}
    fill(outside, files)
    result = outside.runpytest_subprocess(
        *command_of_the_page(), "-p", "no:cacheprovider", "--align-no-figures", timeout=900
    )
    result.assert_outcomes(passed=3)
    folder = outside.path / "reports" / "latest"
    assert {"report.html", "summary.md", "scores.json"} <= {path.name for path in folder.iterdir()}
    _, scores = read_run(folder)
    assert {(score.metric, score.encoder, score.llm) for score in scores} == {
        ("calibrated_cka", "thumbnails", "mini-llama"),
        ("product_agreement", "thumbnails", "mini-llama"),
    }


def test_the_option_of_the_page_is_read_and_checked(outside: pytest.Pytester) -> None:
    _, files = projects_of_the_page()
    assert files.keys() == {"conftest.py", "test_depth.py"}
    fill(outside, files)
    outside.runpytest_subprocess("--align-depth=5", "-p", "no:cacheprovider").assert_outcomes(passed=1)
    wrong = outside.runpytest_subprocess("--align-depth=0", "-p", "no:cacheprovider")
    wrong.stderr.fnmatch_lines(["ERROR: --align-depth: expected at least 1, got 0"])


def test_importing_the_name_is_cheap_and_lazy() -> None:
    assert alignbench.assert_aligned is assert_aligned
    assert "assert_aligned" in alignbench.__all__


def test_a_fit_returns_the_score_of_the_suite() -> None:
    score = assert_aligned(PAIR, at_least=0.3)
    assert score == score_pair(METRICS.get("calibrated_cka"), PAIR, Settings(), experiment="custom")
    assert score.null is not None
    assert score.null.p == 0.001
    assert assert_aligned(PAIR, METRICS.get("rsa")).metric == "rsa"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"at_least": 2.0, "alpha": None}, "at least 2"),
        ({"at_least": 0.99}, "at least 0.99"),
        ({"metric": "mean_distance", "at_most": 0.0, "alpha": None}, "at most 0"),
    ],
    ids=["bound", "both", "lower-is-better"],
)
def test_a_value_that_is_not_good_enough_fails_in_one_line(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_aligned(PAIR, **asked)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"a-b: {asked.get('metric', 'calibrated_cka')} is ")
    assert message.endswith(f"asked for {says}")
    assert "interval" in message
    assert f"n {N}" in message


def test_pairs_that_are_shuffled_fail_by_p_whatever_the_bound() -> None:
    shuffled = replace(PAIR, y=replace(PAIR.y, values=np.random.default_rng(9).permutation(PAIR.y.values)))
    with pytest.raises(AssertionError, match=r"p 0\.\d+, n 40\); asked for p of at most 0\.05$"):
        assert_aligned(shuffled, "linear_cka", at_least=0.01)
    assert assert_aligned(shuffled, "linear_cka", at_least=0.01, alpha=None).value


def test_too_few_permutations_for_alpha_are_named() -> None:
    def record(metric: Any, pair: Pair) -> Score:
        return score_pair(metric, pair, Settings(permutations=19), experiment="x")

    with pytest.raises(AssertionError, match="which 19 permutations can't show: draw more"):
        assert_aligned(PAIR, alpha=0.01, record=record)
    assert assert_aligned(PAIR, alpha=0.05, record=record).experiment == "x"


def test_a_bound_itself_will_do_in_both_directions() -> None:
    value = assert_aligned(PAIR).value
    assert value is not None
    assert assert_aligned(PAIR, at_least=value).value == value
    with pytest.raises(AssertionError):
        assert_aligned(PAIR, at_least=np.nextafter(value, 2))
    distance = assert_aligned(PAIR, "mean_distance", alpha=None, at_most=1e9).value
    assert distance is not None
    assert assert_aligned(PAIR, "mean_distance", alpha=None, at_most=distance).value == distance
    with pytest.raises(AssertionError):
        assert_aligned(PAIR, "mean_distance", alpha=None, at_most=np.nextafter(distance, -1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda pair: pair.take(range(3)), "expected at least 5"),
        (lambda pair: replace(pair, labels=("one",) * N), "class"),
    ],
    ids=["too-few", "degenerate"],
)
def test_a_score_that_does_not_exist_fails_with_the_reason(change: Any, reason: str) -> None:
    metric = "calibrated_cka" if "least" in reason else "knn_accuracy"
    with pytest.raises(AssertionError, match=f"^a-b: {metric} does not exist: .*{reason}"):
        assert_aligned(change(PAIR), metric, alpha=None, at_least=0)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"metric": "calibrated_cca", "at_least": 0}, r"unknown metric 'calibrated_cca'. Did you mean 'cali"),
        ({"at_most": 0.5}, "of calibrated_cka higher is better; give at_least, got 0.5"),
        ({"metric": "ncoral", "at_least": 0.5}, "of ncoral lower is better; give at_most"),
        ({"metric": "ncoral", "at_most": 1.0}, "ncoral has no p here; give alpha=None"),
        ({"at_least": float("nan")}, "expected a finite bound"),
        ({"alpha": 5}, "alpha: expected a value between 0 and 1"),
        ({"alpha": None}, "nothing is asked for"),
    ],
    ids=["name", "at_most", "at_least", "no-p", "nan", "alpha", "nothing"],
)
def test_what_can_not_be_asked_for_is_no_verdict(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(AlignbenchError, match=says):
        assert_aligned(PAIR, **asked)


def test_a_failed_test_has_its_score_in_the_report(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
from alignbench import assert_aligned

def test_too_much(pair, record):
    assert_aligned(pair, at_least=0.99, record=record)
"""
    )
    result = run(project, "--encoders=toy-a", "--align-seed=7")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["E  *AssertionError: toy-a-toy-llm: calibrated_cka is *at least 0.99 and p *"]
    )
    assert "aligned.py" not in result.stdout.str()  # the traceback ends in the user's test
    [score] = scores(project).values()
    assert (score["metric"], score["experiment"], score["seed"]) == ("calibrated_cka", "custom", 7)
    assert score["null"]["draws"] == 19
