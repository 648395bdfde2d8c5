"""report.html: all of a run on one page, nothing of the data is markup, and nothing comes from elsewhere."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alignbench import paths
from alignbench.errors import DataError
from alignbench.findings import Findings, append_score
from alignbench.plots import FIGURES
from alignbench.plots.declared import caption_of
from alignbench.show import write_run
from alignbench.show.html import figures, page, report_html, write_report
from alignbench.tests.html_fakes import Page, page_of, write_figures
from alignbench.tests.report_fakes import (
    HOSTILE,
    LLMS,
    make_model,
    make_run,
    make_score,
    make_scores,
    make_trained_scores,
    without_interval,
)
from alignbench.text import clean

if TYPE_CHECKING:
    from pathlib import Path

MEBIBYTE = 2**20
NASTY = (
    *HOSTILE,
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "-->",
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a run with nothing odd in it."""
    return page_of(tmp_path_factory.mktemp("plain"), make_scores())


def windows(page: Page) -> list[str]:
    return [a["id"] for a in page.all("div") if "popover" in a]


def test_the_answer_comes_first(plain: Page) -> None:
    text = plain.text
    contents = "Words Downloads"
    order = [contents, "For mini-llama mini-clip", "Before you trust it", "Leaderboards", "How it was made"]
    order.append("Every score")
    start = text.index(contents)
    places = [text.index(said, start) for said in order]
    assert places == sorted(places)


@pytest.mark.slow
def test_every_score_is_there_with_its_command(tmp_path: Path) -> None:
    scores = [*make_scores(), *make_trained_scores(), make_score("cknna", None), make_score("rsa", 0.1)]
    found = page_of(tmp_path, scores)
    assert len(windows(found)) == len(scores)
    commands = found.inside["pre"]
    assert sorted(commands) == sorted([make_run().command, *(s.reproduce for s in scores if s.reproduce)])
    rows = [a for a in found.all("tr") if "data-llm" in a]
    assert len(rows) >= len(scores)


@pytest.mark.slow
def test_every_opener_has_its_window_and_ids_are_unique(tmp_path: Path) -> None:
    found = page_of(tmp_path, [*make_scores(), make_score("cknna", None)])
    assert {a["popovertarget"] for a in found.all("button")} == set(windows(found))
    assert len(found.ids()) == len(set(found.ids()))
    named = {a[key] for _, a in found.elements for key in ("aria-labelledby",) if key in a}
    links = {a["href"][1:] for a in found.all("a") if a["href"].startswith("#")}
    assert named | links <= set(found.ids())


@pytest.mark.parametrize("nasty", NASTY)
def test_names_reasons_and_captions_stay_text(tmp_path: Path, plain: Page, nasty: str) -> None:
    run = replace(
        make_run((nasty,), (nasty,)),
        id=nasty,
        started=nasty,
        command=nasty,
        warnings=(nasty,),
        versions={nasty: nasty},
        machine={nasty: [nasty]},
        git_commit=nasty,
        dataset={
            "name": nasty,
            "n": 9,
            "types": {nasty: 9},
            "notes": [nasty],
            "dropped": [{"where": nasty, "reason": nasty}],
        },
    )
    fields: dict[str, Any] = {"flags": (nasty,), "experiment": nasty, "data_type": nasty, "variant": nasty}
    scores = [
        make_score("calibrated_cka", 0.4, nasty, nasty, reproduce=nasty, params={nasty: nasty}, **fields),
        make_score(nasty, None, "b", nasty, reason=nasty, data_type=nasty, unit=nasty, dataset=nasty),
        make_score("ncoral", 0.3, nasty, None, other=nasty),
    ]
    found = page_of(tmp_path, scores, run, problems=[nasty])
    assert len(found.all("script")) == len(plain.all("script"))
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in plain.elements} | {"small", "wbr"}
    assert not [name for _, a in found.elements for name in a if name.startswith("on") or name == "style"]
    assert clean(nasty) in found.text
    assert "\x1b" not in found.text
    assert "\u202e" not in found.text
    assert found.inside["pre"][0] == clean(nasty)


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    write_figures(tmp_path)
    found = page_of(tmp_path, make_scores())
    references = [a[k] for _, a in found.elements for k in ("src", "href", "action", "data") if k in a]
    assert len([one for one in references if one.startswith("data:image/")]) == 3
    assert all(one.startswith(("data:", "#")) for one in references)
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in found.elements}
    for code in (*found.inside["style"], *found.inside["script"]):
        assert not re.search(
            r"url\(|@import|fetch\(|XMLHttpRequest|import\(|https?://(?!www\.w3\.org/2000/svg)", code
        )


