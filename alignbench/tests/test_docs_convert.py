"""The example of `alignbench convert` in the page about models, to the letter."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from alignbench.cli import main

PAGE = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = PAGE.partition("<!-- test_docs_convert.py runs this example -->")[2]
    made, command, shown = re.findall(r"```(?:python|text)?\n(.*?)```", example, re.DOTALL)[:3]
    monkeypatch.chdir(tmp_path)
    exec(compile(made, "models.md", "exec"), {})
    program, *words = shlex.split(command)
    assert program == "alignbench"
    assert main(words) == 0
    printed = iter(capsys.readouterr().out.splitlines())
    # Each line that is shown is printed, in this order; the dots stand for the others.
    assert all(line in printed for line in shown.splitlines() if line != "...")
    assert {path.name for path in (tmp_path / "converted").iterdir()} == {
        "config.json",
        "conversion.json",
        "model.safetensors",
    }
