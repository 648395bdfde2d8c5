"""An experiment is declared once: the page in the docs to the letter, in a project of somebody else."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import alignbench as ab
from alignbench import experiments as declared
from alignbench import paths
from alignbench.cli.listing import experiments as listed
from alignbench.errors import ConfigError, InputError, UnknownNameError
from alignbench.experiments import EXPERIMENTS, Experiment, Part, experiments, needing
from alignbench.experiments.base import NotApplicableError
from alignbench.findings import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alignbench.experiments import Bench
    from alignbench.types import Pair, Score

PAGE = (Path(__file__).parents[1] / "docs" / "experiments.md").read_text(encoding="utf-8")
[CONFTEST] = re.findall(r"```python\n# conftest.py\n(.*?)```", PAGE, re.DOTALL)
[EXAMPLE] = re.findall(r"```python\n(import alignbench as ab\n.*?)```", PAGE, re.DOTALL)
SMALL = ("--encoders", "mini-clip", "--llms", "mini-llama", "--n-samples", "4", "--permutations", "19")


def command(folder: Path, *words: str) -> str:
    line = [sys.executable, "-m", "alignbench", *words]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of somebody else, with the conftest.py of the page and nothing else."""
    monkeypatch.setenv("PYTHONPATH", str(paths.benchmarks().parent))
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_an_experiment_of_thirty_lines_has_all_that_ours_have(outside: Path) -> None:
    assert len(CONFTEST.splitlines()) <= 30
    assert "--subset N" in command(outside, "stability", "--help")
    assert re.search(r"stability +yes +do a few samples tell", command(outside, "list", "experiments"))
    said = command(outside, "stability", *SMALL, "--subset", "6", "--run-name", "it")
    assert "-m stability --encoders=mini-clip" in said
    assert "plan   2 tests" in said
    (folder,) = outside.glob("reports/*-it")
    _, scores = read_run(folder)
    assert {(score.experiment, score.metric, score.n) for score in scores} == {
        ("stability", "linear_cka", 6),
        ("stability", "mutual_knn", 6),
    }
    assert {score.artifact for score in scores} == {"artifacts/subset-mini-clip~mini-llama.npz"}
    assert all("test_stability_subset[" in str(score.reproduce) for score in scores)
    assert (folder / str(scores[0].artifact)).is_file()
    assert (folder / "stability_bars.png").is_file()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Do a few samples tell as much as all?" in page
    assert "stability" in (folder / "summary.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_experiment_of_a_package_has_a_marker_a_test_and_a_tab(outside: Path) -> None:
    (outside / "conftest.py").rename(outside / "mine.py")
    info = outside / "mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n", encoding="utf-8")
    points = "[alignbench.experiments]\nstability = mine:STABILITY\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    assert "stability" in command(outside, "list", "experiments")
    code = (
        "from alignbench.ui.tabs import tabs\n"
        "[tab] = [tab for tab in tabs() if tab.experiment == 'stability']\n"
        "assert tab.controls == ('encoders', 'llms', 'data', 'subset'), tab\n"
        "assert tab.figures == ('stability_bars',), tab\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=outside, check=True)
    words = ["-m", "stability", "--collect-only", "-q", "-p", "no:cacheprovider"]
    line = [sys.executable, "-m", "pytest", str(paths.benchmarks()), *words]
    done = subprocess.run(line, cwd=outside, capture_output=True, text=True, check=False)
    assert "test_others.py::test_stability_subset[linear_cka-" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_a_conftest_that_fails_is_one_line(outside: Path) -> None:
    (outside / "conftest.py").write_text("1 / 0", encoding="utf-8")
    line = [sys.executable, "-m", "alignbench", "stability"]
    done = subprocess.run(line, cwd=outside, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    said = "alignbench: conftest.py can't be imported (ZeroDivisionError: division by zero)\n"
    assert done.stderr == said


@pytest.mark.slow
def test_the_example_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(EXAMPLE, {})
    assert len(capsys.readouterr().out.splitlines()) == 4
    _, scores = read_run(tmp_path / "reports" / "coral")
    # CKA and EAS, which the figures show, are with it, each filed under its own experiment.
    assert {score.experiment for score in scores} == {"coral", "cka", "eas"}
    left = {path.name for path in (tmp_path / "reports" / "coral").iterdir()}
    assert {"summary.md", "report.html", "scores.json", "coral_comparison.png", "artifacts"} <= left


def small_session() -> ab.Session:
    return ab.Session(encoders=["mini-clip"], llms=["mini-llama"], n_samples=4, permutations=19)


def test_a_result_refuses_what_it_can_not_do(tmp_path: Path) -> None:
    result = small_session().run("multi_llm")
    assert {score.metric for score in result.scores} == {"calibrated_cka", "mutual_knn"}
    assert "<td>calibrated_cka</td>" in result._repr_html_()
    assert str(result) == result.table()
    assert result.ranking == result.findings.rankings
    assert result.table().startswith("LLM mini-llama: ranked by calibrated_cka")
    with pytest.raises(InputError, match="figure 'eas_dashboard': the scores of multi_llm do not allow it"):
        result.figure("eas_dashboard")
    with pytest.raises(UnknownNameError, match="unknown figure 'nothing'"):
        result.figure("nothing")
    result.save(tmp_path / "run", figures=False)
    with pytest.raises(ConfigError, match="there is a run already; save to another folder"):
        result.save(tmp_path / "run", figures=False)
    with pytest.raises(UnknownNameError, match="unknown experiment 'cokal'"):
        small_session().run("cokal")
    with pytest.raises(ConfigError, match="invariants: only pytest can run it"):
        small_session().run("invariants")


@pytest.fixture
def registered() -> Iterator[Callable[[Experiment], str]]:
    """Registers experiments for the time of a test."""
    names: list[str] = []

    def register(experiment: Experiment) -> str:
        names.append(experiment.name)
        EXPERIMENTS.add(experiment.name, experiment)
        return experiment.name

    yield register
    for name in names:
        EXPERIMENTS.remove(name)


def test_what_does_not_apply_is_said_and_costs_nothing_else(
    registered: Callable[[Experiment], str],
) -> None:
    def compute(bench: Bench, pair: Pair, number: int) -> list[Score]:
        if number == 1:
            raise NotApplicableError("one is too few")
        return [bench.score("linear_cka", pair)]

    part = Part("some", compute, sweep={"number": (1, 2)})
    result = small_session().run(registered(Experiment("odd", "which numbers do?", (part,))))
    assert len(result.scores) == 1
    assert result.skipped == {"some, 1, mini-clip, mini-llama": "one is too few"}


def test_a_part_of_the_whole_selection_gets_it_from_the_bench(
    registered: Callable[[Experiment], str],
) -> None:
    def compute(bench: Bench) -> list[Score]:
        return [bench.score("linear_cka", pair) for pair in bench.pairs()]

    experiment = Experiment("odd", "how do all pairs do?", (Part("some", compute, of=("selection",)),))
    session = ab.Session(
        encoders=["mini-clip", "random-vit"], llms="mini-llama", n_samples=5, permutations=19
    )
    result = session.run(registered(experiment))
    assert {score.encoder for score in result.scores} == {"mini-clip", "random-vit"}


@pytest.mark.slow
def test_a_part_that_tells_no_model_from_another_is_flagged_outside_of_pytest_too(
    registered: Callable[[Experiment], str],
) -> None:
    def compute(bench: Bench, pair: Pair) -> list[Score]:
        score = bench.score("linear_cka", pair)
        return [
            replace(score, metric="mine", params={**score.params, "parts": {"flat": 0.0, "cka": score.value}})
        ]

    experiment = Experiment("odd", "which parts are flat?", (Part("some", compute),))
    session = ab.Session(
        encoders=["mini-clip", "random-vit"], llms="mini-llama", n_samples=5, permutations=19
    )
    result = session.run(registered(experiment))
    assert [score.params["dead_parts"] for score in result.scores] == [["flat"], ["flat"]]
    assert all("dead" in score.flags for score in result.scores)


def test_rows_that_are_copies_are_flagged_outside_of_pytest_too(
    registered: Callable[[Experiment], str], tmp_path: Path
) -> None:
    for name, rows in zip("xy", np.random.default_rng(0).normal(size=(2, 12, 4)), strict=True):
        np.save(tmp_path / f"{name}.npy", np.repeat(rows, 2, axis=0))
    experiment = Experiment(
        "odd", "are rows copies?", (Part("some", lambda bench, pair: [bench.score("linear_cka", pair)]),)
    )
    x, y = (f"{name}=npy:{tmp_path / name}.npy" for name in "xy")
    [score] = ab.Session(encoders=x, llms=y, permutations=19).run(registered(experiment)).scores
    assert "repeated_rows" in score.flags


def test_a_declaration_that_can_not_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="'my-own' is no name"):
        Experiment("my-own", "?")
    EXPERIMENTS.add("alias", Experiment("other", "?"))
    try:
        with pytest.raises(ConfigError, match="'other' is registered as 'alias'"):
            experiments()
    finally:
        EXPERIMENTS.remove("alias")


def test_every_folder_is_an_experiment_and_no_two_stand_in_one_place() -> None:
    folder = Path(declared.__file__).parent
    folders = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert folders | {"study", "all"} == declared.BUILT_IN
    places = [one.place for one in experiments() if one.name in declared.BUILT_IN]
    assert places == sorted(set(places))
    assert math.inf not in places


def test_an_experiment_stands_where_it_says_or_else_at_the_end(
    registered: Callable[[Experiment], str],
) -> None:
    for one in (Experiment("last", "?"), Experiment("second", "?", place=11), Experiment("very_last", "?")):
        registered(one)
    names = [one.name for one in experiments()]
    assert names[:3] == ["cka", "second", "compare"]
    assert names[-3:] == ["all", "last", "very_last"]


def test_a_test_that_takes_part_must_be_of_one(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
import numpy as np
import pytest

@pytest.mark.cka
def test_none_such(pair, part):
    part(pair)
"""
    )
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "--encoders=toy-a", "--llms=toy-llm")
    assert "there is no experiment 'cka' with a part 'none_such'" in result.stdout.str()
    assert result.ret != 0


def test_a_project_may_call_what_is_its_own_part(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_of_parameter="""
import numpy as np
import pytest

@pytest.mark.parametrize("part", [1, 2])
def test_part(part):
    assert part in (1, 2)
""",
        test_of_fixture="""
import numpy as np
import pytest

@pytest.fixture
def part():
    return 3

@pytest.mark.cka
def test_part(part):
    assert part == 3
""",
    )
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "--encoders=toy-a", "--llms=toy-llm")
    result.assert_outcomes(passed=3)


def test_the_page_has_the_table_of_experiments() -> None:
    rows = [
        f"| `{one.name}` | {'when asked for' if one.long else 'yes'} | {one.question} |"
        for one in experiments()
    ]
    assert "\n".join(rows) in PAGE
    assert len(listed()) == 2 + len(rows)


def test_a_score_goes_to_whoever_needs_it() -> None:
    assert set(needing("cka", "linear_cka")) == {"compare", "coral", "e2e", "all"}
    assert set(needing("cka", "rsa")) == {"compare", "all"}
    assert set(needing("eas", None)) == set()
