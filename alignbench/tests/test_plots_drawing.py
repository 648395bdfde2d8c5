"""Figures drawn by several processes: the same files and problems as by one, whatever a helper does."""

from __future__ import annotations

import io
import logging
import pickle
import re
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from alignbench.plots import FIGURES, FigureInputs, drawing
from alignbench.plots.declared import FigureRegistry
from alignbench.plots.drawing import Drawing, Figures, Outcome, draw_all
from alignbench.tests.report_fakes import make_inputs
from alignbench.tests.test_floors import HEAVY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.figure import Figure

NAMES = ("eas_dashboard", "covariance_heatmaps", "cka_vs_coral")
TAKE_ONE = (
    "import os, pickle, sys; pickle.load(sys.stdin.buffer);"
    f"pickle.dump({drawing.__file__!r}, sys.stdout.buffer);"
    "sys.stdout.flush(); pickle.load(sys.stdin.buffer);"
)

pytestmark = pytest.mark.slow


def figures_in_use() -> FigureRegistry:
    """Return the figures that the drawing looks into, which a fixture may have exchanged."""
    return cast("FigureRegistry", vars(drawing)["FIGURES"])


@pytest.fixture
def inputs(monkeypatch: pytest.MonkeyPatch) -> FigureInputs:
    """What figures are drawn from, with as many scores as it takes for a helper."""
    found = make_inputs(("mini-clip", "random-vit"), ("mini-llama",))
    monkeypatch.setattr(drawing, "MANY_SCORES", len(found.scores))
    return found


@pytest.fixture(autouse=True)
def three_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be three figures of ours, and two cores."""
    figures = FigureRegistry("builtins:dict")  # those of no experiment
    for name in NAMES:
        figures.add(name, FIGURES.get(name))
    monkeypatch.setattr(drawing, "FIGURES", figures)
    use_cores(monkeypatch, 2)


def use_cores(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(drawing, "available_cores", lambda: cores)


def alone(monkeypatch: pytest.MonkeyPatch, given: FigureInputs, place: Path) -> Figures:
    """Draw all figures in this process."""
    place.mkdir()
    with monkeypatch.context() as patch:
        use_cores(patch, 1)
        return draw_all(Drawing(given, place))


def helped(given: FigureInputs, place: Path, *files: str) -> Figures:
    """Draw all figures, but here none before a helper has written the files; and a figure of the user's."""
    place.mkdir()

    def patient(_: FigureInputs) -> Figure:
        from matplotlib.figure import Figure

        end = time.monotonic() + 60
        while not all((place / file).exists() for file in files):
            assert time.monotonic() < end, f"no helper wrote {files}"
            time.sleep(0.01)
        return Figure()

    figures_in_use().add("patient", patient)
    try:
        return draw_all(Drawing(given, place))
    finally:
        figures_in_use().remove("patient")


def contents(place: Path) -> dict[str, bytes]:
    """Return our figures' files, but for the clips' ids: hashes of what a layout rounds by chance."""
    files = (path for path in place.iterdir() if not path.name.startswith("patient"))
    return {path.name: re.sub(rb"\bp[0-9a-f]{10}\b", b"clip", path.read_bytes()) for path in files}


