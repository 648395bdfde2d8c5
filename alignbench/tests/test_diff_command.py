"""`alignbench diff A B`: what it prints, its exit status, and what it says of runs that can't be read."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.cli import main
from alignbench.findings import Findings, append_score
from alignbench.show import write_run
from alignbench.tests.diff_fakes import moved, recorded, write
from alignbench.tests.report_fakes import make_run, make_score

if TYPE_CHECKING:
    from pathlib import Path

SCORE = make_score("linear_cka", 0.314)
WORSE = moved(SCORE, -0.03, noise=0.001)
BETTER = moved(SCORE, 0.03, noise=0.001)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with run a, and b in which linear_cka is worse."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    write(tmp_path / "a", recorded([SCORE]))
    write(tmp_path / "b", recorded([WORSE]))
    return tmp_path


@pytest.mark.parametrize(
    ("args", "status"),
    [
        ((), 0),
        (("--fail", "linear_cka:0.02"), 1),
        (("--fail", "linear_cka:0.05"), 0),
        (("--fail", "linear_cka:5%"), 1),
        (("--fail", "linear_cka:10%"), 0),
        (("--fail=linear_cka:0.02", "--format=markdown"), 1),
        (("--fail", "linear_cka:2"), 0),
        (("--fail", "linear_cka:x"), 4),
        (("--fail", "linear_cca:0.02"), 4),
    ],
)
def test_the_exit_status_is_that_of_a_gate(runs: Path, args: tuple[str, ...], status: int) -> None:
    assert main(["diff", "a", "b", *args]) == status


def test_a_better_score_passes_in_both_directions(runs: Path) -> None:
    assert main(["diff", "b", "a", "--fail", "linear_cka:0"]) == 0
    low = make_score("ncoral", 0.3, higher_is_better=False)
    write(runs / "c", recorded([low]))
    write(runs / "d", recorded([moved(low, 0.03)]))
    assert main(["diff", "c", "d", "--fail", "ncoral:0.02"]) == 1
    assert main(["diff", "d", "c", "--fail", "ncoral:0.02"]) == 0


def test_the_table_and_its_markdown(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["diff", "a", "b/scores.json", "--fail", "linear_cka:0.02"])
    out = capsys.readouterr().out
    assert "REGRESSED  linear_cka  mini-clip, mini-llama  0.314  0.284  -0.030  0.009" in out
    assert "1 regression by linear_cka:0.02." in out
    main(["diff", "a", "b", "--format", "markdown"])
    assert capsys.readouterr().out.startswith("## What changed?\n\n**No change was judged.")


def test_several_gates_add_up(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = make_score("rsa", 0.2)
    write(runs / "a", recorded([SCORE, other]))
    write(runs / "b", recorded([SCORE, moved(other, -0.1)]))
    assert main(["diff", "a", "b", "--fail", "linear_cka:0.02", "--fail", "rsa:5%"]) == 1
    assert main(["diff", "a", "b", "--fail", "linear_cka:0", "--fail", "linear_cka:1"]) == 4
    assert "two tolerances" in capsys.readouterr().err


def test_unlike_runs_are_refused_unless_told(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(runs / "c", recorded([replace(BETTER, seed=7)]))
    assert main(["diff", "a", "c"]) == 4
    assert capsys.readouterr().err == (
        "alignbench: A (a) and B (c) are not alike; --unlike compares them all the same:\n"
        "  seed: 42 in A, 7 in B\n"
    )
    assert main(["diff", "a", "c", "--unlike"]) == 0
    assert "\nunlike: seed: 42 in A, 7 in B\n" in capsys.readouterr().out
    assert main(["diff", "c", "a", "--unlike", "--fail", "linear_cka:0.01"]) == 1


def test_a_run_that_did_not_end_is_compared_when_told(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append_score(runs / "killed", WORSE)
    assert main(["diff", "a", "killed"]) == 4
    assert "weights: those of B are unknown, because its run did not finish" in capsys.readouterr().err
    assert main(["diff", "a", "killed", "--unlike", "--fail", "linear_cka:0.02"]) == 1
    assert "B killed: did not finish" in capsys.readouterr().out


def test_what_a_run_writes_is_read(runs: Path) -> None:
    write_run(runs / "whole", Findings.of([SCORE], make_run()), figures=False)
    assert main(["diff", "whole", "b", "--fail", "linear_cka:0.02"]) == 1
    assert main(["diff", "whole", "a", "--fail", "linear_cka:0"]) == 0


def spoilt(**changes: Any) -> str:
    """Return a scores.json of one score with these fields."""
    plain = {**SCORE.to_dict(), **changes}
    return json.dumps({"schema_version": 1, "run": make_run().to_dict(), "scores": [plain]})


def scored(score: object) -> str:
    """Return a scores.json of one thing in a score's place."""
    return json.dumps({"schema_version": 1, "run": make_run().to_dict(), "scores": [score]})


