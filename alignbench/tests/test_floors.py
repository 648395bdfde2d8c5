"""Imports only go down, no floor of a collection imports a heavy library, and models have types."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from alignbench.workshop.house import sources
from alignbench.workshop.house.imports import Module, circles, floors, imported, modules, packages_of

CLONE = Path(__file__).resolve().parents[2]
OUTSIDE = {"", "__main__"}  # the package itself, which hands out what the rooms have
HEAVY = (
    "torch",
    "transformers",
    "sklearn",
    "umap",
    "matplotlib",
    "open_clip",
    "timm",
    "scipy.stats",
    "hypothesis",
)


@pytest.fixture(scope="module")
def known() -> dict[str, Module]:
    """All modules of the package by name."""
    return modules(CLONE)


@pytest.mark.slow
def test_imports_only_go_down(known: dict[str, Module]) -> None:
    floor = floors(CLONE)
    rooms = {name: module for name, module in known.items() if module.room not in OUTSIDE}
    above = {
        f"{name} imports {other}"
        for name, module in rooms.items()
        for other in imported(module, rooms)
        if floor[rooms[other].room] > floor[module.room]
    }
    assert not above


def test_every_room_has_a_floor_and_every_floor_its_rooms(known: dict[str, Module]) -> None:
    assert {module.room for module in known.values()} - OUTSIDE == set(floors(CLONE))


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle(known: dict[str, Module]) -> None:
    graph = {name: imported(module, known) for name, module in known.items()}
    assert circles(graph) == []


@pytest.mark.slow
def test_models_have_types_nothing_is_probed_and_files_are_short(known: dict[str, Module]) -> None:
    assert sources.untyped_models(known) == []
    assert sources.probes(known) == []
    assert sources.long_files(known) == []


@pytest.mark.slow
def test_fixtures_and_metrics_import_nothing_heavy() -> None:
    code = (
        "import sys, alignbench.plugin.fixtures, alignbench.metrics, alignbench.datasets, alignbench.embed,"
        "alignbench.arrays, alignbench.aligned;"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.slow
def test_plugin_entry_point_imports_only_pytest_and_the_table_of_options() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import alignbench.plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = {"", ".errors", ".options", ".plugin", ".session", ".session.checks", ".session.table"}
    names |= {f".session.table.{name}" for name in ("data", "experiments", "models", "names", "run")}
    assert set(ast.literal_eval(result.stdout)) == {f"alignbench{name}" for name in names}


def test_the_session_knows_no_pytest(known: dict[str, Module]) -> None:
    packages = {name for module in known.values() if module.room == "session" for name in packages_of(module)}
    assert not packages & {"pytest", "_pytest"}
