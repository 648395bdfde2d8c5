"""Which modules import which, read from the source: the floors of the rooms, and circles."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PACKAGE = "alignbench"
_FLOOR = re.compile(r"^\| *(\d+) *\|(.*)\|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Module:
    """One source file.

    Args:
        name: the name under which it is imported; a package's own name for its `__init__.py`.
        text: the text of the file.
        tree: its syntax.
    """

    name: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The part of the name below the package ("metrics", "cli", or ""); "benchmarks" for a benchmark."""
        package, _, rest = self.name.partition(".")
        return rest.partition(".")[0] if package == PACKAGE else package


def modules(root: Path, folder: str = PACKAGE) -> dict[str, Module]:
    """Return the modules below a folder of the clone at `root`, by name, without the package's tests."""
    found = {}
    for path in sorted((root / folder).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[1] != "tests":
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = path.read_text(encoding="utf-8")
            found[name] = Module(name, text, ast.parse(text, str(path)))
    return found


def imported(module: Module, known: Mapping[str, Module]) -> set[str]:
    """Return the known modules that a module imports anywhere, even in functions and for type checkers."""
    return {name for name in _targets(module.tree, known) if name != module.name}


def _targets(tree: ast.Module, known: Mapping[str, Module]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                if submodule in known:
                    yield submodule
                elif node.module in known:
                    yield node.module


def packages_of(module: Module) -> set[str]:
    """Return the names of the packages that a module imports, ours and others'."""
    names = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def floors(root: Path) -> dict[str, int]:
    """Return room -> floor, from the table in the clone's CONTRIBUTING.md."""
    text = (root / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return {
        room: int(floor) for floor, rooms in _FLOOR.findall(text) for room in re.findall(r"`(\w+)`", rooms)
    }


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return every group of modules that import each other, directly or by way of others."""
    reachable = {name: _reachable(name, graph) for name in graph}
    groups = {
        frozenset(other for other in reachable[name] if name in reachable[other])
        for name in graph
        if name in reachable[name]
    }
    return sorted(sorted(group) for group in groups)


def _reachable(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        fresh = graph[waiting.pop()] - seen
        seen |= fresh
        waiting.extend(fresh)
    return seen