def described(**changes: Any) -> str:
    """Return a scores.json without scores, and with these fields of the run's description."""
    return json.dumps({"schema_version": 1, "run": {**make_run().to_dict(), **changes}, "scores": []})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "expected a run's scores.json or scores.jsonl, found neither"),
        ("", "scores.json: it is damaged or cut off (Expecting value"),
        (spoilt()[:-100], "scores.json: it is damaged or cut off ("),
        ("[1, 2]", "scores.json: it holds no scores of alignbench, but [1, 2]"),
        ("null", "scores.json: it holds no scores of alignbench, but None"),
        ("{}", "scores.json: it holds no scores of alignbench, but {}"),
        ('{"schema_version": 0}', "expected schema_version 1, got 0; repeat the run"),
        ('{"schema_version": 99}', "expected schema_version 1, got 99; use a newer alignbench"),
        ('{"schema_version": 1}', "expected a run and its scores, found 'schema_version'"),
        ('{"schema_version": 1, "run": [], "scores": {}}', "expected a run and its scores"),
        (scored(7), "score 1 is not valid (expected a mapping, got 7)"),
        (scored({}), "score 1 is not valid (the key 'experiment' is missing)"),
        (spoilt(surprise=1), "score 1 is not valid (unknown key 'surprise'"),
        (
            spoilt(value=float("nan")),
            "score 1 is not valid (value: expected a finite number or nothing (null), got nan",
        ),
        (spoilt(chance=float("inf")), "chance: expected a finite number or nothing (null), got inf"),
        (spoilt(n=10**30), "n: expected a whole number, got 1000"),
        (spoilt(seed=42.0), "seed: expected a whole number, got 42.0"),
        (spoilt(deletions=[0.3, float("nan")]), "deletions[1]: expected a finite number, got nan"),
        (spoilt(interval={"low": 1}), "interval"),
        (spoilt(value="0.3x"), "value: expected a finite number or nothing (null), got '0.3x'"),
        (spoilt(value=None), "value: expected a finite number, got None"),
        (spoilt(status="not_applicable"), "value: expected nothing (null), got 0.3"),
        (spoilt(params=[1]), "params: expected a mapping, got [1]"),
        (spoilt(params={"splits": "5"}), "params.splits: expected a whole number or nothing (null), got '5'"),
        (described(dataset=1), "the run's description: dataset: expected a mapping, got 1"),
        (described(models=[{"x": 1}]), "the run's description: models[0]: "),
        (described(seconds="long"), "the run's description: seconds: expected a finite number, got 'long'"),
        (described(options={"losses": True}), "options.losses: expected a list, got True"),
        ("[" * 100_000, "it is damaged or cut off ("),
        ('{"schema_version": ' + "9" * 5000 + "}", "it is damaged or cut off ("),
        ("\udcff", "it is damaged or cut off ("),
    ],
    ids=lambda v: str(v)[:24],
)
def test_a_damaged_run_is_one_line_and_exit_status_4(
    runs: Path, capsys: pytest.CaptureFixture[str], content: str | None, says: str
) -> None:
    (runs / "bad").mkdir()
    if content is not None:
        (runs / "bad" / "scores.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    for args in (("bad", "a"), ("a", "bad")):
        assert main(["diff", *args]) == 4
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith("alignbench: bad")
        assert says in line
    if content is not None:
        assert main(["report", "bad"]) == 4
        assert says in capsys.readouterr().err


def test_what_the_schema_leaves_open_is_one_line_all_the_same(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = {**SCORE.to_dict(), "experiment": "speed", "metric": "metric_ms", "params": {"at": {}}}
    (runs / "odd").mkdir()
    (runs / "odd" / "scores.json").write_text(scored(odd), encoding="utf-8")
    status = main(["report", "odd"])
    [line] = capsys.readouterr().err.splitlines() or [""]
    assert (status, "holds what no run writes" in line) == (4, True)


def test_a_folder_that_is_none(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a", "nowhere"]) == 4
    assert capsys.readouterr().err.startswith("alignbench: nowhere: expected a run's scores.json")


def test_an_old_terminal_gets_what_it_can_show(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for args in ((), ("--format", "markdown")):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["diff", "a", "b", *args]) == 0
        stream.flush()


@pytest.mark.parametrize("args", [(), ("a",), ("a", "b", "--format", "pdf"), ("a", "b", "--fial", "x:1")])
def test_wrong_usage_is_no_regression(runs: Path, args: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["diff", *args])
    assert stop.value.code == 2  # as of every command
