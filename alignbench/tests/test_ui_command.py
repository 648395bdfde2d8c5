"""`alignbench ui` as a command: nothing of the page is imported before it runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from alignbench.cli import main


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR"):
        monkeypatch.setenv(name, "before")  # so that what the command sets is undone


@pytest.mark.slow
def test_without_gradio_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["ui", "--no-browser"]) == 4
    said = capsys.readouterr().err
    assert said == "alignbench: the page needs gradio: pip install 'alignbench[ui]'\n"


@pytest.mark.slow
def test_other_commands_import_nothing_of_the_page() -> None:
    code = (
        "import sys; from alignbench.cli.main import build_parser; build_parser();"
        "print([n for n in sys.modules if n.startswith(('alignbench.ui', 'gradio', 'torch'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_is_for_this_machine_unless_told_otherwise() -> None:
    from alignbench.cli.main import build_parser

    assert build_parser().parse_args(["ui"]).host == "127.0.0.1"