def test_the_policy_allows_this_style_and_script_and_no_other(plain: Page) -> None:
    policy = next(a["content"] for a in plain.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:;")
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(plain.inside[tag][-1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


@pytest.mark.slow
def test_the_same_folder_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_figures(tmp_path)
    page_of(tmp_path, make_scores())
    first = (tmp_path / "report.html").read_bytes()
    monkeypatch.setattr(time, "time", lambda: 1e9)  # years ago
    assert write_report(tmp_path) == tmp_path / "report.html"
    assert (tmp_path / "report.html").read_bytes() == first


def test_a_run_without_scores_says_so(tmp_path: Path) -> None:
    found = page_of(tmp_path, [])
    assert "there is nothing to rank" in found.text
    assert "No score was recorded" in found.text


def test_a_run_of_nothing_but_missing_values_gives_the_reasons(tmp_path: Path) -> None:
    scores = [make_score("calibrated_cka", None, encoder, reason="no variance") for encoder in ("a", "b")]
    text = page_of(tmp_path, scores).text
    assert "No encoder could be ranked: a: no variance; b: no variance." in text
    assert "2 scores could not be computed" in text
    assert "no variance: calibrated_cka of a × mini-llama, calibrated_cka of b × mini-llama" in text


@pytest.mark.slow
def test_a_killed_run_has_a_page(tmp_path: Path) -> None:
    for score in make_scores():
        append_score(tmp_path, score)
    found = Page(report_html(tmp_path))
    assert "The run did not finish" in found.text
    assert len(windows(found)) == len(make_scores())
    assert not [a for a in found.all("a") if a.get("download", "").startswith("scores.json")]


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a run's"):
        write_report(tmp_path)


def test_ties_stand_in_the_headline_and_a_fit_by_chance_does_not(tmp_path: Path) -> None:
    tied = [
        make_score("calibrated_cka", 0.40, "a", deletions=(0.3, 0.5, 0.4, 0.4)),
        make_score("calibrated_cka", 0.39, "b", deletions=(0.5, 0.28, 0.39, 0.39)),
    ]
    assert "For mini-llama a or b (too close to call)" in page_of(tmp_path / "tied", tied).text
    null = make_scores()[0].null
    assert null is not None
    chance = [replace(score, null=replace(null, p=0.4)) for score in tied]
    text = page_of(tmp_path / "chance", chance).text
    assert "For mini-llama No encoder beats shuffled pairs here" in text


def test_scores_that_nobody_is_ranked_by_are_shown_without_a_verdict(tmp_path: Path) -> None:
    scores = [make_score("overlay_residual", 0.4, e, higher_is_better=False) for e in ("a", "b")]
    text = page_of(tmp_path, scores).text
    assert "For mini-llama Not ranked overlay_residual, n = 90; lower is better" in text
    assert "None is shown to fit" not in text
    assert "by overlay_residual, lower is better" in text


def test_what_speaks_against_the_numbers_is_said(tmp_path: Path) -> None:
    model = make_model("mini-clip", stand_in_for="clip")
    weights = {model.label: "stand-in"}
    scores = [
        without_interval(make_score("calibrated_cka", 0.4, model.label, weights=weights)),
        make_score("coral_similarity", 1.0, model.label, weights=weights, flags=("saturated",)),
    ]
    text = page_of(tmp_path, scores, make_run(models=[model])).text
    for said in (
        "1 stand-in instead of what was asked for",
        "mini-clip stood in for clip",
        "1 row of the data could not be used",
        "1 time: image <img src=x onerror=alert(1)> not found (labels.jsonl:7)",
        "the cache was of another version",
        "saturated 1 so near its ceiling",
        "n_too_small 1 too few groups",
        "stand-in 2 a built-in toy model stood in",
    ):
        assert said in text


@pytest.mark.slow
def test_downloads_hold_the_run(tmp_path: Path) -> None:
    scores = make_scores()
    found = page_of(tmp_path, scores)
    files = {
        a["download"]: base64.b64decode(a["href"].split(",")[1]) for a in found.all("a") if "download" in a
    }
    assert gzip.decompress(files["scores.json.gz"]) == (tmp_path / "scores.json").read_bytes()
    assert len(list(csv.reader(io.StringIO(files["scores.csv"].decode())))) == len(scores) + 1


def test_a_page_that_cannot_be_made_does_not_cost_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "score_rows", lambda *_: 1 / 0)
    with pytest.warns(UserWarning, match=r"report\.html could not be written \(ZeroDivisionError"):
        write_run(tmp_path, Findings.of(make_scores(), make_run()), figures=False)
    assert json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["scores"]
    assert (tmp_path / "summary.md").exists()


@pytest.mark.parametrize("name", FIGURES.names())
def test_every_figure_has_a_caption(name: str) -> None:
    spec = FIGURES.get(name)
    assert spec.caption is not None
    assert min(len(spec.caption.title), len(spec.caption.read), len(spec.caption.not_shown)) > 15
    assert caption_of(name) is spec.caption


@pytest.mark.slow
def test_a_figure_that_nobody_described_is_shown(tmp_path: Path) -> None:
    (tmp_path / "my_own_plot.svg").write_text('<svg width="72pt" height="36pt"></svg>')
    found = page_of(tmp_path, make_scores())
    assert "My own plot" in found.text
    [image] = found.all("img")
    assert (image["width"], image["height"]) == ("96", "48")


@pytest.mark.slow
def test_four_figures_are_open_and_the_others_are_folded(tmp_path: Path) -> None:
    for i in range(6):
        (tmp_path / f"plot_{i}.svg").write_text('<svg width="72pt" height="36pt"></svg>')
    found = page_of(tmp_path, make_scores())
    assert len(found.all("img")) == 6
    assert "2 more figures" in found.text
    before, after = found.text.split("2 more figures")
    titles = [f"Plot {i} How to read it" for i in range(6)]
    assert [title in before for title in titles] == [True] * 4 + [False] * 2
    assert all(title in after for title in titles[4:])


@pytest.mark.slow
@pytest.mark.parametrize(("svg_bytes", "taken"), [(250, "svg+xml"), (5000, "png")])
def test_the_lighter_file_of_a_figure_is_taken(tmp_path: Path, svg_bytes: int, taken: str) -> None:
    (tmp_path / "a.svg").write_bytes(b"<svg>" + b"x" * svg_bytes)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 200)
    [image] = page_of(tmp_path, make_scores()).all("img")
    assert image["src"].startswith(f"data:image/{taken};base64,")


@pytest.mark.slow
def test_figures_that_would_make_the_page_too_large_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_BYTES", 300)
    (tmp_path / "a.svg").write_bytes(b"x" * 200)
    (tmp_path / "b.svg").write_bytes(b"x" * 200)
    found = page_of(tmp_path, make_scores())
    assert len(found.all("img")) == 1
    assert "see b.svg beside it" in found.text


@pytest.mark.slow
def test_the_page_of_a_full_run_is_small() -> None:
    path = paths.benchmarks().parent / "reports" / "example" / "report.html"
    assert path.stat().st_size < 8 * MEBIBYTE
    assert len(Page(path.read_text(encoding="utf-8")).all("figure")) >= 20


@pytest.mark.slow
def test_long_and_foreign_names_have_a_page(tmp_path: Path) -> None:
    found = page_of(tmp_path, make_scores(HOSTILE, LLMS), make_run(HOSTILE))
    assert "비전-인코더-한국어" in found.text
