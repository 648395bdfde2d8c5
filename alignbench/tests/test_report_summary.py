"""summary.md: the answer first, nothing in data is markup, all that was dropped is said."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.findings import Findings
from alignbench.show import summary_markdown
from alignbench.show.text import block, code, markdown
from alignbench.tests.report_fakes import (
    HOSTILE,
    LLMS,
    make_model,
    make_run,
    make_score,
    make_scores,
    without_interval,
)

if TYPE_CHECKING:
    from alignbench.types import Run, Score


def summary(scores: list[Score], run: Run | None = None, **keywords: Any) -> str:
    return summary_markdown(Findings.of(scores, run or make_run()), **keywords)


def outside_code(text: str) -> str:
    """Return the text without blocks and spans of code, in which nothing acts on the reader."""
    blocks = re.sub(r"^(`{3,})\n.*\n\1$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]+`", "", blocks)


def cells(row: str) -> list[str]:
    return re.split(r"(?<!\\)\|", row)


def test_the_answer_comes_first() -> None:
    lines = summary(make_scores()).splitlines()
    assert lines[0] == "# Which encoder fits which LLM?"
    assert lines[2].startswith(
        "**For `mini-llama`:** Best: `mini-clip` (calibrated_cka 0.450, n = 90, "
        "95% interval 0.390 to 0.510, shuffled pairs 0.000, p = 0.001)."
    )


def test_the_command_for_the_best_score_is_given() -> None:
    command = "pytest benchmarks/ -k calibrated_cka --encoders mini-clip --llms mini-qwen"
    lines = summary(make_scores()).splitlines()
    at = lines.index(command)
    assert lines[at - 3 : at + 2] == [
        "To compute the first of these scores alone:",
        "",
        "```",
        command,
        "```",
    ]


def test_every_table_row_has_the_columns_of_its_head() -> None:
    scores = [*make_scores(HOSTILE, LLMS), make_score("rsa", None, "a|b", reason="x | y\nz | `w`")]
    width = 0
    for line in summary(scores, make_run(HOSTILE)).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        width = width or len(cells(line))
        assert len(cells(line)) == width, line


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_reasons_and_captions_stay_text(hostile: str) -> None:
    run = replace(
        make_run((hostile,), (hostile,)),
        command=hostile,
        warnings=(hostile,),
        dataset={"name": hostile, "dropped": [{"where": hostile, "reason": hostile}]},
    )
    scores = [
        make_score(
            "calibrated_cka", 0.4, hostile, hostile, flags=(hostile,), experiment=hostile, data_type=hostile
        ),
        make_score("calibrated_cka", None, "b", hostile, reason=hostile, data_type=hostile),
    ]
    text = outside_code(summary(scores, run, problems=[hostile], figures=[hostile]))
    allowed = re.compile(r"</?(code|details|summary)>|<!-- -->")
    assert "<" not in allowed.sub("", text)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "://" not in text
    assert not re.search(r"(^|[^\w])@\w", text)


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        ("<script>", "&lt;script&gt;"),
        ("a|b", "a\\|b"),
        ("_x_ *y* `z`", "\\_x\\_ \\*y\\* \\`z\\`"),
        ("[a](javascript:1)", "\\[a\\](javascript:1)"),
        ("line\nbreak", "line break"),
        ("thanks @someone", "thanks @<!-- -->someone"),
        ("fixes #12", "fixes #<!-- -->12"),
        ("sample_data@1a2b", "sample_data@1a2b"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_markdown_is_escaped(raw: str, escaped: str) -> None:
    assert markdown(raw) == escaped


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("test_cka[a-b]", "`test_cka[a-b]`"),
        ("*a* @b #1 x_", "`*a* @b #1 x_`"),
        ("", "<code></code>"),
        ("a|b", "<code>a\\|b</code>"),
        ("`a`", "<code>\\`a\\`</code>"),
        ("<b>", "<code>&lt;b&gt;</code>"),
    ],
)
def test_code_can_be_copied_from_the_file_as_it_is(raw: str, shown: str) -> None:
    assert code(raw) == shown


def test_a_command_in_a_block_ends_only_the_block() -> None:
    assert block("echo ```` `a`") == ["`````", "echo ```` `a`", "`````"]


def test_ties_and_missing_intervals_are_said() -> None:
    short = [without_interval(make_score("calibrated_cka", v, e)) for e, v in (("a", 0.4), ("b", 0.3))]
    assert "There is no interval, so ties are unknown" in summary(short)
    tied = [
        make_score("calibrated_cka", 0.40, "a", deletions=(0.3, 0.5, 0.4, 0.4)),
        make_score("calibrated_cka", 0.39, "b", deletions=(0.5, 0.28, 0.39, 0.39)),
    ]
    assert "`a` or `b` (too close to call). Top score: `a` (" in summary(tied)


def test_flags_are_explained_where_they_are_used() -> None:
    text = summary(make_scores())
    assert "- saturated: so near its ceiling" in text
    assert "- fidelity" not in text


def test_dropped_rows_are_counted_by_reason() -> None:
    dropped = [{"where": f"labels.jsonl:{i}", "reason": "image not found"} for i in range(5)]
    dropped += [{"where": "labels.jsonl:9", "reason": "not JSON"}]
    run = replace(make_run(), dataset={"name": "d", "dropped": dropped})
    text = summary(make_scores(), run)
    assert "## 6 rows could not be used" in text
    assert "- 5 times: image not found (`labels.jsonl:0, labels.jsonl:1, labels.jsonl:2`, ...)" in text


def test_run_is_described() -> None:
    text = summary(make_scores())
    for fact in (
        "pytest benchmarks/ -k coral",
        "took 42 s",
        "mini-clip in 0.4 s",
        "0123456789ab",
        "numpy 2.4.6",
    ):
        assert fact in text
    assert "the cache was of another version" in text


def test_settings_that_a_model_does_not_have_are_left_out() -> None:
    model = replace(make_model("mini-clip"), params={"pooling": "cls", "layer": None, "l2": False})
    text = summary(make_scores(), make_run(models=[model]))
    assert "| pooling cls, l2 False |" in text


def test_stand_ins_are_called_so_everywhere() -> None:
    model = make_model("mini-clip", stand_in_for="clip")
    scores = [make_score("calibrated_cka", 0.4, model.label, weights={model.label: "stand-in"})]
    text = summary(scores, replace(make_run(models=[model]), loads=()))
    assert text.count("mini-clip (stand-in for clip)") == text.count("mini-clip ") - text.count(
        "models/mini-clip "
    )
    assert "- stand-in: a built-in toy model stood in" in text


def test_a_killed_run_is_summed_up_from_its_scores() -> None:
    text = summary_markdown(Findings.of(make_scores(), {}))
    assert "The run did not finish" in text
    assert "mini-clip" in text


@pytest.mark.slow
def test_a_large_run_fits_a_comment_and_names_what_is_left_out() -> None:
    encoders = [f"encoder-{i:02}" for i in range(16)]
    text = summary(make_scores(encoders, LLMS), make_run(encoders))
    assert 40_000 < len(text) < 65_536
    assert "Left out to keep this file as short as a comment may be" in text
    shown = set(re.findall(r"<summary>(\w+): \d+ scores", text))
    named = set(re.findall(r"(\w+) \(\d+ scores\)", text))
    assert shown | named == {score.experiment for score in make_scores()}
    assert not shown & named


def test_warnings_stand_before_the_scores() -> None:
    text = summary(make_scores(), problems=["a figure could not be drawn"])
    order = [
        "For `mini-llama",
        "1 row could not be used",
        "a figure could not",
        "Every score",
        "<details><summary>cka: ",
    ]
    places = [text.index(said) for said in order]
    assert places == sorted(places)


def test_nothing_to_rank_is_said() -> None:
    assert "nothing to rank" in summary([make_score("spread", 0.3, "a", None, experiment="coral")])
