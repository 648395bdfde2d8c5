"""Imports only go down, and the floors that a collection touches stay free of the heavy libraries."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1]
FLOORS = {
    "columns": 0,
    "doing": 0,
    "errors": 0,
    "files": 0,
    "given": 0,
    "memory": 0,
    "npy": 0,
    "types": 0,
    "registry": 0,
    "config": 0,
    "paths": 0,
    "schema": 0,
    "units": 0,
    "datatypes": 0,
    "metrics": 1,
    "stats": 1,
    "datasets": 1,
    "weights": 2,
    "encoders": 2,
    "llms": 2,
    "projectors": 2,
    "zoo": 2,
    "embed": 3,
    "experiments": 4,
    "plots": 4,
    "findings": 5,
    "show": 6,
    "session": 7,
    "plugin": 8,
    "measure": 9,
    "aligned": 8,
    "arrays": 8,
    "cli": 9,
    "ui": 9,
    "__init__": 10,
    "__main__": 10,
}
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


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "tests" not in p.relative_to(PACKAGE).parts)


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_only_go_down(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    above = {
        name
        for name in imported(ast.parse(path.read_text(encoding="utf-8")))
        if name.startswith("alignbench.") and FLOORS.get(name.split(".")[1], 0) > FLOORS[room]
    }
    assert not above


def test_every_room_has_a_floor() -> None:
    rooms = {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in modules()}
    assert rooms <= set(FLOORS)


def test_fixtures_and_metrics_import_nothing_heavy() -> None:
    code = (
        "import sys, alignbench.plugin.fixtures, alignbench.metrics, alignbench.datasets, alignbench.embed,"
        "alignbench.arrays, alignbench.aligned;"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_plugin_entry_point_imports_only_pytest_and_itself() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import alignbench.plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['alignbench', 'alignbench.plugin']"


def test_the_session_knows_no_pytest() -> None:
    names = {
        name
        for path in (PACKAGE / "session").glob("*.py")
        for name in imported(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert not {name for name in names if name.split(".")[0] in {"pytest", "_pytest"}}
