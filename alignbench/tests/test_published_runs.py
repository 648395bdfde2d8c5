"""A published table as a user judges it: in Python and by command, and filled with our own scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import alignbench as ab
from alignbench.errors import ConfigError, DataError
from alignbench.experiments.validity.published import table_of
from alignbench.experiments.validity.published.fill import specs_of
from alignbench.experiments.validity.published.judge import judge
from alignbench.experiments.validity.study_cells import CellSettings, metric_values
from alignbench.experiments.validity.table import read_blocks
from alignbench.plugin.selection import further_of
from alignbench.show.tables import tables_of
from alignbench.tests.toys import copy_benchmarks, run, scores

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """block,encoder,family,spec,performance_mmmu
A,CLIP,language,mini-clip,30
A,SigLIP,language,mini-siglip,41
A,DINOv2,self-supervised,mini-dinov2,38
A,gone,other,/no/such/folder,52
A,closed,other,,50
B,CLIP,language,mini-clip,30
B,SigLIP,language,mini-siglip,39
B,DINOv2,self-supervised,mini-dinov2,40
B,gone,other,/no/such/folder,51
"""
SPECS = {"CLIP": "mini-clip", "SigLIP": "mini-siglip", "DINOv2": "mini-dinov2"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "own.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_table_is_filled_with_our_scores_and_names_what_it_lacks(table: Path) -> None:
    session = ab.Session(encoders=[*SPECS.values()], llms=["mini-llama"], n_samples=4, table=table, fill=True)
    result = session.run("validity")
    (first,) = [score for score in result.scores if score.metric == "largest_r"]
    others = [score for score in result.scores if score.metric != "largest_r"]
    assert first.llm == "mini-llama"
    assert first.flags == ("not_estimable",)
    assert first.params["encoders"] == [*SPECS]
    assert set(first.params["left_out"]) == {"gone", "closed"}
    assert "/no/such/folder" in first.params["left_out"]["gone"]
    assert first.params["left_out"]["closed"] == "no weights of it are known to be public"
    assert first.params["filled"]["CLIP"]["weights"] == "embedded"
    (told,) = tables_of(result.scores)
    assert "With our scores for mini-llama: own.csv (3 encoders in 2 blocks)." in told.sentences[0]
    assert "predict an outcome: ρ 0.80 (mmmu). Not scored: gone, closed." in told.sentences[0]
    assert told.sentences[1].startswith("2 encoders of the table could not be scored: gone: ")
    assert str(result).replace("\n ", "").count("could not be scored") == 1
    # the ceiling takes all encoders that two blocks share, also those without scores
    assert [(s.metric, s.n) for s in others if s.metric == "ceiling"] == [("ceiling", 4)]
    # the column is what the metric says of the same encoders in a run of their own
    pairs = {name: session.pair(spec, "mini-llama") for name, spec in SPECS.items()}
    settings = CellSettings(width=min(pair.x.dim for pair in pairs.values()))
    own = {name: metric_values(pair, settings) for name, pair in pairs.items()}
    for score in others:
        if score.metric == "table_r" and score.params["score"] == "linear_cka":
            outcome = {"A": [30, 41, 38], "B": [30, 39, 40]}[score.params["block"]]
            expected = _r([own[name]["linear_cka"] for name in SPECS], outcome)
            assert score.value == pytest.approx(expected, abs=1e-9)
            break
    else:
        pytest.fail("no column of linear_cka")


@pytest.mark.slow
def test_the_plan_names_the_encoders_of_a_table_that_is_filled(project: pytest.Pytester, table: Path) -> None:
    copy_benchmarks(project, "test_validity.py")
    filled = ("--align-table", str(table), "--align-fill", "--align-no-embedding-cache")
    result = run(project, "benchmarks/test_validity.py", "--n-samples=4", *filled)
    result.assert_outcomes(passed=1, deselected=5)
    plan = [line for line in result.outlines if line[:7].strip() in {"model", "note", "plan"}]
    models = [line.split()[1].removesuffix(":") for line in plan if line.startswith("model")]
    assert models == [
        "toy-llm",
        "row-1-CLIP",
        "row-2-SigLIP",
        "row-3-DINOv2",
    ]
    assert all("12 to embed" in line for line in plan if line.startswith("model"))
    assert plan[-2].startswith(
        "note   1 of 4 further encoders can't be had: row-4-gone. The first: there is no"
    )
    assert plan[-1].startswith("plan   1 test; download nothing; ")


def test_a_part_declares_the_encoders_that_it_runs_beside_the_selected_ones(table: Path) -> None:
    tests = ["test_validity.py::test_filled_table[mini-llama]", "test_cka.py::test_cka[mini-clip-mini-llama]"]
    chosen = {"encoders": ["mini-clip"], "llms": ["mini-llama"]}
    filled = ab.Session(**chosen, table=table, fill=True)  # type: ignore[arg-type]
    assert further_of(tests, filled.options) == (
        "row-1-CLIP=mini-clip",
        "row-2-SigLIP=mini-siglip",
        "row-3-DINOv2=mini-dinov2",
        "row-4-gone=/no/such/folder",
    )
    assert further_of(tests[1:], filled.options) == ()
    assert further_of(tests, ab.Session(**chosen).options) == ()  # type: ignore[arg-type]
    assert filled.further("row-1-CLIP=mini-clip") is filled.further("row-1-CLIP=mini-clip")


def test_blocks_agree_on_the_weights_of_an_encoder(table: Path) -> None:
    # a block may leave the weights out that another one names
    table.write_text(TABLE.replace("B,CLIP,language,mini-clip", "B,CLIP,language,"), encoding="utf-8")
    assert specs_of(read_blocks(table, scored=False), "own.csv")["CLIP"] == "row-1-CLIP=mini-clip"
    table.write_text(TABLE.replace("B,CLIP,language,mini-clip", "B,CLIP,language,clip"), encoding="utf-8")
    with pytest.raises(DataError, match="two different weights for 'CLIP', 'mini-clip' and 'clip'"):
        specs_of(read_blocks(table, scored=False), "own.csv")


def test_blocks_without_scores_that_share_no_encoders_say_nothing(table: Path) -> None:
    about = table_of(table)
    assert judge(about, about.blocks()).ceilings
    table.write_text(TABLE.replace("B,", "B,other "), encoding="utf-8")
    with pytest.raises(DataError, match="no column begins with 'metric_', so nothing can be correlated"):
        judge(about, about.blocks())


def _r(x: list[float], y: list[int]) -> float:
    import numpy as np

    return float(np.corrcoef(x, y)[0, 1])


@pytest.mark.slow
def test_a_table_needs_no_model_and_the_run_keeps_its_own_part_without_one() -> None:
    from alignbench.experiments.validity import EXPERIMENT

    def parts(**options: object) -> list[str]:
        session = ab.Session(encoders=["mini-clip"], llms=["mini-llama"], **options)  # type: ignore[arg-type]
        return [part.name for part in EXPERIMENT.parts if part.when(session.options)]

    assert parts() == ["validity"]
    assert parts(table="law") == ["table"]
    assert parts(table="law", fill=True) == ["filled_table"]
    session = ab.Session(encoders=["mini-clip"], llms=["mini-llama"], table="law")
    result = session.run("validity")
    assert not session.loads
    assert {score.metric for score in result.scores} == {"largest_r", "table_r", "claim_q2"}
    assert {score.dataset.partition("@")[0] for score in result.scores} == {"law"}


def test_an_option_that_can_not_be_meant_is_told(table: Path) -> None:
    with pytest.raises(ConfigError, match="fill: name the table whose encoders are scored, by table"):
        ab.Session(encoders=["mini-clip"], llms=["mini-llama"], fill=True)
    with pytest.raises(ConfigError, match="'lawn' is neither a published table"):
        ab.Session(encoders=["mini-clip"], llms=["mini-llama"], table="lawn")


def test_a_table_that_is_broken_is_told_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_text("encoder,family,metric_a,performance_b\na,f,1,2\nb,f,one,2\nc,f,3,1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"table: broken\.csv: line 3") as told:
        ab.Session(table=path)
    assert "'one'" in str(told.value)


@pytest.mark.slow
def test_the_command_ends_with_what_the_table_says(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_validity.py")
    result = run(project, "benchmarks/test_validity.py", "--align-table=law")
    result.assert_outcomes(passed=1, deselected=5)
    result.stdout.fnmatch_lines(
        [
            "Which score predicts performance? Law of Vision Representation (13 encoders).*",
            "report: *",
        ]
    )
    assert "plan " not in result.stdout.str()  # no model is looked for
    kept = scores(project)
    assert len(kept) == 57
    (folder,) = (project.path / "reports").glob("2*")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "What published tables say" in page
    assert "disputed in issue 12" in page
    assert "## Law of Vision Representation" in (folder / "summary.md").read_text(encoding="utf-8")
