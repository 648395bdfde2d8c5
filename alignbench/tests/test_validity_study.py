"""The study: cells that are kept, taken again and made again, and the tables that are made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.embed import EmbeddingStore
from alignbench.experiments.validity.result import write_result
from alignbench.experiments.validity.study import (
    Cell,
    Member,
    Study,
    largest_difference,
    members,
    read_cell,
    read_cells,
)
from alignbench.experiments.validity.study_cells import OUTCOMES, STUDIED, CellSettings
from alignbench.experiments.validity.study_tables import (
    LABEL,
    links_csv,
    links_markdown,
    study_table,
    study_validities,
    values_csv,
)
from alignbench.zoo.lineages import LINEAGES, SHIPPED, Card

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

TYPES = ("all", "chart", "table")


def make_cell(
    encoder: str, llm: str = "llm-a", drawings: str = "trained-on", card: Card | None = None
) -> Cell:
    rng = np.random.default_rng([*encoder.encode(), *llm.encode(), *drawings.encode()])
    card = card or Card(encoder, ("contrastive", "random")[len(encoder) > 3], "softmax", 10, 10)
    return Cell(
        drawings,
        encoder,
        llm,
        card,
        {"settings": {}, "data": drawings},
        90,
        {t: dict(zip(STUDIED, rng.normal(size=len(STUDIED)).tolist(), strict=True)) for t in TYPES},
        {t: dict(zip(OUTCOMES, rng.normal(size=len(OUTCOMES)).tolist(), strict=True)) for t in TYPES},
        1.0,
        STUDIED,
    )


def cells_of(encoders: list[str], early: bool = False) -> list[Cell]:
    found = []
    for drawings in ("trained-on", "held-out"):
        for llm in ("llm-a", "llm-b"):
            for encoder in encoders:
                found.append(make_cell(encoder, llm, drawings))
                if early and drawings == "trained-on":
                    card = replace(found[-1].card, step=1)
                    found.append(make_cell(f"{encoder}-10", llm, drawings, card))
    return found


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Study, list[str]]]:
    """Makes studies whose cells take no model; they tell what they computed."""

    def make(stop_after: int | None = None, **changed: Any) -> tuple[Study, list[str]]:
        done: list[str] = []

        def compute(self: Study, drawings: str, member: Member, encoder: Any, llm: str, basis: Any) -> Cell:
            if stop_after is not None and len(done) >= stop_after:
                raise KeyboardInterrupt
            done.append(f"{drawings}~{member.name}~{llm}")
            return replace(make_cell(member.name, llm, drawings, member.card), basis=basis)

        monkeypatch.setattr(Study, "compute", compute)
        chosen = [Member(name, name, SHIPPED[name]) for name in ("mini-clip", "random-vit")]
        return Study(tmp_path, chosen, EmbeddingStore(None), **changed), done

    return make


def test_a_study_that_was_killed_goes_on_where_it_was(study: Any) -> None:
    first, done = study(stop_after=3)
    with pytest.raises(KeyboardInterrupt):
        list(first.run())
    assert len(done) == 3
    second, rest = study()
    cells = list(second.run())
    assert (len(cells), len(rest)) == (8, 5)
    assert not set(done) & set(rest)
    assert second.missing() == []


def test_a_cell_of_other_settings_is_made_again(study: Any) -> None:
    list(study()[0].run())
    changed, done = study(n_per_type=7)
    list(changed.run())
    assert len(done) == 8


@pytest.mark.parametrize("damage", ["", "{", '{"drawings": 3}', "[]", "null"])
def test_a_damaged_cell_is_made_again(study: Any, damage: str) -> None:
    one, _ = study()
    (cell, *_) = one.run()
    path = one.path(cell.drawings, cell.encoder, cell.llm)
    path.write_text(damage, encoding="utf-8")
    assert read_cell(path) is None
    again, done = study()
    list(again.run())
    assert done == [cell.name]


def test_a_further_predictor_takes_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [Member("random-vit", "random-vit", SHIPPED["random-vit"])]
    settings = CellSettings(splits=1, elas_splits=0, epochs=1, vlm_epochs=0)

    def cells(*predictors: str) -> list[Cell]:
        store = EmbeddingStore(tmp_path / "embeddings")
        return list(
            Study(
                tmp_path,
                chosen,
                store,
                ["mini-llama"],
                n_per_type=6,
                settings=settings,
                predictors=predictors,
            ).run()
        )

    before = cells("linear_cka")
    monkeypatch.setattr(Study, "compute", lambda *_: pytest.fail("a cell was computed from scratch"))
    after = cells("linear_cka", "rsa")
    assert [cell.predictors for cell in after] == [("linear_cka", "rsa")] * 2
    assert [cell.outcomes for cell in after] == [cell.outcomes for cell in before]
    for old, new in zip(before, after, strict=True):
        assert new.metrics.keys() == old.metrics.keys() == {"all", "chart", "document", "table"}
        assert all(new.metrics[kind]["linear_cka"] == old.metrics[kind]["linear_cka"] for kind in old.metrics)
        assert all("rsa" in values for values in new.metrics.values())
    assert cells("linear_cka", "rsa") == after
    assert cells("rsa") == after
    further = cells("rsa", "c_score")
    [c_score] = {cell.metrics["all"]["c_score"] for cell in further}  # whatever the LLM and the drawings
    assert 0.03 < c_score < 0.3
    for old, new in zip(after, further, strict=True):
        assert new.metrics == {**old.metrics, "all": {**old.metrics["all"], "c_score": c_score}}
    for path in (tmp_path / "cells").iterdir():  # as it was before cells named their predictors
        plain = json.loads(path.read_text())
        path.write_text(json.dumps({name: value for name, value in plain.items() if name != "predictors"}))
    again = cells("linear_cka", "rsa")
    assert [cell.metrics.keys() for cell in again] == [cell.metrics.keys() for cell in after]
    assert [cell.metrics["chart"] for cell in again] == [cell.metrics["chart"] for cell in after]
    assert [cell.predictors for cell in again] == [("linear_cka", "rsa")] * 2


def test_verifying_computes_again_and_leaves_the_disk_alone(study: Any) -> None:
    one, done = study()
    list(one.run())
    path = one.path("held-out", "mini-clip", "mini-qwen")
    plain = json.loads(path.read_text())
    plain["outcomes"]["all"]["image_gain"] += 0.5
    path.write_text(json.dumps(plain))
    kept = read_cell(path)
    assert kept is not None
    done.clear()
    made = one.cell("held-out", one.members[0], "mini-qwen", again=True)
    assert done == [made.name]
    assert largest_difference(kept, made) == pytest.approx(0.5)
    assert largest_difference(made, made) == 0
    assert read_cell(path) == kept


def test_cells_that_have_other_scores_are_infinitely_apart() -> None:
    one = make_cell("a")
    assert largest_difference(one, replace(one, metrics={"all": {}})) == float("inf")


def test_ends_of_trainings_come_before_early_checkpoints(tmp_path: Path) -> None:
    early = Member("clip-a-10", "x", Card("clip-a", "contrastive", "softmax", 1, 10))
    late = Member("mini-clip", "mini-clip", SHIPPED["mini-clip"])
    plan = Study(tmp_path, [early, late], EmbeddingStore(None)).plan()
    assert [member.name for _, member, _ in plan] == ["mini-clip"] * 4 + ["clip-a-10"] * 2
    assert {drawings for drawings, member, _ in plan if member is early} == {"trained-on"}


def test_vlms_are_trained_of_ends_of_trainings_on_the_first_drawings(tmp_path: Path) -> None:
    early = Member("clip-a-10", "x", Card("clip-a", "contrastive", "softmax", 1, 10))
    late = Member("mini-clip", "mini-clip", SHIPPED["mini-clip"])
    study = Study(tmp_path, [early, late], EmbeddingStore(None))
    assert study.settings_of("trained-on", early).vlm_epochs == 0
    assert study.settings_of("held-out", late).vlm_epochs == 0
    assert study.settings_of("trained-on", late) == study.settings
    assert study.settings.vlm_epochs > 0


def test_at_least_ten_lineages_of_all_origins_with_early_checkpoints() -> None:
    assert len(LINEAGES) + len(SHIPPED) >= 14
    trained = [lineage for lineage in LINEAGES.values() if lineage.recipe.steps]
    assert len(trained) >= 10
    assert {lineage.origin for lineage in LINEAGES.values()} == {
        "contrastive",
        "supervised",
        "self-supervised",
        "random",
    }
    for lineage in trained:
        steps = lineage.recipe.steps
        assert list(lineage.checkpoints) == [round(0.1 * steps), round(0.3 * steps), steps]
    assert len({lineage.recipe.seed for lineage in LINEAGES.values()}) == len(LINEAGES)


def test_the_shipped_encoders_are_members_without_any_training(tmp_path: Path) -> None:
    assert [member.name for member in members(tmp_path)] == list(SHIPPED)


def test_a_row_an_encoder_and_a_column_a_cell() -> None:
    cells = cells_of(["a", "bb", "ccc"])
    table = study_table(cells, ["chart", "table"])
    assert table.encoders == ("a", "bb", "ccc")
    assert len(table.columns) == 2 * 2 * 2
    place = table.columns.index("held-out llm-b table")
    cell = next(c for c in cells if c.name == "held-out~bb~llm-b")
    assert table.metrics["rsa"][1, place] == cell.metrics["table"]["rsa"]
    assert table.outcomes["image_gain"][1, place] == cell.outcomes["table"]["image_gain"]


def test_what_is_incomplete_is_left_out_with_the_reason() -> None:
    cells = cells_of(["a", "bb", "ccc", "dddd"])[:-1]
    rest = {name: value for name, value in cells[0].metrics["all"].items() if name != "rsa"}
    cells[0] = replace(cells[0], metrics={"all": rest})
    table = study_table(cells)
    assert table.encoders == ("a", "bb", "ccc")
    assert table.left_out == {
        "dddd": "1 of 4 columns are not computed",
        "rsa": "no value for every encoder and column",
        "elas": "no value for every encoder and column",
        "mir": "no value for every encoder and column",
    }


def test_tables_say_what_they_are_over_and_checkpoints_are_blocks() -> None:
    cells = cells_of(["a", "bb", "ccc", "dddd", "eeeee"], early=True)
    found = {one.name: one for one in study_validities(sorted(cells, key=lambda cell: cell.name))}
    assert next(iter(found)) == "trained-on drawings"
    assert set(found) == {
        "all drawings",
        "trained-on drawings",
        "held-out drawings",
        "by data type",
        "without untrained encoders",
        "with early checkpoints",
    }
    assert found["without untrained encoders"].table.encoders == ("a", "bb", "ccc")
    assert len(found["by data type"].table.columns) == 4
    assert len(found["all drawings"].table.columns) == 4
    with_early = found["with early checkpoints"]
    assert (with_early.lineages, len(with_early.table.encoders)) == (5, 10)
    assert with_early.links[0].correlation.lineages == 5
    assert len(found["all drawings"].table.encoders) == 5


def test_the_result_is_written_as_tables_and_figures(tmp_path: Path) -> None:
    cells = cells_of(["a", "bb", "ccc", "dddd", "eeeee", "ffffff"])
    found = write_result(tmp_path / "result", cells)
    names = {path.name for path in (tmp_path / "result").iterdir()}
    assert {"links.csv", "values.csv", "validity.json"} < names
    assert {f"validity_{kind}.png" for kind in ("matrix", "scatter", "paradox")} < names
    plain = json.loads((tmp_path / "result" / "validity.json").read_text())
    assert plain["about"]["cells"] == len(cells)
    rows = links_csv(found).splitlines()
    assert len(rows) == 1 + sum(len(one.links) for one in found)
    assert len(values_csv(cells).splitlines()) == 1 + len(cells) * len(TYPES)


def test_cells_come_back_from_the_disk_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    cell = make_cell("a")
    (tmp_path / "cells" / "x.json").write_text(json.dumps(cell.to_dict()))
    (tmp_path / "cells" / "y.json").write_text("broken")
    assert read_cells(tmp_path) == [cell]


def test_a_page_has_every_score_with_every_outcome_of_every_table() -> None:
    results = study_validities(cells_of(["a", "bb", "ccc", "dddd", "eeeee", "ffffff"]))
    header, _, *rows, agreed = links_markdown(results).splitlines()
    names = [row.split(" | ")[0].removeprefix("| ") for row in rows]
    assert sorted(names) == sorted([*STUDIED, LABEL])
    assert header.startswith("| score | trained-on drawings: mrr_image_to_text | ")
    assert agreed.startswith("| *columns agree* | ")
    assert {row.count(" | ") for row in rows} == {header.count(" | ")}
    link = next(one.correlation for one in results[0].links if one.correlation.metric == names[0])
    shown = f"{link.pearson:.2f}".replace("0.", ".", 1)
    assert rows[0].split(" | ")[1].removesuffix("\\*") == shown


def test_the_label_is_of_the_training_and_stands_beside_the_scores() -> None:
    table = study_table(cells_of(["a", "bb", "cccc"]))
    assert table.families == ("contrastive", "contrastive", "random")
    assert table.metrics[LABEL][:, 0].tolist() == [1.0, 1.0, 0.0]
