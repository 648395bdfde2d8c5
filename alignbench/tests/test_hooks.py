"""The hooks that others implement: the example of the docs, with workers; and who is called when."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.findings import Findings
from alignbench.tests.toys import CONFTEST, RECORD, run

if TYPE_CHECKING:
    import pytest

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
