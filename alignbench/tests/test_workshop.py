"""The tools of the workshop: what they count in a small project, and what they keep of a run."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

import pytest

from alignbench.errors import ConfigError, DataError
from alignbench.tests import test_floors
from alignbench.workshop import command, example, house
from alignbench.workshop.house import calls, sources
from alignbench.workshop.house.imports import circles, floors, modules

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "__init__.py": "",
    "stats.py": "def tie_groups(values):\n    return values\n",
    "metrics/__init__.py": "",
    "metrics/near.py": '''
        """A docstring

        of three lines.
        """
        from typing import TYPE_CHECKING

        if TYPE_CHECKING:
            from alignbench.metrics import far

        class Twin:
            """A class."""

            text = """two
            lines"""  # a comment
    ''',
    "metrics/far.py": """
        def lazily():
            import alignbench.metrics.near as near
            return near
    """,
    "experiments/dice/__init__.py": "def dice_scores(pair):\n    return []\n",
    "experiments/cards/__init__.py": "def cards_scores(pair):\n    return []\n",
    "plugin/options.py": """
        from typing import Any

        class Options:
            rolls: int = 3

        def add(parser, model: Any, other: "Any", text: str):
            parser.addoption("--align-rolls")
            if hasattr(model, "head") or callable(getattr(model, "body", None)):
                return Twin()

        class Twin:
            pass
    """,
    "encoders/eye.py": """
        from typing import Any, Callable, Mapping

        class Eye:
            def __init__(self, tokenizer: Any | None, size: Any, processor: Mapping[str, Any]):
                self.vision_tower: Any = size["edge"]

            def look(self, thing: Any, model: "Typed", *, how: Callable[..., Any], other: Any):
                how.eval()
                return thing.image_mean, model.embed, other.shape
    """,
    "ui/page.py": """
        from alignbench.experiments.cards import cards_scores
        from alignbench.experiments.dice import dice_scores
        from alignbench.stats import tie_groups

        def page(pair):
            return cards_scores(pair), dice_scores(pair), tie_groups([])
    """,
    "tests/test_dice.py": "dice = hasattr(1, 'dice')\n",
}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "alignbench" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    (tmp_path / "benchmarks").mkdir()
    for name in ("dice", "cards"):
        (tmp_path / "benchmarks" / f"test_{name}.py").write_text(f"pytestmark = '{name}'\n")
    (tmp_path / "README.md").write_text("Roll the DICE: ![it](reports/example/dice.png)\n")
    (tmp_path / "alignbench" / "docs").mkdir()
    (tmp_path / "alignbench" / "docs" / "dicey.md").write_text(
        "[all](../../reports/example/validity/all.csv)\n"
    )
    return tmp_path


def test_the_counts_of_a_small_project_are_those_one_counts_by_hand(clone: Path) -> None:
    found = house.places(clone, "dice", "rolls")
    assert found == {
        "source files that mention the experiment dice": [
            "alignbench.experiments.dice",
            "alignbench.ui.page",
            "benchmarks.test_dice",
        ],
        "pages that mention the experiment dice": ["README.md"],
        "places that write down the option rolls": [
            "alignbench.plugin.options:4",
            "alignbench.plugin.options:7",
        ],
        "modules that decide ties": ["alignbench.ui.page"],
        "rooms that run experiments": ["ui: cards, dice"],
        "parameters and attributes that are models, typed Any": [
            "alignbench.encoders.eye:4 tokenizer",
            "alignbench.encoders.eye:5 vision_tower",
            "alignbench.encoders.eye:7 how",
            "alignbench.encoders.eye:7 thing",
            "alignbench.plugin.options:6 model",
        ],
        "probes by hasattr and callable(getattr)": [
            "alignbench.plugin.options:8",
            "alignbench.plugin.options:8",
        ],
        "files of more than 400 lines": [],
        "class names in several modules": ["Twin: alignbench.metrics.near, alignbench.plugin.options"],
        "circles of imports": ["alignbench.metrics.far alignbench.metrics.near"],
    }


def test_lines_of_code_are_those_without_docstrings_comments_and_blanks(clone: Path) -> None:
    near = {"near": modules(clone)["alignbench.metrics.near"]}
    assert sources.lines(near) == 14
    assert (
        sources.lines_of_code(near) == 6
    )  # two imports, an if, a class, and a string that is a value, of two


def test_a_file_is_long_from_401_lines_on(clone: Path) -> None:
    for lines in (400, 401):
        (clone / "alignbench" / f"long{lines}.py").write_text("\n" * lines)
    assert sources.long_files(modules(clone)) == ["alignbench.long401: 401 lines"]


def test_the_table_has_a_column_for_each_folder(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house.main([str(clone), str(clone), "--no-run", "--experiment", "dice", "--option", "rolls", "--places"])
    said = capsys.readouterr().out
    name = clone.name
    assert said.startswith(f"| what | {name} | {name} |\n| --- | ---: | ---: |\n")
    assert "| circles of imports | 1 | 1 |" in said
    assert "  alignbench.ui.page" in said
    house.main([str(clone), "--no-run", "--json"])
    (plain,) = json.loads(capsys.readouterr().out)
    assert plain["counts"]["circles of imports"] == len(plain["places"]["circles of imports"]) == 1


def test_a_folder_that_is_no_clone_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="not a clone of alignbench"):
        house.main([str(tmp_path)])
    status = command.dispatch("the program", "alignbench.workshop", ("house",), ["house", str(tmp_path)])
    assert status == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_a_run_says_how_often_it_computes_its_rankings_and_predictions() -> None:
    counted = calls.computed(test_floors.CLONE)
    assert counted["rankings"] >= 1
    assert counted["predictions"] >= 1


def test_circles_are_found_once_however_long_they_are() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"f", "a"}, "f": {"e"}}
    assert circles(graph) == [["a", "b", "c"], ["e", "f"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_the_floors_are_those_of_the_table(tmp_path: Path) -> None:
    (tmp_path / ".github").mkdir()
    table = "| floor | rooms |\n|---|---|\n| 0 | `files` `types` |\n| 11 | `cli` (a front door) |\n\n`else`\n"
    (tmp_path / ".github" / "CONTRIBUTING.md").write_text(table)
    assert floors(tmp_path) == {"files": 0, "types": 0, "cli": 11}


def run_folder(clone: Path, *names: str) -> Path:
    folder = clone / "run"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(f"new {name}")
    return folder


def test_an_example_keeps_what_is_shown_and_the_study(clone: Path) -> None:
    old = clone / "reports" / "example"
    for name in ("validity/all.csv", "artifacts/a.npz", "summary.md", "old.svg"):
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text("old")
    run = run_folder(clone, "summary.md", "report.html", "dice.png", "dice.svg", "scores.json")
    assert example.refresh(run, clone) == ["dice.png", "report.html", "summary.md"]
    after = {path.relative_to(old).as_posix(): path.read_text() for path in old.rglob("*") if path.is_file()}
    assert after == {
        "validity/all.csv": "old",
        "dice.png": "new dice.png",
        "report.html": "new report.html",
        "summary.md": "new summary.md",
    }
    example.refresh(old, clone)
    assert {path.name for path in old.iterdir()} == {"validity", "dice.png", "report.html", "summary.md"}


def test_an_example_without_a_shown_file_is_refused_and_nothing_changes(clone: Path) -> None:
    old = clone / "reports" / "example"
    old.mkdir(parents=True)
    (old / "summary.md").write_text("old")
    run = run_folder(clone, "summary.md", "report.html")
    with pytest.raises(DataError, match=r"the run has no dice\.png, to which README or the docs link"):
        example.refresh(run, clone)
    assert [path.read_text() for path in old.iterdir()] == ["old"]