def test_a_helper_gives_the_files_and_their_order_that_this_process_gives(
    tmp_path: Path, inputs: FigureInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alone(monkeypatch, inputs, tmp_path / "alone")
    drawn = helped(inputs, tmp_path / "helped", *(f"{name}.svg" for name in NAMES))
    assert drawn[:2] == ([*expected[0], "patient.png", "patient.svg"], [])
    assert contents(tmp_path / "helped") == contents(tmp_path / "alone")
    assert len(contents(tmp_path / "alone")) == 2 * len(NAMES)


def test_a_figure_that_a_helper_cannot_draw_is_said_as_by_this_process(
    tmp_path: Path, inputs: FigureInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = replace(inputs, coral=[replace(inputs.coral[0], cov_x=np.zeros(3))])
    expected = alone(monkeypatch, spoilt, tmp_path / "alone")
    drawn = helped(spoilt, tmp_path / "helped", "eas_dashboard.svg", "cka_vs_coral.svg")
    assert drawn[1] == expected[1]
    assert drawn[1][0].startswith("the figure covariance_heatmaps could not be drawn (")
    assert contents(tmp_path / "helped") == contents(tmp_path / "alone")


@pytest.mark.parametrize(
    "code", ["raise SystemExit(1)", TAKE_ONE + "os._exit(3)", TAKE_ONE + "print('no pickle', flush=True)"]
)
def test_what_a_helper_fails_at_is_drawn_without_it(
    code: str, tmp_path: Path, inputs: FigureInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "HELPER", code)
    drawn = draw_all(Drawing(inputs, tmp_path))
    assert drawn[:2] == ([f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")], [])


@pytest.mark.parametrize("executable", ["no such interpreter", None])
def test_figures_are_drawn_where_no_process_can_be_started(
    executable: str | None, tmp_path: Path, inputs: FigureInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    drawn = draw_all(Drawing(inputs, tmp_path))
    assert drawn[:2] == ([f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")], [])


def test_a_figure_by_one_of_our_names_that_is_the_users_is_drawn_here(
    tmp_path: Path, inputs: FigureInputs
) -> None:
    def eas_dashboard(_: FigureInputs) -> Figure | None:
        raise ValueError("the user's own")

    figures_in_use().remove("eas_dashboard")
    figures_in_use().add("eas_dashboard", eas_dashboard)
    files, problems, _ = helped(inputs, tmp_path / "run", "cka_vs_coral.svg")
    assert problems == ["the figure eas_dashboard could not be drawn (ValueError: the user's own)"]
    assert not any(file.startswith("eas") for file in files)


def test_a_figure_whose_module_fails_on_import_is_a_problem_and_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_figure.py").write_text("raise ValueError('no such font')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    figures_in_use().add("broken", "broken_figure:draw")  # `three_figures` takes it out again
    _, problems, _ = draw_all(Drawing(make_inputs(), tmp_path))
    assert [p for p in problems if "broken" in p]


@pytest.mark.parametrize(("cores", "scores", "helpers"), [(1, 999, 0), (2, 9, 0), (2, 999, 1), (64, 999, 3)])
def test_helpers_are_as_many_as_further_cores_where_there_is_much_to_draw(
    cores: int, scores: int, helpers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []

    def start(command: Any, **_: Any) -> None:
        started.append(command)
        raise OSError("not now")

    use_cores(monkeypatch, cores)
    monkeypatch.setattr(subprocess, "Popen", start)
    draw_all(Drawing(FigureInputs(list(make_inputs().scores[:1]) * scores), tmp_path))
    assert len(started) == helpers


@pytest.mark.parametrize("say", [warnings.warn, logging.getLogger("plots").warning])
def test_what_a_helper_would_have_to_say_is_left_to_the_run(say: Callable[[str], None]) -> None:
    def draw(name: str) -> Outcome:
        if name == "noisy":
            say("cramped")
        return Outcome(("eas.png",))

    run: Any = SimpleNamespace(draw=draw)
    before = list(logging.getLogger().handlers)
    assert drawing.draw_silently(run, "quiet") == Outcome(("eas.png",))
    assert drawing.draw_silently(run, "noisy") is None
    assert logging.getLogger().handlers == before


def test_what_a_helper_prints_is_no_answer(tmp_path: Path) -> None:
    chatty = (
        "import os; from alignbench.plots import drawing;"
        "drawing.Drawing.draw = lambda *_: (print('a'), os.system('echo b'), drawing.Outcome())[2];"
        "drawing.help_drawing()"
    )
    asked = pickle.dumps(Drawing(FigureInputs(), tmp_path)) + pickle.dumps("any")
    done = subprocess.run([sys.executable, "-c", chatty], input=asked, capture_output=True, check=True)
    answers = io.BytesIO(done.stdout)
    assert [pickle.load(answers), pickle.load(answers)] == [drawing.__file__, Outcome()]
    assert not answers.read()


def test_a_helper_of_another_installation_draws_nothing(
    tmp_path: Path, inputs: FigureInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "marks").mkdir()
    marks = f"open({str(tmp_path / 'marks')!r} + '/' + name, 'w')"
    monkeypatch.setattr(
        drawing,
        "HELPER",
        "import pickle, sys; pickle.load(sys.stdin.buffer); pickle.dump('another', sys.stdout.buffer);"
        f"sys.stdout.flush(); name = pickle.load(sys.stdin.buffer); {marks}",
    )
    assert len(draw_all(Drawing(inputs, tmp_path))[0]) == 2 * len(NAMES)
    assert not list((tmp_path / "marks").iterdir())


def test_a_file_beside_the_users_tests_does_not_replace_the_standard_librarys(
    tmp_path: Path, inputs: FigureInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logging.py").write_text("raise RuntimeError", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    drawn = helped(inputs, tmp_path / "run", "eas_dashboard.svg")  # by a helper, or this never ends
    assert drawn[1] == []


def test_a_helper_imports_no_models() -> None:
    heavy = set(HEAVY) - {"matplotlib"}
    code = (
        "import sys; from alignbench.plots.drawing import FIGURES; [FIGURES.get(n) for n in FIGURES.names()];"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
