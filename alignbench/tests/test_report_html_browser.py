"""report.html in a real browser: its script runs, its console stays empty, and its policy holds."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from alignbench.report import write_run
from alignbench.tests.html_fakes import write_figures, write_influence, write_layout, write_samples
from alignbench.tests.report_fakes import make_run, make_scores

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IDS = [f"sample-{i}" for i in range(12)]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The page of a run that has everything."""
    write_layout(tmp_path, IDS)
    write_samples(tmp_path, IDS, ["<script>alert(1)</script>"] * len(IDS))
    write_influence(tmp_path, IDS, [float(i - 6) for i in range(12)], "calibrated_cka")
    write_figures(tmp_path)
    write_run(tmp_path, make_run(), make_scores(), figures=False)
    return tmp_path / "report.html"


def opened(page: Path) -> tuple[str, list[str]]:
    """Return the page as it is after its script has run, and the lines of its console."""
    assert CHROMIUM is not None
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [CHROMIUM, *options, "--disable-background-networking", profile, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    errors = done.stderr.decode(errors="replace").splitlines()
    return done.stdout.decode(), [line for line in errors if ":CONSOLE:" in line]


def test_the_script_runs_and_says_nothing(report: Path) -> None:
    dom, console = opened(report)
    assert console == []
    assert '<html lang="en" class="js">' in dom
    assert '<button type="button" class="sort">' in dom
    assert dom.count('class="mark"') == len(IDS)


def test_what_does_not_belong_to_the_page_is_refused_and_seen(report: Path) -> None:
    planted = '<img src="https://example.invalid/x.png"><script>document.title = "run"</script></main>'
    report.write_text(report.read_text(encoding="utf-8").replace("</main>", planted), encoding="utf-8")
    dom, console = opened(report)
    assert len(console) == 2
    assert all("Content Security Policy" in line for line in console)
    assert "<title>run</title>" not in dom
