"""In GitHub Actions, failures and regressions are annotations, and the step gets the run's summary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from alignbench.findings import compare, parse_gates
from alignbench.plugin.github import MOST, command, commands
from alignbench.tests.diff_fakes import moved, recorded
from alignbench.tests.report_fakes import HOSTILE, make_score
from alignbench.tests.toys import CONFTEST, RECORD, run
from alignbench.types import Failure

if TYPE_CHECKING:
    from pathlib import Path

FAILING = (
    RECORD
    + """

@pytest.mark.parametrize("a", range(3))
def test_wrong(a):
    raise ValueError("50% off: a,b")
"""
)
WORSE = """
class Worse(ToyEncoder):
    def fingerprint(self):
        return {"source": self.name, "revision": "worse"}

    def embed(self, images):
        return np.random.default_rng(0).standard_normal((len(images), 3))

ENCODERS.remove("toy-b")
ENCODERS.add("toy-b", Worse("toy-b"))
"""

BROKEN = """
def pytest_alignbench_findings(findings):
    raise ValueError("5% off")
"""


@pytest.fixture
def step(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The summary of a step in GitHub Actions that runs a project's tests."""
    (project.path / "tests").mkdir()
    (project.path / "tests" / "test_it.py").write_text(FAILING, encoding="utf-8")
    summary = project.path / "step.md"
    summary.write_text("# Before", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path))
    return summary


def errors(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("::error ")]


def test_a_failing_and_regressing_run_is_annotated_once_with_its_places(
    project: pytest.Pytester, step: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = ("-p", "no:randomly", "--align-compare=base.json")
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("GITHUB_STEP_SUMMARY", str(project.path / "no" / "where"))
        made = run(project, *quiet, "--align-update", "-k", "some")
    assert (made.ret, errors(made)) == (0, [])
    made.stdout.fnmatch_lines(["alignbench: the summary of the step lacks that of the run (*"])
    project.makeconftest(CONFTEST + WORSE + BROKEN)
    worse = (*quiet, "--align-compare-fail=linear_cka:0.01", "--align-compare-unlike", "-n", "2")
    assert errors(run(project, *worse, "--align-no-annotations")) == []
    assert step.read_text(encoding="utf-8") == "# Before"
    failed, regressed, broken = errors(run(project, *worse))
    assert broken.startswith("::error title=a hook raised an error::conftest.py:")
    assert broken.endswith(": pytest_alignbench_findings raised ValueError: 5%25 off")
    assert failed.startswith(
        "::error file=tests/test_it.py,line=10,title=3 tests failed::ValueError: 50%25 off"
    )
    assert failed.count("%0A") == 3
    assert regressed.startswith(
        "::error file=tests/test_it.py,line=5,title=linear_cka regressed::toy-b, toy-l"
    )
    said = step.read_text(encoding="utf-8")
    assert said.startswith("# Before\n# Which encoder")
    assert said.count("# Which encoder fits which LLM?") == said.count("## What changed?") == 1


def failures(reasons: int, each: int = 1) -> list[Failure]:
    return [
        Failure(f"t.py::test[{i}-{j}]", "call", "cka", f"reason {i}")
        for i in range(reasons)
        for j in range(each)
    ]


def test_tests_that_failed_for_one_reason_share_an_annotation() -> None:
    [line] = commands(failures(1, 8), (), {"t.py::test[0-0]": ("t.py", 3)}, "")
    assert line.startswith("::error file=t.py,line=3,title=8 tests failed::reason 0%0At.py::test[0-0]%0A")
    assert line.endswith("t.py::test[0-4]%0Aand 3 more")


@pytest.mark.parametrize("count", [MOST, MOST + 1, MOST + 5])
def test_no_more_than_github_shows(count: int) -> None:
    lines = commands(failures(count), (), {}, "")
    assert len(lines) == MOST
    hidden = [line for line in lines if "more errors are in the log" in line]
    assert hidden == [] if count == MOST else f"{count - MOST + 1} more errors" in hidden[0]


def test_a_score_that_was_lost_is_a_regression_without_a_change() -> None:
    before = recorded([make_score("linear_cka", 0.3)])
    after = recorded([make_score("linear_cka", None, nodeid="t.py::a")])
    lost = compare(before, after, parse_gates("linear_cka:0", "--fail")).regressions
    assert commands((), lost, {}, "b.json") == [
        "::error title=linear_cka regressed::mini-clip, mini-llama: 0.300 in b.json, n/a in this run; "
        "--align-compare-fail allows linear_cka:0"
    ]
    after = recorded([moved(before.scores[0], -0.1)])
    regressed = compare(before, after, parse_gates("linear_cka:0", "--fail")).regressions
    assert "0.300 in b.json, 0.200 in this run (-0.100);" in commands((), regressed, {}, "b.json")[0]


@pytest.mark.parametrize("text", [*HOSTILE, "a::b,c=d%0A\r\n::warning::x", "\n\n"])
def test_nothing_escapes_from_its_place_in_the_command(text: str) -> None:
    line = command(text, text, (text, 1))
    assert re.fullmatch(r"::error file=[^,:\n\r]*,line=1,title=[^,:\n\r]*::[^\n\r]*", line)
    assert not re.search(r"%(?!25|0A|0D|3A|2C)", line)
