"""alignbench in a project of somebody else: the page in the docs, to the letter, and `assert_aligned`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alignbench.report import read_run

PAGE = Path(__file__).parents[1] / "docs" / "library.md"


def files_of_the_page() -> dict[str, str]:
    """Return name -> content of the page's Python files, each named in its first line."""
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return {name: content for name, content in blocks}


def command_of_the_page() -> list[str]:
    [command] = re.findall(r"```\npytest (.*)\n```", PAGE.read_text(encoding="utf-8"))
    return command.split()


@pytest.fixture
def outside(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with the page's files and nothing else."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("ALIGNBENCH_CACHE", str(pytester.path / ".cache"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for name, content in files_of_the_page().items():
        (pytester.path / name).write_text(content, encoding="utf-8")
    return pytester


def test_the_page_works_as_it_stands(outside: pytest.Pytester) -> None:
    assert files_of_the_page().keys() == {"conftest.py", "test_fit.py"}
    result = outside.runpytest_subprocess(
        *command_of_the_page(), "-p", "no:cacheprovider", "--align-no-figures", timeout=120
    )
    result.assert_outcomes(passed=3)
    folder = outside.path / "reports" / "latest"
    assert {"report.html", "summary.md", "scores.json"} <= {path.name for path in folder.iterdir()}
    _, scores = read_run(folder)
    assert {(score.metric, score.encoder, score.llm) for score in scores} == {
        ("calibrated_cka", "thumbnails", "mini-llama"),
        ("product_agreement", "thumbnails", "mini-llama"),
    }
