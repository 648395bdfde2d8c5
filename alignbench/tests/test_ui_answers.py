"""What the page says before a run, and its answer after one that ranks no encoders."""

from __future__ import annotations

import html
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.plots.declared import caption_of
from alignbench.tests.attention_fakes import make_attention
from alignbench.tests.docs_blocks import ROOT
from alignbench.tests.docs_commands import checked
from alignbench.tests.report_fakes import make_result, make_run, make_score, make_scores
from alignbench.ui.before import OWN, to_come, toy_notice
from alignbench.ui.headline import counted, headline
from alignbench.ui.menu import Menu
from alignbench.ui.results import view_of
from alignbench.ui.tables import pair_table
from alignbench.ui.tabs import tabs

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.types import Score


def speed(encoder: str, batch: int, value: float) -> Score:
    return make_score(
        "throughput",
        value,
        encoder=encoder,
        llm=None,
        experiment="speed",
        variant=f"batch_size {batch}",
        params={"at": {"batch_size": batch}},
    )


def of(metric: str, variant: str, **values: float | None) -> list[Score]:
    return [
        make_score(metric, value, encoder=encoder, llm=None, variant=variant)
        for encoder, value in values.items()
    ]


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (
            [speed("a", 1, 900.0), speed("b", 1, 50.0), speed("a", 8, 400.0), speed("b", 8, 1234.0)],
            "Fastest: b, 1,234 images per second, 8 images at a time.",
        ),
        ([speed("a", 1, 90.0)], "Measured: a, 90 images per second, one image at a time."),
        (
            [*of("trustworthiness", "tsne", a=0.9, b=0.95), *of("trustworthiness", "pca", a=0.8, b=0.7)],
            "Most faithful picture: b by t-SNE, trustworthiness 0.950 "
            "(1 if neighbours in the picture are neighbours in the space).",
        ),
        (
            [*of("localisation_auc", "raw", a=0.99), *of("localisation_auc", "value", a=0.6, b=0.7, c=None)],
            "Best at finding what a text names: b, AUC 0.700 (0.5 by chance).",
        ),
        (
            of("localisation_auc", "CLS attention, any object", a=0.4, b=0.3),
            "Attention that finds objects best: a, AUC 0.400 (0.5 by chance).",
        ),
        (of("localisation_auc", "value", a=None), ""),
        ([], ""),
    ],
)
def test_a_run_without_a_ranking_has_an_answer(scores: list[Score], said: str) -> None:
    assert headline(scores, str) == said


def test_scores_are_counted_only_where_nothing_else_can_be_said() -> None:
    scores = of("localisation_auc", "value", a=None, b=None)
    assert counted(scores) == "2 scores, 2 of them not applicable (the table says why)."
    assert counted(of("x", "", a=1.0)) == "1 score."


def test_the_example_before_a_run_is_that_of_the_reports() -> None:
    (ranked,) = (tab for tab in tabs() if tab.experiment == "compare")
    rows = re.findall(r"<tr>((?:<td>.*?</td>)+)</tr>", to_come(ranked))
    shown = [re.findall(r"<td>(.*?)</td>", row) for row in rows]
    summary = (ROOT / "reports" / "example" / "summary.md").read_text(encoding="utf-8")
    section = summary.partition("## `mini-llama`: encoders by")[2].partition("\n## ")[0]
    cells = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in section.splitlines()]
    ranking = [[row[0], row[1], row[3], row[4], row[6]] for row in cells if "".join(row[:1]).isdigit()]
    assert shown == ranking
    assert len(shown) == 4


@pytest.mark.parametrize("tab", tabs(), ids=lambda tab: tab.experiment)
def test_each_tab_says_which_figures_will_come(tab: Any) -> None:
    said = to_come(tab)
    assert all(f"<li>{html.escape(caption_of(name).title)}</li>" in said for name in tab.figures)
    assert ("What an answer looks like" in said) == (tab.experiment == "compare")


@pytest.mark.slow
def test_toys_are_told_if_they_are_chosen_and_the_command_for_others_works() -> None:
    assert Menu().choices().toys
    assert not Menu({"encoders": ["clip"], "llms": ["llama"]}).choices().toys
    assert OWN in toy_notice(toys=True)
    assert toy_notice(toys=False) == ""
    checked(shlex.split(OWN), ())


def test_a_wrong_value_is_named_as_the_page_names_it() -> None:
    with pytest.raises(Exception, match=r"^Samples per type: expected at least") as caught:
        Menu().options({"n_samples": -1})
    assert "--" not in str(caught.value)


def test_text_from_data_is_escaped_in_the_table_of_pairs(tmp_path: Path) -> None:
    scores = [
        make_score("projection_mse", 0.5, encoder="<b>", llm="y"),
        make_score("linear_cka", None, encoder="<b>", llm="y", reason="<i>"),
    ]
    table = pair_table(
        scores, lambda name: f"[{name}]".replace("<", "&lt;"), lambda t: str(t).replace("<", "&lt;")
    )
    assert "<b>" not in table
    assert "<i>" not in table


@pytest.mark.slow
def test_a_title_that_is_in_the_picture_is_not_seen_twice(tmp_path: Path) -> None:
    options = Menu().options({"encoders": ["mini-clip"], "llms": ["mini-llama"]})
    result = make_result(make_attention(["mini-clip"])[0], make_run())
    view = view_of(
        result, ["attention_localisation"], folder=tmp_path, name="x", options=options, command="c"
    )
    assert view.figures.count("<h2") == view.figures.count('<h2 class="ab-unseen">') == 1
    result = make_result(make_scores(), make_run())
    view = view_of(result, ["cka_comparison"], folder=tmp_path, name="x", options=options, command="c")
    assert "<h2>Does the similarity measure matter?</h2>" in view.figures
