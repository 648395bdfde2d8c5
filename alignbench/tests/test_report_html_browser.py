"""report.html in a real browser: its script runs, its console stays empty, and its policy holds."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.findings import Findings
from alignbench.show import write_run
from alignbench.tests.html_fakes import write_figures, write_influence, write_layout, write_samples
from alignbench.tests.report_fakes import make_run, make_score, make_scores

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
IDS = [f"sample-{i}" for i in range(12)]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH"),
]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The page of a run that has everything."""
    write_layout(tmp_path, IDS)
    write_samples(tmp_path, IDS, ["<script>alert(1)</script>"] * len(IDS))
    write_influence(tmp_path, IDS, [float(i - 6) for i in range(12)], "calibrated_cka")
    write_figures(tmp_path)
    write_run(tmp_path, Findings.of(make_scores(), make_run()), figures=False)
    return tmp_path / "report.html"


def opened(page: Path, width: int = 1280) -> tuple[str, list[str]]:
    """Return the page as it is after its script has run, and the lines of its console."""
    assert CHROMIUM is not None
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr"]
    options.append(f"--window-size={width},1000")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [CHROMIUM, *options, "--disable-background-networking", profile, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    errors = done.stderr.decode(errors="replace").splitlines()
    return done.stdout.decode(), [line for line in errors if ":CONSOLE:" in line]


def asked(page: Path, expression: str, width: int = 1280) -> Any:
    """Return what a JavaScript expression comes to in the page, whose policy is lifted for it."""
    text = re.sub(r"<meta http-equiv=[^>]*>", "", page.read_text(encoding="utf-8"))
    asking = page.with_name("asking.html")
    script = f"<script>document.title = JSON.stringify({expression})</script></body>"
    asking.write_text(text.replace("</body>", script), encoding="utf-8")
    found = re.search(r"<title>(.*?)</title>", opened(asking, width)[0])
    assert found is not None
    return json.loads(html.unescape(found[1]))


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


def test_the_leaderboard_fits_a_laptop_and_says_where_more_is_hidden(report: Path) -> None:
    ask = """(() => {
      const board = document.querySelector("#boards .scroll");
      const style = getComputedStyle(board);
      const layers = style.backgroundImage.match(/linear-gradient/g) || [];
      return [board.scrollWidth - board.clientWidth, style.backgroundAttachment, layers.length];
    })()"""
    # A patch that moves with the table's end hides the shadow at the edge where nothing more is.
    assert asked(report, ask) == [0, "local, scroll", 2]
    assert asked(report, ask, width=600)[0] > 0


def test_marks_of_zero_can_be_seen(report: Path) -> None:
    contrast = """(() => {
      const light = (colour) => {
        const part = colour.match(/[0-9.]+/g).slice(0, 3).map((c) => c / 255);
        const [r, g, b] = part.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
      };
      const mark = light(getComputedStyle(document.querySelector(".bar .zero")).stroke);
      const paper = light(getComputedStyle(document.body).backgroundColor);
      return Math.max(mark, paper) / Math.min(mark, paper);
    })()"""
    assert asked(report, contrast) > 3  # WCAG 2.2, 1.4.11


def test_a_table_without_a_row_left_is_hidden(tmp_path: Path) -> None:
    few = [make_score("linear_cka", 0.4, llm="mini-llama"), make_score("rsa", 0.4, llm="mini-qwen")]
    write_run(tmp_path, Findings.of(few, make_run()), figures=False)
    choose = """(() => {
      const llm = document.querySelector("#boards form").elements.llm;
      llm.value = "mini-qwen";
      llm.dispatchEvent(new Event("input", { bubbles: true }));
      return Array.from(document.querySelectorAll("#boards .scroll:not([hidden])"), (one) => one.ariaLabel);
    })()"""
    assert asked(tmp_path / "report.html", choose) == [
        "Table: Encoders by place",
        "Table: Encoders by metric, for mini-qwen",
    ]
