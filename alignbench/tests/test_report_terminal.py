"""The table at the end of a run: 80 columns, whatever the names; nothing in data acts on the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alignbench.findings import FLAGS, Findings
from alignbench.findings.numbers import probability
from alignbench.show import terminal_table
from alignbench.show.text import encodable, pad, wrap
from alignbench.tests.report_fakes import (
    HOSTILE,
    LLMS,
    make_model,
    make_run,
    make_score,
    make_scores,
    without_interval,
)
from alignbench.text import clean, cut, display_width, fit, number
from alignbench.types import Null

WIDE = "비전-인코더-한국어-이름이-아주-길다"


def test_golden_table_of_a_plain_run() -> None:
    null = Null("exact", 0.0, 0.02, 20.0, 0.001, 999, 0.01, 0.02)
    scores = [
        make_score("calibrated_cka", 0.45, "mini-clip", null=null),
        make_score("calibrated_cka", 0.36, "mini-siglip", null=null, flags=("conservative",)),
        make_score(
            "calibrated_cka", 0.004, "random-vit", null=replace(null, p=0.4), weights={"random-vit": "random"}
        ),
        make_score("calibrated_cka", None, "mini-dinov2"),
    ]
    assert terminal_table(Findings.of(scores, make_run()), report="reports/x") == [
        "LLM mini-llama: ranked by calibrated_cka (higher is better), n = 90",
        "   encoder      value     95% interval  best   null      p  in type  flags",
        "1  mini-clip    0.450   [0.390, 0.510]  >.99  0.000  0.001    0.020",
        "2  mini-siglip  0.360   [0.300, 0.420]  <.01  0.000  0.001    0.020  c",
        "3  random-vit   0.004  [-0.056, 0.064]  <.01  0.000  0.400    0.020  R",
        "-  mini-dinov2    n/a                -     -      -      -        -",
        "Best: mini-clip. Every other encoder is worse by more than chance (paired",
        "differences, studentised range). Not ranked: mini-dinov2: zero variance in x.",
        "",
        "4 scores of 1 metric: cka 4; 1 not applicable, with reasons in the report",
        "best = the probability of being the best of these; null = the mean over shuffled",
        "  pairs; p = how often shuffled pairs do as well; in type = p with pairs",
        "  shuffled only within each data type",
        "c = conservative: the interval comes from refits without one of 10 blocks of",
        "    groups: wider than necessary",
        "R = control: untrained; where it ranks high, the ranking says little",
        "report: reports/x",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp437", "no-such-encoding"])
def test_no_line_is_wider_than_the_terminal(width: int, encoding: str) -> None:
    encoders = (*HOSTILE, WIDE, "x" * 300, "a")
    scores = make_scores(encoders, (*LLMS, HOSTILE[3], "y" * 200))
    scores += [make_score("calibrated_cka", None, "n/a " * 20, reason="because " * 60)]
    lines = terminal_table(Findings.of(scores, make_run(encoders)), width, encoding=encoding)
    assert max(display_width(line) for line in lines) <= width


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_every_line_can_be_written_to_the_stream(encoding: str) -> None:
    for line in terminal_table(
        Findings.of(make_scores(HOSTILE, LLMS), make_run(HOSTILE)), report="r", encoding=encoding
    ):
        assert line.encode(encoding).decode(encoding) == line


def test_control_characters_of_data_are_gone() -> None:
    nasty = "\x1b[2J\x1b]0;title\x07a\x00b\u202ec\u200bd\r\ne"
    scores = [make_score("calibrated_cka", None, nasty, nasty, reason=nasty, flags=(nasty,), data_type=nasty)]
    for line in terminal_table(Findings.of(scores, make_run(())), report=nasty):
        assert line.isprintable()


@pytest.mark.parametrize("tiny", [-2.1e-04, 3e-17, -0.0])
def test_what_decimals_hide_beside_larger_numbers_is_none(tiny: float) -> None:
    null = Null("exact", tiny, 0.02, 20.0, 0.001, 999, 0.01, 0.02)
    scores = [
        make_score("calibrated_cka", value, name, null=null) for name, value in (("a", 0.4), ("b", tiny))
    ]
    text = "\n".join(terminal_table(Findings.of(scores, make_run())))
    assert "e-" not in text.split("\n\n")[0]
    assert "-0.000" not in text
    small = [make_score("coral_distance", value, name) for name, value in (("a", 2e-5), ("b", 3e-5))]
    assert "2.0e-05" in "\n".join(terminal_table(Findings.of(small, make_run())))


def test_columns_that_say_nothing_are_left_out() -> None:
    lines = terminal_table(Findings.of([without_interval(make_score("calibrated_cka", 0.4))], make_run()))
    assert lines[1].split() == ["encoder", "value", "flags"]


def test_wide_characters_keep_columns_aligned() -> None:
    scores = [make_score("calibrated_cka", 0.4, "가나다"), make_score("calibrated_cka", 0.3, "abc")]
    rows = terminal_table(Findings.of(scores, make_run(())))[2:4]
    assert {display_width(row) for row in rows} == {display_width(rows[0])}


def test_a_long_name_does_not_push_numbers_out() -> None:
    null = Null("exact", 0.0, 0.02, 20.0, 0.001, 999, 0.01, 0.02)
    scores = [make_score("calibrated_cka", 0.4, name, null=null) for name in ("x" * 300, WIDE * 9)]
    for row in terminal_table(Findings.of(scores, make_run(())))[2:4]:
        assert row.split()[2:] == ["0.400", "[0.340,", "0.460]", "0.50", "0.000", "0.001", "0.020"]


def test_stand_ins_are_named_in_full() -> None:
    models = [make_model(f"mini-{m}", stand_in_for=m) for m in ("clip", "siglip")]
    null = Null("exact", 0.0, 0.02, 20.0, 0.001, 999, 0.01, 0.02)
    scores = [
        make_score("calibrated_cka", 0.4, m.label, null=null, weights={m.label: "stand-in"}) for m in models
    ]
    text = "\n".join(terminal_table(Findings.of(scores, make_run(models=models))))
    assert "mini-clip (stand-in for clip)" in text
    assert "(stand-in for siglip)" in text
    assert "* = stand-in" in text


def test_models_keep_the_order_of_the_selection_whatever_came_first() -> None:
    scores = make_scores()
    assert terminal_table(Findings.of(scores, make_run())) == terminal_table(
        Findings.of(scores[::-1], make_run())
    )


def test_without_a_ranking_metric_the_scores_are_still_shown() -> None:
    lines = terminal_table(Findings.of([make_score("rsa", 0.31), make_score("rsa", 0.62, "b")], make_run()))
    assert lines[0].startswith("LLM mini-llama: not ranked; rsa (higher is better)")
    assert [line.split()[1:3] for line in lines[2:4]] == [["b", "0.620"], ["mini-clip", "0.310"]]
    assert any("none of calibrated_cka" in line for line in lines)


def test_scores_of_one_side_only_give_no_table() -> None:
    lines = terminal_table(
        Findings.of([make_score("spread", 0.3, "a", None, experiment="coral")], make_run())
    )
    assert "nothing to rank" in " ".join(lines)


def test_no_score_no_table() -> None:
    assert terminal_table(Findings.of([], make_run())) == []


def test_flags_have_one_letter_each_and_a_sentence() -> None:
    letters = [flag.letter for flag in FLAGS.values()]
    assert len(set(letters)) == len(letters)
    assert all(len(flag.letter) == 1 and len(flag.meaning) > 20 for flag in FLAGS.values())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.4, "0.400"),
        (-0.0123, "-0.012"),
        (1e-7, "1.0e-07"),
        (12345.6, "1.2e+04"),
        (0.0, "0.000"),
        (None, "n/a"),
    ],
)
def test_numbers_are_short_and_never_hidden(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_small_p_is_not_zero() -> None:
    assert [probability(p) for p in (1e-5, 0.001, None)] == ["<.001", "0.001", "-"]


@pytest.mark.parametrize("width", range(1, 14))
def test_shortened_text_fits_and_keeps_both_ends(width: int) -> None:
    name = "가나clip-vit-large라"
    assert display_width(fit(name, width)) <= width
    assert display_width(cut(name, width)) <= width
    if width >= 8:
        assert fit(name, width)[0] == "가"
        assert fit(name, width)[-1] == "라"


def test_pad_counts_columns() -> None:
    assert (pad("가", 4), pad("가", 4, ">")) == ("가  ", "  가")


def test_wrap_breaks_at_words_and_cuts_endless_ones() -> None:
    lines = wrap("one two " + "z" * 40 + " three", 10, "  ")
    assert lines[0] == "one two"
    assert max(map(display_width, lines)) <= 10


def test_clean_takes_away_whole_escape_sequences() -> None:
    assert clean("\x1b[1;31mred\x1b[0m \x1b]0;title\x07and\x1b[2J plain") == "red and plain"


def test_clean_keeps_ordinary_text() -> None:
    assert clean("한국어 naïve  –  x\u00a0y") == "한국어 naïve – x y"


def test_encodable_keeps_what_the_stream_can_say() -> None:
    assert encodable("a…b é", "latin-1") == "a...b é"
    assert encodable("한", "ascii") == "?"
