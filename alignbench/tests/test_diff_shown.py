"""What a comparison looks like: in the terminal within 100 columns, in markdown as text and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from alignbench.findings.diff import compare
from alignbench.findings.gate import parse_gates
from alignbench.show.diff_markdown import markdown_diff
from alignbench.show.diff_terminal import terminal_diff
from alignbench.tests.diff_fakes import moved, recorded
from alignbench.tests.report_fakes import HOSTILE, make_score, make_scores
from alignbench.text import display_width

if TYPE_CHECKING:
    from alignbench.findings.diff import Comparison

BEFORE = [
    make_score("linear_cka", 0.314),
    make_score("linear_cka", 0.402, "mini-siglip"),
    make_score("calibrated_cka", 0.219),
    make_score("calibrated_cka", 0.118, "mini-siglip", experiment="multi_llm"),
    make_score("ncoral", 0.25, higher_is_better=False, experiment="coral", data_type="chart"),
    make_score("rsa", 0.2),
    make_score("cknna", 0.1),
    make_score("rsa", 0.3, "mini-dinov2"),
    make_score("latency_ms", 5.0, llm=None, experiment="speed", higher_is_better=False),
]
AFTER = [
    moved(BEFORE[0], -0.033, noise=0.001),
    moved(BEFORE[1], 0.001, noise=0.001),
    replace(moved(BEFORE[2], 0.02), deletions=()),
    BEFORE[3],
    moved(BEFORE[4], 0.05, noise=0.002),
    make_score("rsa", None),
    make_score("cknna", 0.1),
    make_score("rsa", 0.3, "mini-new"),
    moved(BEFORE[8], 0.5),
]


def plain() -> Comparison:
    gates = parse_gates("linear_cka:0.02,rsa:5%", "--fail")
    return compare(recorded(BEFORE, "reports/a"), recorded(AFTER, "reports/b"), gates)


def hostile() -> Comparison:
    names = (*HOSTILE, "x" * 300)
    before = [make_score("linear_cka", 0.1 * i, name) for i, name in enumerate(names)]
    before += [make_score("rsa", 0.1, name) for name in names]
    after = [moved(score, 0.5) for score in before[: len(names)]]
    data = {"name": HOSTILE[0], "digest": HOSTILE[2], "n": HOSTILE[5]}
    other = recorded(after, HOSTILE[4], dataset=data, git_commit=HOSTILE[1])
    return compare(recorded(before, HOSTILE[0]), other, unlike=True)


def test_golden_comparison() -> None:
    assert terminal_diff(plain()) == [
        "A reports/a: sample_data@1a2b3c4d, 90 samples, 2026-11-23 17:44",
        "B reports/b: sample_data@1a2b3c4d, 90 samples, 2026-11-23 17:44",
        "",
        "           score                 of                                A      B   B - A  ± 95%",
        "REGRESSED  rsa                   mini-clip, mini-llama         0.200    n/a       -      -",
        "REGRESSED  linear_cka            mini-clip, mini-llama         0.314  0.281  -0.033  0.009",
        "worse      ncoral                mini-clip, mini-llama, chart  0.250  0.300  +0.050  0.018",
        "(better)   calibrated_cka (cka)  mini-clip, mini-llama         0.219  0.239  +0.020  0.085  u",
        "(better)   linear_cka            mini-siglip, mini-llama       0.402  0.403  +0.001  0.009",
        "2 regressions by linear_cka:0.02, rsa:5%. Of 7 scores in both: 2 regressed, 2 better, 1 worse, 2",
        "  same.",
        "For mini-llama: mini-clip in A; mini-clip (ties unknown) in B",
        "not judged by rsa:5%: 1 score only in A",
        "not judged by rsa:5%: 1 score only in B",
        "1 measurement of speed in both; the median of B / A is 1.10, from 1.10 to 1.10. Timings differ in",
        "  every run; --benchmark-compare judges them",
        "Only in A: 1 score",
        "  rsa (cka): mini-dinov2, mini-llama",
        "Only in B: 1 score",
        "  rsa (cka): mini-new, mini-llama",
        "(better), (worse): the interval covers 0, so other samples might show the opposite. Each interval",
        "  stands for itself: about one in twenty misses a true difference of 0.",
        "± 95%: half the interval of B - A, paired over the same samples",
        "u = unpaired: root of the sum of squares of both scores' intervals, as if the two shared no sample;",
        "  wider than necessary where they do",
    ]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp437", "no-such-encoding"])
@pytest.mark.parametrize("make", [plain, hostile])
def test_no_line_is_wider_than_the_terminal_or_acts_on_it(make, width: int, encoding: str) -> None:
    lines = terminal_diff(make(), width, encoding=encoding)
    assert max(map(display_width, lines)) <= min(width, 100)
    assert not set("\x1b\u202e\n") & set("".join(lines))
    if encoding != "no-such-encoding":
        "\n".join(lines).encode(encoding)


def test_many_changes_are_cut_and_counted() -> None:
    scores = [make_score("linear_cka", 0.5, f"e{i}") for i in range(100)]
    worse = [moved(s, -0.1, noise=0.01) for s in scores]
    gate = parse_gates("linear_cka:0.01", "--fail")
    free = terminal_diff(compare(recorded(scores), recorded(worse, "b")))
    assert sum(line.startswith("worse") for line in free) == 20
    assert "and 80 smaller changes, all of them in markdown" in free
    judged = terminal_diff(compare(recorded(scores), recorded(worse, "b"), gate))
    assert sum(line.startswith("REGRESSED") for line in judged) == 40
    assert "and 60 more regressions, all of them in markdown" in judged
    assert markdown_diff(compare(recorded(scores), recorded(worse, "b"), gate)).count("**REGRESSED**") == 100


def test_what_only_one_run_has_is_listed_or_if_it_is_much_counted_by_kind() -> None:
    gone = [make_score(m, 0.5, f"e{i}") for m in ("linear_cka", "rsa") for i in range(8)]
    common = [make_score("cknna", 0.1)]
    few = terminal_diff(compare(recorded(common), recorded([*common, *gone[:2]], "b")))
    assert few[few.index("Only in B: 2 scores") + 1 :][:2] == [
        "  linear_cka (cka): e0, mini-llama",
        "  linear_cka (cka): e1, mini-llama",
    ]
    many = terminal_diff(compare(recorded([*common, *gone]), recorded(common, "b")))
    told = many[many.index("Only in A: 16 scores") + 1 :][:2]
    assert told[0] == "  linear_cka (cka), 8 scores: e0, mini-llama, e1, e2, e3, e4, e5, e6, e7"
    full = markdown_diff(compare(recorded([*common, *gone]), recorded(common, "b")))
    assert all(f"{score.metric} (cka): {score.encoder}" in full for score in gone)


def test_a_gate_that_scores_escape_says_so() -> None:
    both, gone = make_score("linear_cka", 0.5), make_score("linear_cka", 0.5, "mini-siglip")
    gate = parse_gates("linear_cka:0.01", "--fail")
    found = compare(recorded([both, gone]), recorded([both], "b"), gate)
    line = "not judged by linear_cka:0.01: 1 score only in A"
    assert line in terminal_diff(found)
    assert "- not judged by linear_cka:0.01: 1 score only in A" in markdown_diff(found)


def test_unlike_runs_say_so_first() -> None:
    score = make_score("rsa", 0.1)
    found = compare(recorded([score]), recorded([replace(score, seed=7)], "b"), unlike=True)
    assert terminal_diff(found)[2] == "unlike: seed: 42 in A, 7 in B"
    assert "- **unlike**: seed: 42 in A, 7 in B" in markdown_diff(found)


def test_markdown_has_the_answer_all_rows_and_why_a_value_is_gone() -> None:
    text = markdown_diff(plain())
    lines = text.splitlines()
    assert lines[2].startswith("**2 regressions by linear_cka:0.02, rsa:5%.")
    rows = [line for line in lines if line.startswith("|")]
    assert rows[2].startswith("| **REGRESSED** | rsa | mini-clip, mini-llama | 0.200 | n/a | - | - |")
    assert sum("latency_ms" in row for row in rows) == 1
    assert "0.020 | -0.150 to 0.190" not in text
    assert "(unpaired) |" in text
    assert "- rsa of mini-clip, mini-llama: not applicable in B: zero variance in x" in lines
    assert "1 score only in A" in text
    assert "mini-new" in text


def test_nothing_in_data_becomes_markup() -> None:
    text = markdown_diff(hostile())
    assert "<script" not in text
    assert "https://" not in text
    assert " @someone" not in text
    assert not set("\x1b\u202e") & set(text)
    for row in (line for line in text.splitlines() if line.startswith("| ") and "---" not in line):
        assert row.replace("\\|", "").count("|") == 8


@pytest.mark.slow
def test_a_whole_run_fits_into_a_comment() -> None:
    scores = make_scores([f"encoder-with-a-name-{i}" for i in range(40)], ("a", "b", "c"))
    other = [moved(score, 0.01) for score in scores]
    assert len(scores) > 1000
    assert len(markdown_diff(compare(recorded(scores), recorded(other, "b")))) < 65536


def test_no_change_is_one_sentence_and_no_table() -> None:
    lines = terminal_diff(compare(recorded(BEFORE), recorded(BEFORE, "b"), parse_gates("rsa:0", "--fail")))
    assert "No regression by rsa:0. Of 8 scores in both: 8 same." in lines
    assert not [line for line in lines if "B - A" in line]
