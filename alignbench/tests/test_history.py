"""`alignbench history`: which scores stand in one trend, what it says of changes, and its page."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.cli import main
from alignbench.errors import DataError
from alignbench.findings import Findings, History
from alignbench.show.history import history_lines, since, times
from alignbench.show.html.history import history_html
from alignbench.tests.diff_fakes import moved, recorded, write
from alignbench.tests.report_fakes import HOSTILE, make_run, make_score

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.types import Score

HOW = {"mini-clip": {"pooling": "cls"}, "mini-llama": {"layer": -1}}


def score(value: float = 0.3, encoder: str = "mini-clip", **fields: Any) -> Score:
    given: dict[str, Any] = {"params": {"preprocessing": HOW}} | fields
    return make_score("calibrated_cka", value, encoder, **given)


def run_of(day: int, *scores: Score, **changes: Any) -> Findings:
    about = {"started": f"2026-11-{day:02}T10:00:00+00:00", "git_commit": f"{day:040}"}
    return recorded(scores, f"run-{day}", **(about | changes))


def values(history: History) -> list[dict[str, list[float | None]]]:
    return [
        {line.encoder: [s.value for s in line.scores.values()] for line in trend.lines}
        for trend in history.trends
    ]


def test_runs_of_the_same_data_and_settings_are_one_trend_in_the_order_of_time() -> None:
    runs = [run_of(day, score(day / 100), score(0.5, "random-vit")) for day in (9, 2, 5)]
    history = History.of(runs)
    assert [moment.when for moment in history.moments] == [f"2026-11-{d:02} 10:00" for d in (2, 5, 9)]
    assert values(history) == [{"random-vit": [0.5] * 3, "mini-clip": [0.02, 0.05, 0.09]}]


@pytest.mark.parametrize(
    ("change", "apart"),
    [
        ({"seed": 7}, ["seed 42", "seed 7"]),
        ({"dataset": "other@00000000"}, [None, None]),
        ({"params": {"preprocessing": HOW, "k": 5}}, ["k None", "k 5"]),
        ({"params": {"preprocessing": {**HOW, "mini-llama": {"layer": 3}}}}, ["LLM layer -1", "LLM layer 3"]),
        ({"n": 80}, ["groups 90", "groups 80"]),
    ],
    ids=["seed", "data", "settings", "llm", "groups"],
)
def test_other_data_or_settings_are_apart_and_say_in_what(
    change: dict[str, Any], apart: list[str | None]
) -> None:
    history = History.of([run_of(2, score(0.2)), run_of(3, score(0.3, **change))])
    assert values(history) == [{"mini-clip": [0.3]}, {"mini-clip": [0.2]}]
    said = [trend.apart[0] if trend.apart else None for trend in history.trends]
    assert said == apart[::-1]


def test_an_encoder_that_is_prepared_otherwise_is_another_line() -> None:
    otherwise = {"preprocessing": {**HOW, "mini-clip": {"pooling": "mean"}}}
    history = History.of([run_of(2, score(0.2)), run_of(3, score(0.3, params=otherwise))])
    assert values(history) == [{"mini-clip, pooling mean": [0.3], "mini-clip, pooling cls": [0.2]}]


def test_metrics_llms_and_types_have_trends_of_their_own() -> None:
    scores = [
        score(),
        replace(score(), metric="ncoral", higher_is_better=False),
        replace(score(), metric="rsa"),  # nothing is ranked by it
        replace(score(), llm="mini-qwen"),
        replace(score(), llm="third", data_type="chart"),
        replace(score(), data_type="chart"),  # this LLM is ranked on all data
    ]
    trends = History.of([run_of(2, *scores)]).trends
    assert [(t.llm, t.metric, t.data_type) for t in trends] == [
        ("mini-llama", "calibrated_cka", "all"),
        ("mini-llama", "ncoral", "all"),
        ("mini-qwen", "calibrated_cka", "all"),
        ("third", "calibrated_cka", "chart"),
    ]


def test_a_change_is_paired_and_says_if_it_may_be_due_to_chance_or_to_other_weights() -> None:
    first = score(0.3)
    runs = [run_of(2, first), run_of(3, moved(first, 0.05, noise=0.0001))]
    [line] = History.of(runs).trends[0].lines
    assert line.latest is not None
    assert line.latest.paired
    assert re.fullmatch(r"\+0.050 ±0.00\d better", since(line))
    models = [replace(model, revision="new") for model in make_run().models]
    runs[1] = run_of(3, moved(first, -0.01, noise=0.01), models=[_plain(m) for m in models])
    [line] = History.of(runs).trends[0].lines
    assert since(line).endswith("(worse), other weights")
    assert since(History.of(runs[:1]).trends[0].lines[0]) == ""


def _plain(model: Any) -> dict[str, Any]:
    plain: dict[str, Any] = make_run(models=[model]).to_dict()["models"][0]
    return plain


def test_the_terminal_shows_the_first_metric_the_last_runs_and_what_it_leaves_out(tmp_path: Path) -> None:
    for day in range(1, 10):
        write(tmp_path / f"r{day}", run_of(day, score(day / 100), replace(score(), metric="eas_adjusted")))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "scores.json").write_text("{", encoding="utf-8")
    (tmp_path / "latest").symlink_to("r9", target_is_directory=True)
    lines = history_lines(History.read(tmp_path), 100)
    assert lines[0] == "9 runs"
    assert "2026-11-09  since the run before" in lines[3]
    assert "2026-11-01" not in lines[3]
    assert lines[4].split()[-1].startswith("(") or lines[4].split()[-1] in {"better", "worse"}
    assert any(line.endswith("earlier runs on the page") for line in lines)
    assert "1 further trend, by other metrics, on the page" in lines
    assert any(line.startswith("left out: broken:") for line in lines)
    assert all(len(line) <= 100 for line in lines)


def test_times_are_as_short_as_they_can_be() -> None:
    one, two = (run_of(1, score(), started=f"2026-11-01T1{hour}:00:00+00:00") for hour in (0, 2))
    assert set(times(History.of([one]).moments).values()) == {"2026-11-01"}
    assert list(times(History.of([one, replace(two, name="b")]).moments).values()) == [
        "2026-11-01 10:00",
        "2026-11-01 12:00",
    ]


def test_the_page_is_the_same_each_time_loads_nothing_and_escapes_everything() -> None:
    runs = [
        run_of(
            day,
            *(score(0.1 * i, name) for i, name in enumerate(HOSTILE[:5], 1)),
            dataset={"name": HOSTILE[0]},
        )
        for day in (1, 2)
    ]
    page = history_html(History.of(runs, {HOSTILE[0]: HOSTILE[5]}))
    assert page == history_html(History.of(runs[::-1], {HOSTILE[0]: HOSTILE[5]}))
    assert "<script" not in page
    assert "\x1b" not in page
    assert not re.findall(r"(?:src|href)=\"(?!#)", page)
    assert page.count("<circle") == 2 * 5 + 5  # and the swatches
    assert page.count('class="path"') == 5


def test_a_run_alone_and_a_score_that_was_lost_can_be_drawn() -> None:
    lost = replace(score(), value=None, status="not_applicable", reason="too few", interval=None)
    for runs in ([run_of(1, score())], [run_of(1, score()), run_of(2, lost)], [run_of(1, lost)], []):
        assert history_html(History.of(runs)).endswith("</html>")


def test_the_command_writes_the_page_where_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "reports" / "a", run_of(1, score()))
    assert main(["history", "reports"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "page: reports/history.html"
    assert main(["history", "reports", "--to", "new/trend.html"]) == 0
    assert (tmp_path / "new" / "trend.html").read_bytes() == (tmp_path / "reports/history.html").read_bytes()
    assert main(["history", "nowhere"]) == 4
    assert "there is no such folder" in capsys.readouterr().err


def test_a_folder_without_runs_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected the folders of runs: no folder in it has a scores.json"):
        History.read(tmp_path)
