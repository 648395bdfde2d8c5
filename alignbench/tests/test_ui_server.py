"""The page as a program sees it: its endpoints, what it refuses, what it goes on doing afterwards."""

from __future__ import annotations

import csv
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from alignbench.tests.ui_server import served

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("gradio", reason="the extra `ui` is not installed: pip install 'alignbench[ui]'")
gradio_client = pytest.importorskip("gradio_client", reason="gradio's client is not installed")

DATA = (["chart", "table"], 10, 42)
CORAL = (["mini-clip"], ["mini-llama"], *DATA, 99)
ANSWER, FIGURES, TABLE, CSV, JSON, ZIP = range(4, 10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ui")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with served(folder) as address:
        yield address


@pytest.fixture
def client(url: str, tmp_path: Path) -> Any:
    return gradio_client.Client(url, verbose=False, download_files=str(tmp_path))


def scores_of(result: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path(result[JSON]["value"] if isinstance(result[JSON], dict) else result[JSON]).read_text(encoding="utf-8"))["scores"]
    return found


def test_coral_gives_answer_figures_table_and_files(client: Any) -> None:
    result = client.predict(*CORAL, api_name="/coral")
    assert "Done." in result[0]
    print([type(r) for r in result], [str(r)[:80] for r in result])
