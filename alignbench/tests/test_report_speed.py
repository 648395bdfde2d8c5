"""Speed in the terminal and in the summary: numbers of the right cell, lines that fit, nothing of nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from alignbench.findings import Findings
from alignbench.findings.ranking import in_order
from alignbench.show import summary_markdown, terminal_table
from alignbench.show.speed import conditions, encoder_table, legend, llm_table, metric_sentence, rounds_table
from alignbench.tests.report_fakes import ENCODERS, HOSTILE, LLMS, make_run
from alignbench.tests.speed_fakes import make_speed_scores
from alignbench.text import display_width

if TYPE_CHECKING:
    from alignbench.types import Score

SCORES = make_speed_scores(ENCODERS, LLMS, {})


def test_an_encoder_s_row_has_latency_by_size_and_the_rest_of_the_largest() -> None:
    table = encoder_table(SCORES)
    assert table is not None
    assert table.head == ["encoder", "ms at 1", "4", "16", "images/s", "MiB", "prepare"]
    assert table.rows[1] == ["mini-siglip", "5.0", "11.0", "35.0", "457", "32.0", "1.0"]


def test_an_llm_s_row_has_texts_and_tokens_a_second() -> None:
    table = llm_table(SCORES)
    assert table is not None
    assert table.rows[0] == ["mini-llama", "246", "9,800", "-"]


def test_the_rounds_of_a_timing_have_their_standard_deviation_beside_the_quartiles() -> None:
    rounds = rounds_table(SCORES)
    assert rounds is not None
    assert rounds.head == ["model", "timing", "median ms", "std", "q1", "q3", "rounds"]
    assert rounds.rows[1] == ["mini-clip", "batch size 4", "7.0", "1.4", "6.6", "7.7", "10"]
    assert ["mini-llama", "texts 32", "130", "26.0", "124", "143", "10"] in rounds.rows
    older = [replace(s, params={k: v for k, v in s.params.items() if k != "std"}) for s in SCORES]
    assert rounds_table(older).rows[1][3] == "-"  # type: ignore[union-attr]
    assert rounds_table([replace(s, params={"at": s.params["at"]}) for s in SCORES]) is None
    lines = summary_markdown(Findings.of(SCORES, make_run())).splitlines()
    assert "| `mini-clip` | batch size 4 | 7.0 | 1.4 | 6.6 | 7.7 | 10 |" in lines


def weighed(scores: list[Score], of: str) -> list[Score]:
    """Return the scores with the weights' size beside memory, which is of `of`."""
    known = {"of": of, "weights_mib": 1023.4}
    return [replace(s, params={**s.params, **known}) if s.metric == "peak_memory" else s for s in scores]


def test_the_weights_stand_beside_memory_that_lacks_them() -> None:
    grown = encoder_table(weighed(SCORES, "resident set growth"))
    assert grown is not None
    assert grown.rows[1][5] == "1,023+32.0"
    whole = encoder_table(weighed(SCORES, "allocated, weights included"))
    assert whole is not None
    assert whole.rows[1][5] == "32.0"


def test_metrics_are_told_by_the_cheapest_and_the_dearest_of_those_timed_at_the_most_rows() -> None:
    assert metric_sentence(SCORES) == (
        "2 metrics at n = 5,000: spread takes 12.0 ms, linear_cka 50.0 ms; 1 not timed there"
    )


def test_load_by_others_is_told() -> None:
    assert conditions(SCORES) == "Speed on cpu, 1 thread"
    busy = [replace(s, flags=("busy",), params={**s.params, "load_by_others": 1.25}) for s in SCORES[:3]]
    assert conditions([*busy, *SCORES[3:]]).endswith("other processes kept up to 1.2 of 2 cores busy")


def test_the_legend_says_what_memory_is_of() -> None:
    assert "MiB: resident set growth" in legend(SCORES)
    assert "MiB: weights + resident set growth" in legend(weighed(SCORES, "resident set growth"))
    assert "MiB: allocated, weights included" in legend(weighed(SCORES, "allocated, weights included"))
    assert legend([s for s in SCORES if s.metric == "metric_ms"]) == ""


@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_whatever_the_names(width: int) -> None:
    scores = make_speed_scores(HOSTILE, LLMS, {})
    lines = terminal_table(Findings.of(scores, make_run(HOSTILE, LLMS)), width)
    assert max(map(display_width, lines)) <= width
    assert not any(c in line for line in lines for c in "\x1b\u202e")
    assert any(line.startswith("encoder ") for line in lines)


def test_an_ascii_terminal_is_given_ascii() -> None:
    for line in terminal_table(
        Findings.of(make_speed_scores(HOSTILE, LLMS, {}), make_run()), 80, encoding="ascii"
    ):
        line.encode("ascii")


def test_without_timings_nothing_is_said_of_speed() -> None:
    others = [s for s in SCORES if s.experiment != "speed"]
    assert not any("Speed" in line for line in terminal_table(Findings.of(others, make_run()), 80))
    assert "## Speed" not in summary_markdown(Findings.of(others, make_run()))


def test_the_summary_tells_timings_of_one_model_apart() -> None:
    text = summary_markdown(Findings.of(SCORES, make_run()))
    assert "## Speed" in text
    assert "latency_ms (ms) | batch_size 16 |" in text
    assert "metric_ms (ms) | metric rsa, n 1000 |" in text


def test_the_summary_says_which_models_were_loaded_to_be_timed() -> None:
    run = {
        **make_run().to_dict(),
        "loads": [{"model": "mini-clip", "seconds": 0.4, "purpose": "timing"}],
    }
    assert "mini-clip in 0.4 s to be timed" in summary_markdown(Findings.of(SCORES, run))


def test_batch_sizes_are_in_their_order() -> None:
    shuffled = [s for s in SCORES if s.metric == "latency_ms" and s.encoder == "mini-clip"][::-1]
    assert [s.params["at"]["batch_size"] for s in in_order(shuffled)] == [1, 4, 16]


def test_timings_of_one_model_are_not_the_same_score() -> None:
    assert len({score.key for score in SCORES}) == len(SCORES)
