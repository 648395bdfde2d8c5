"""An experiment leaves its figures however it is asked for: by command, by marker, by keyword, in its tab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from alignbench import paths
from alignbench.cli.main import main
from alignbench.errors import ConfigError
from alignbench.experiments import EXPERIMENTS, Experiment
from alignbench.metrics import METRICS
from alignbench.plots import FIGURES, Caption, FigureInputs, declare_figure
from alignbench.plots.declared import FigureRegistry, caption_of, figures_of, needs_of, not_drawn, shown_in
from alignbench.ui.jobs import Job
from alignbench.ui.menu import Menu
from alignbench.ui.models import Sessions
from alignbench.ui.results import view_of
from alignbench.ui.tables import COLUMNS
from alignbench.ui.tabs import tabs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOOLKIT_CORAL = {
    "eas_dashboard",
    "cka_vs_coral",
    "coral_comparison",
    "covariance_heatmaps",
    "eigenvalue_spectrum",
    "intra_modal_similarity",
}
MODELS = {"encoders": ("v1", "v2"), "llms": ("t1",)}
OPTIONS: dict[str, dict[str, Any]] = {
    "coral": {"permutations": 19},
    "e2e": {"permutations": 19, "epochs": 5, "splits": 2, "seeds": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two encoders' and an LLM's vectors of the same 45 samples of three types."""
    place = tmp_path_factory.mktemp("arrays")
    rng = np.random.default_rng(0)
    common = rng.normal(size=(45, 4))
    for i, name in enumerate((*MODELS["encoders"], *MODELS["llms"])):
        values = common @ rng.normal(size=(4, 6 + i)) + 0.5 * rng.normal(size=(45, 6 + i))
        np.save(place / f"{name}.npy", values.astype(np.float32))
    (place / "types.txt").write_text("\n".join("abc" * 15), encoding="utf-8")
    return place


def given(folder: Path) -> dict[str, Any]:
    """Return the selection, as options of a command."""
    models = {side: [f"{n}=npy:{folder / n}.npy" for n in names] for side, names in MODELS.items()}
    return {**models, "labels": str(folder / "types.txt")}


def by_command(name: str, folder: Path, into: Path) -> tuple[list[dict[str, Any]], set[str]]:
    """Return the scores and figures of `alignbench NAME`."""
    words = [sys.executable, "-m", "alignbench", name, "--output-dir", str(into)]
    for option, value in {**given(folder), **OPTIONS[name]}.items():
        values = value if isinstance(value, list) else [str(value)]
        words += [f"--{option}", *values]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = into.glob(f"*-{name}")
    scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))["scores"]
    return scores, {path.stem for path in run.glob("*.png")}


def by_tab(name: str, folder: Path, into: Path) -> tuple[list[dict[str, Any]], str]:
    """Return the scores of a tab and the page's HTML of answer and figures."""
    [tab] = [tab for tab in tabs() if tab.experiment == name]
    options = Menu(given(folder)).options(OPTIONS[name])
    job: Job[Any] = Job(lambda job: Sessions().get(options).run(*tab.runs, steps=job))
    list(job.follow())
    into.mkdir()
    page = view_of(job.result(), tab.figures, folder=into, name=name, options=options, command="alignbench")
    scores = json.loads((into / f"{name}.json").read_text(encoding="utf-8"))["scores"]
    return scores, page.answer + page.figures


