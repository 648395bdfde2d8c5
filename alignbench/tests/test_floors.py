"""Imports only go down, and the floors that a collection touches stay free of the heavy libraries."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from alignbench.workshop.house.imports import circles, floors, imported, modules, packages_of

CLONE = Path(__file__).resolve().parents[2]
MODULES = modules(CLONE)
FLOORS = floors(CLONE)
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


@pytest.mark.parametrize("name", MODULES)
def test_imports_only_go_down(name: str) -> None:
    module = MODULES[name]
    if not module.room or module.room == "__main__":
        return  # the package itself, which hands out what the rooms have
    above = {
        other
        for other in imported(module, MODULES)
        if MODULES[other].room and FLOORS[MODULES[other].room] > FLOORS[module.room]
    }
    assert not above


def test_every_room_has_a_floor_and_every_floor_its_rooms() -> None:
    assert {module.room for module in MODULES.values()} - {"", "__main__"} == set(FLOORS)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: imported(module, MODULES) for name, module in MODULES.items()}
    assert circles(graph) == []


def test_fixtures_and_metrics_import_nothing_heavy() -> None:
    code = (
        "import sys, alignbench.plugin.fixtures, alignbench.metrics, alignbench.datasets, alignbench.embed,"
        "alignbench.arrays, alignbench.aligned;"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_plugin_entry_point_imports_only_pytest_and_the_table_of_options() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import alignbench.plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = {"", ".errors", ".options", ".plugin", ".session", ".session.checks", ".session.table"}
    assert set(ast.literal_eval(result.stdout)) == {f"alignbench{name}" for name in names}


def test_the_session_knows_no_pytest() -> None:
    packages = {
        name for module in MODULES.values() if module.room == "session" for name in packages_of(module)
    }
    assert not packages & {"pytest", "_pytest"}
