"""What pages show as printed is what programs print, and commands that take no model work."""

from __future__ import annotations

import itertools
import re
import shlex
from typing import TYPE_CHECKING

import pytest

from alignbench import assert_aligned, doing
from alignbench.cli import main
from alignbench.experiments.many import plan_of
from alignbench.findings import Findings
from alignbench.metrics import METRICS
from alignbench.plugin.heartbeat import Remaining
from alignbench.show import write_run
from alignbench.show.html import write_report
from alignbench.tests.data_files import png
from alignbench.tests.docs_blocks import PAGES, ROOT, Block, blocks_of, commands_of
from alignbench.tests.pairs import make_pair
from alignbench.tests.report_fakes import make_run, make_scores

if TYPE_CHECKING:
    from pathlib import Path


def block(page: str, begin: str) -> Block:
    """Return the block of a page that begins so."""
    (found,) = (one for one in blocks_of(page, PAGES[page].read_text("utf-8")) if one.text.startswith(begin))
    return found


def in_form(text: str) -> str:
    """Return a text with 0 in place of each number."""
    return re.sub(r"-?\d[\d,]*(\.\d+)?", "0", text)


def rows_of(table: str) -> list[tuple[str, ...]]:
    """Return place, encoder, value, interval, null, p and p in type of each row of a terminal's table."""
    number = r"(-?[\d.]+)"
    return re.findall(
        rf"^(\d)  (\S+) +{number} +\[{number}, {number}\] +\S+ +{number} +{number} +{number}", table, re.M
    )


@pytest.mark.parametrize("page", ["README.md", "reading.md"])
def test_the_answer_on_a_page_is_that_of_the_example(page: str) -> None:
    shown = block(page, "LLM mini-llama: ranked by")
    summary = (ROOT / "reports" / "example" / "summary.md").read_text(encoding="utf-8")
    section = summary.partition("## `mini-llama`: encoders by `calibrated_cka`")[2].partition("\n## ")[0]
    cells = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in section.splitlines()]
    expected = [
        (row[0], row[1], row[3], *row[4].split(" to "), *row[5:8])
        for row in cells
        if "".join(row[:1]).isdigit()
    ]
    assert len(expected) == 4
    assert rows_of(shown.text) == expected
    said = " ".join(shown.text.split())
    (answer,) = re.findall(r"\*\*For `mini-llama`:\*\* (.*)", summary)
    tie = answer.replace("`", "").partition("tie at")[2]
    assert tie in said


def test_the_answer_of_readme_is_the_beginning_of_that_of_the_page() -> None:
    begin = "LLM mini-llama: ranked by"
    assert block("reading.md", begin).text.startswith(block("README.md", begin).text)


def test_the_message_of_a_failed_fit_has_the_form_of_the_page() -> None:
    shown = block("library.md", "thumbnails-mini-llama:").text.strip()
    with pytest.raises(AssertionError) as caught:
        assert_aligned(make_pair(noise=None), at_least=0.1, alpha=0.05)
    said = str(caught.value).replace("encoder-llm", "thumbnails-mini-llama")
    assert in_form(said) == in_form(shown)


def test_a_runs_progress_has_the_form_of_the_page() -> None:
    shown = block("report.md", "alignbench: 17").text.strip()
    ticks = itertools.count(0, 10)
    name = shown.partition("; ")[2].partition(" for ")[0]
    expected = dict.fromkeys((name, *(f"test_{i}" for i in range(20))), 70.0)
    run = Remaining(expected, clock=lambda: float(next(ticks)))
    run.start("test_0")
    run.end("test_0")
    run.start(name)
    with doing.doing("epochs of cross_attention projectors", 600):
        doing.advance(28)
        assert in_form(run.line()) == in_form(shown)


def test_the_plan_of_a_million_pairs_is_that_of_the_page() -> None:
    shown = block("scale.md", "score  from").text.splitlines()
    plans = dict(line.split(": ") for line in plan_of(map(METRICS.get, METRICS.names()), 1_000_000))
    for line in shown:
        what, _, names = line.removeprefix("score").strip().partition(": ")
        listed = [name for name in names.split(", ") if name != "..."]
        assert listed
        assert set(listed) <= set(plans[what].split(", ")), line


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of reports with two runs, beside a table of three images; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("monday", "latest"):
        write_run(tmp_path / "reports" / name, Findings.of(make_scores(), make_run()), figures=False)
    write_report(tmp_path / "reports" / "monday")
    for number, name in enumerate("abc"):
        (tmp_path / f"{name}.png").write_bytes(png((number * 70, 10, 10)))
    lines = ["image,caption,type", "a.png,a dark card,card", "b.png,a red card,card", "c.png,a note,note"]
    (tmp_path / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "reports"


QUICK = {
    "alignbench list": "mini-clip",
    "alignbench cache size": "",
    "alignbench data captions.csv": "3",
    "alignbench data captions.csv --n-samples 100 --to small": "small",
    "alignbench diff reports/monday reports/latest": "",
    "alignbench history reports": "history.html",
    "alignbench history reports --to trends.html": "trends.html",
    "alignbench publish reports/latest --to results": "results",
}
"""Command of a page -> what it says."""


@pytest.mark.slow
@pytest.mark.parametrize("command", QUICK)
def test_a_command_that_takes_no_model_works(
    command: str, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = [line for name, page in PAGES.items() for line in _commands(name, page)]
    assert command in everything, "no page has this command"
    assert main(shlex.split(command)[1:]) == 0
    assert QUICK[command] in capsys.readouterr().out


def _commands(name: str, page: Path) -> list[str]:
    found = blocks_of(name, page.read_text(encoding="utf-8"))
    return [line for one in found if one.kind == "command" for line in commands_of(one.text)]