def keyed(scores: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    names = ("experiment", "metric", "encoder", "llm", "other", "data_type", "variant")
    return {tuple(score[name] for name in names): score for score in scores}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_a_command_and_its_tab_leave_the_same_scores_and_figures(
    name: str, folder: Path, tmp_path: Path
) -> None:
    scores, drawn = by_command(name, folder, tmp_path / "runs")
    assert drawn >= set(figures_of(name))
    own, page = by_tab(name, folder, tmp_path / "tab")
    assert page.count("<figure") == len(figures_of(name))
    assert {path.stem for path in (tmp_path / "tab").glob("*.png")} == set(figures_of(name))
    assert "Not drawn" not in page
    expected, found = keyed(scores), keyed(own)
    assert len(expected) == len(scores)  # no score twice
    assert found.keys() == expected.keys()
    for key, score in found.items():
        assert score["value"] == pytest.approx(expected[key]["value"], abs=1e-9), key
    # What another experiment is asked for is filed under it, and there once for every pair.
    for experiment, metrics in EXPERIMENTS.get(name).needs.items():
        for metric in metrics or ():
            pairs = [k for k in found if k[:2] == (experiment, metric) and k[2] and k[3]]
            assert len(pairs) == 2, (experiment, metric)


def test_the_six_figures_of_the_toolkit_are_part_of_coral() -> None:
    assert set(figures_of("coral")) >= TOOLKIT_CORAL
    [tab] = [tab for tab in tabs() if tab.experiment == "coral"]
    assert set(tab.figures) >= TOOLKIT_CORAL


def collected(*chosen: str) -> set[str]:
    words = [sys.executable, "-m", "pytest", "benchmarks", "--collect-only", "-q", "-p", "no:cacheprovider"]
    root = paths.benchmarks().parent
    done = subprocess.run([*words, *chosen], cwd=root, capture_output=True, text=True, check=True)
    return {line for line in done.stdout.splitlines() if "::" in line}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_marker_and_keyword_run_what_the_command_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--dry-run"]) == 0
    assert f"-m {name}" in capsys.readouterr().out
    marked = collected("-m", name)
    assert marked <= collected("-k", name)
    for experiment, metrics in EXPERIMENTS.get(name).needs.items():
        for metric in metrics or ():
            assert any(f"test_{experiment}.py" in test and f"[{metric}-" in test for test in marked)


def test_every_figure_has_a_command_and_every_command_is_one() -> None:
    markers = set(EXPERIMENTS)
    for name in FIGURES:
        assert FIGURES.get(name).experiments
        assert set(FIGURES.get(name).experiments) <= markers
    assert {figure for tab in tabs() for figure in tab.figures} <= set(FIGURES)


def test_what_is_needed_of_others_is_known() -> None:
    for name in EXPERIMENTS:
        for needed, metrics in EXPERIMENTS.get(name).needs.items():
            assert needed in EXPERIMENTS
            assert all(metric in METRICS.names() for metric in metrics or ())
    assert set(COLUMNS) >= {"linear_cka", "projection_mse", "projection_cosine"}


def test_a_figure_that_is_not_drawn_is_named_once_with_its_command() -> None:
    every = FIGURES.names()
    assert not_drawn(every) == {}
    assert not_drawn([name for name in every if name != "elas_matrix"]) == {
        "alignbench elas": ["elas_matrix"]
    }
    missing = not_drawn(["cka_comparison"])
    named = [figure for figures in missing.values() for figure in figures]
    assert sorted(named) == sorted(set(every) - {"cka_comparison"})
    assert "two encoders" in needs_of("intra_modal_similarity")
    assert needs_of("elas_matrix") == ""


def test_where_no_figure_was_asked_for_none_is_missing() -> None:
    assert not_drawn([]) == {}


def test_a_figure_of_others_has_a_caption_and_an_experiment_as_ours_have() -> None:
    caption = Caption("Who is tallest?", "Bars: heights.", "Who is heaviest.")

    @declare_figure("heights", caption=caption, requires="two people")
    def tallest(_: FigureInputs) -> None:
        return None

    FIGURES.add("tallest", tallest)
    try:
        assert FIGURES.names()[-1] == "tallest"
        assert figures_of("heights") == ("tallest",)
        assert (caption_of("tallest"), shown_in("tallest")) == (caption, ("heights",))
        assert not_drawn(set(FIGURES) - {"tallest"}) == {"alignbench heights": ["tallest"]}
        assert needs_of("tallest") == " (takes two people)"
        with pytest.raises(ConfigError, match="registered already"):
            FIGURES.add("eas_dashboard", tallest)
    finally:
        FIGURES.remove("tallest")
    assert figures_of("heights") == ()


def test_a_plain_function_is_a_figure_without_a_caption() -> None:
    FIGURES.add("my_own", cast("Any", lambda _: None))
    try:
        assert FIGURES.get("my_own")(FigureInputs()) is None
        assert caption_of("my_own").title == "My own"
        assert not_drawn(set(FIGURES) - {"my_own"}) == {}  # no command draws it
    finally:
        FIGURES.remove("my_own")


HEIGHTS = """
from alignbench.plots import Caption, declare_figure

@declare_figure("heights", caption=Caption("Who is tallest?"))
def tallest(inputs):
    return None

def plain(inputs):
    return None
"""


@pytest.fixture
def with_heights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Register an experiment `heights` whose figures are in the module of that name, which is at hand."""
    (tmp_path / "heights_figures.py").write_text(HEIGHTS, encoding="utf-8")
    (tmp_path / "heights_without.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert len(FIGURES)  # the table was read before the experiment was registered
    yield lambda module: EXPERIMENTS.add(
        "heights", Experiment("heights", "who is tallest?", figures=(module,))
    )
    EXPERIMENTS.remove("heights")
    if "tallest" in FIGURES:
        FIGURES.remove("tallest")


def test_an_experiment_brings_the_figures_of_the_modules_that_it_names(
    with_heights: Callable[[str], None],
) -> None:
    ours = FIGURES.names()
    with_heights("heights_figures")
    assert FIGURES.names() == [*ours, "tallest"]
    assert figures_of("heights") == ("tallest",)
    assert caption_of("tallest").title == "Who is tallest?"


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("heights_missing", "experiment 'heights': can't import its figures, heights_missing (No module"),
        ("heights_without", "experiment 'heights': heights_without declares no figure; use @declare_figure"),
    ],
)
def test_a_module_without_figures_is_an_error_that_names_the_experiment(
    module: str, message: str, with_heights: Callable[[str], None]
) -> None:
    with_heights(module)
    with pytest.raises(ConfigError) as error:
        FIGURES.names()
    assert str(error.value).startswith(message)


def test_a_package_brings_figures_by_its_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = FIGURES.names()  # before the package is there
    (tmp_path / "heights_package.py").write_text(HEIGHTS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    info = tmp_path / "heights-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: heights\nVersion: 1\n", encoding="utf-8")
    points = "[alignbench.figures]\nhighest = heights_package:tallest\nbars = heights_package:plain\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    figures = FigureRegistry("alignbench.experiments:figure_modules")
    assert figures.names() == [*known, "highest", "bars"]
    caption = figures.get("highest").caption
    assert caption is not None
    assert caption.title == "Who is tallest?"
    assert figures.get("bars").caption is None  # a plain function
    assert figures.get("bars")(FigureInputs()) is None
