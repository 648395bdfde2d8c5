"""The page on what misleads: its lines run, and print what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "why.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|text)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_the_code_of_the_page_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    kinds, texts = zip(*BLOCKS, strict=True)
    assert kinds == ("python", "text") * 4
    names: dict[str, Any] = {}
    for code, printed in zip(texts[::2], texts[1::2], strict=True):
        exec(compile(code, "why.md", "exec"), names)
        assert capsys.readouterr().out == printed
