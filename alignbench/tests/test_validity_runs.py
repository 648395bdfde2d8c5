"""The validity benchmark as a user runs it: its default, and a tiny study that goes on after a kill."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from alignbench.plugin.study import asked_for
from alignbench.tests import tiny_models as tiny
from alignbench.tests.toys import copy_benchmarks, run, scores

if TYPE_CHECKING:
    from pathlib import Path

FILE = "benchmarks/test_validity.py"
TINY = ("--n-samples=5", "--align-epochs=1", "--align-splits=2", "-p", "no:randomly", "-p", "no:xdist")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    eyes = [tmp_path_factory.mktemp(f"eye{i}") for i in range(3)]
    built = [tiny.clip(eyes[0]), tiny.siglip(eyes[1]), tiny.dinov2(eyes[2])]
    encoders = ",".join(f"eye{i}={folder}" for i, folder in enumerate(built))
    return f"--encoders={encoders}", f"--llms=mouth={tiny.llama(tmp_path_factory.mktemp('mouth'))}"


def test_the_default_run_says_that_so_few_encoders_can_t_tell(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_validity.py")
    result = run(project, FILE)
    result.assert_outcomes(passed=1, deselected=5)
    (score,) = scores(project).values()
    assert (score["experiment"], score["status"]) == ("validity", "not_applicable")
    assert score["reason"] == "not estimable: 2 encoders, 2 lineages; at least 5 lineages are needed"


def test_a_tiny_study_is_kept_goes_on_and_is_told(models: tuple[str, str], project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_validity.py")
    args = (FILE, "-m", "study", *models, *TINY, "--align-study-dir=kept")
    first = run(project, *args, "-k", "eye0 or eye1")
    first.assert_outcomes(passed=2, deselected=5)
    cells = project.path / "kept" / "cells"
    before = {path.name: path.stat().st_mtime_ns for path in cells.iterdir()}
    assert set(before) == {f"{d}~eye{i}~mouth.json" for d in ("trained-on", "held-out") for i in range(2)}
    broken = cells / "held-out~eye1~mouth.json"
    kept = json.loads(broken.read_text())
    broken.write_text(broken.read_text()[:200])  # as a machine that was switched off leaves it
    run(project, *args).assert_outcomes(passed=4, deselected=3)
    after = {path.name: path.stat().st_mtime_ns for path in cells.iterdir()}
    assert len(after) == 6
    assert {name for name in before if before[name] != after[name]} == {broken.name}
    again = json.loads(broken.read_text())
    assert (again["metrics"], again["outcomes"]) == (kept["metrics"], kept["outcomes"])
    _check_result(project.path / "kept" / "result")


def _check_result(folder: Path) -> None:
    told = json.loads((folder / "validity.json").read_text())
    primary = told["tables"][0]
    assert primary["name"] == "trained-on drawings"
    assert primary["lineages"] == 3
    assert primary["statement"].startswith("Not estimable: 3 lineages, it takes 5")
    assert primary["columns"] == ["trained-on mouth all"]
    assert {table["name"] for table in told["tables"]} >= {"held-out drawings", "all drawings"}
    assert (folder / "validity_matrix.png").stat().st_size > 0
    assert not (folder / "validity_paradox.png").exists()


@pytest.mark.parametrize(
    ("expression", "keyword", "arguments", "asked"),
    [
        ("study", "", ["benchmarks/"], True),
        ("validity", "", ["benchmarks/"], False),
        ("", "test_study", [], True),
        ("", "", ["benchmarks/test_validity.py::test_study"], True),
        ("", "", ["/home/me/study/benchmarks/test_validity.py"], False),
        ("", "", ["/home/me/study/benchmarks"], False),
        ("validity and not study", "", [], True),
    ],
)
def test_what_takes_hours_runs_only_where_it_is_asked_for(
    expression: str, keyword: str, arguments: list[str], asked: bool
) -> None:
    assert asked_for("study", expression, keyword, arguments) == asked
