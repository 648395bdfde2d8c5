"""The hooks that others implement: the example of the docs, with workers; and who is called when."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from alignbench.findings import Findings
from alignbench.plugin.calling import HookCalls
from alignbench.tests.toys import CONFTEST, RECORD, run

PAGE = (Path(__file__).parents[1] / "docs" / "pytest.md").read_text(encoding="utf-8")

FOLLOW = """
import pytest

def pytest_alignbench_score(score, config):
    assert not hasattr(config, "workerinput")
    log(config, f"score {score.metric} {score.encoder}")

def pytest_alignbench_findings(findings, config, folder):
    log(config, f"findings {len(findings.scores)} {sorted(p.name for p in folder.glob('s*.json*'))}")

def log(config, line):
    with (config.rootpath / "log.txt").open("a") as file:
        file.write(line + "\\n")
"""

BROKEN = """
import pytest

def pytest_alignbench_score(score):
    helper(score)

def helper(score):
    raise ValueError(f"no {score.metric}\\nat all")

def pytest_alignbench_findings(findings):
    pytest.fail("toy-a must win")
"""


def test_the_example_of_the_page_works_with_workers(project: pytest.Pytester) -> None:
    files = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))
    assert files.keys() == {"conftest.py", "test_fit.py"}
    project.makeconftest(CONFTEST + files["conftest.py"])  # the toys of the tests load sooner than models
    project.makepyfile(test_fit=files["test_fit.py"])
    run(project, "-n", "2").assert_outcomes(passed=4)
    latest = project.path / "reports" / "latest"
    findings = Findings.read(latest)
    said = {f"{s.metric} {s.encoder} {s.llm} {s.value:.3f}" for s in findings.scores}
    lines = (project.path / "scores.txt").read_text(encoding="utf-8").splitlines()
    assert (len(lines), set(lines)) == (4, said)
    answers = json.loads((latest / "answers.json").read_text(encoding="utf-8"))
    assert answers == {"toy-llm": findings.answer("toy-llm")}


def test_every_plugin_is_called_and_files_are_there_when_the_findings_are(project: pytest.Pytester) -> None:
    project.makeconftest(CONFTEST)
    for folder in ("one", "two"):
        (project.path / folder).mkdir()
        (project.path / folder / "conftest.py").write_text(FOLLOW, encoding="utf-8")
        (project.path / folder / f"test_{folder}.py").write_text(RECORD, encoding="utf-8")
    assert run(project, "-p", "no:randomly", "-k", "linear_cka").ret == 0
    lines = (project.path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert lines[:-2].count("score linear_cka toy-a") == 4  # two tests, of which each plugin hears
    assert lines[-2:] == ["findings 4 ['scores.json', 'scores.jsonl']"] * 2


def test_nothing_is_told_of_a_run_without_scores(project: pytest.Pytester) -> None:
    project.makeconftest(CONFTEST + FOLLOW)
    project.makepyfile(test_it="def test_nothing(): pass")
    assert run(project).ret == 0
    assert not (project.path / "log.txt").exists()


CALLED = """
calls = []

def pytest_alignbench_score(score, config):
    calls.append(score)
"""


class Ends:
    def pytest_alignbench_score(self, score: object) -> None:
        pytest.exit("enough")


def test_an_error_in_an_implementation_keeps_no_other_from_being_called(project: pytest.Pytester) -> None:
    """The good one hears of everything, whether it is called before, between or after those that fail."""
    project.syspathinsert()
    config = project.parseconfig("-p", "no:cacheprovider")
    called = []
    for number, text in enumerate([CALLED, BROKEN, CALLED, BROKEN, CALLED]):
        project.makepyfile(**{f"plugin{number}": text})
        plugin = importlib.import_module(f"plugin{number}")
        config.pluginmanager.register(plugin)
        called += [plugin.calls] if text == CALLED else []
    hooks = HookCalls(config)
    assert hooks.lines() == []
    scores = [SimpleNamespace(metric=metric) for metric in ("one", "two")]
    for score in scores:
        hooks.call("pytest_alignbench_score", score=score)
    hooks.call("pytest_alignbench_findings", findings=None, folder=None)
    assert called == [scores] * 3
    assert hooks.failed
    assert hooks.lines() == [
        f"plugin{number}.py:{said}"
        for said in (
            "7: pytest_alignbench_score raised ValueError: no one at all (the first of 2 calls that failed)",
            "10: pytest_alignbench_findings raised Failed: toy-a must win",
        )
        for number in (3, 1)
    ]
    config.pluginmanager.register(Ends())
    with pytest.raises(pytest.exit.Exception, match="enough"):
        hooks.call("pytest_alignbench_score", score=scores[0])


def test_the_answer_is_shown_and_gates_are_judged_after_an_error_in_a_hook(project: pytest.Pytester) -> None:
    project.makeconftest(CONFTEST + BROKEN)
    project.makepyfile(RECORD)
    result = run(project, "--align-compare=b.json", "--align-update", "--full-trace", "-k", "linear_cka")
    assert result.ret == 1
    result.assert_outcomes(passed=2)
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    result.stdout.fnmatch_lines(
        [
            "LLM toy-llm: *",
            "*errors in hooks*",
            "conftest.py:*: pytest_alignbench_score raised ValueError: no linear_cka at all (the *",
            "Traceback (most recent call last):",
            "conftest.py:*: pytest_alignbench_findings raised Failed: toy-a must win",
            "*baseline b.json*",
            "not accepted: b.json was not written, because a test failed, a hook raised an error, *",
        ]
    )
    assert not (project.path / "b.json").exists()
