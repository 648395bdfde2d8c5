"""`python -m alignbench.measure NAME [options]` runs `main(options)` of the module NAME beside this one."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.workshop.command import dispatch

if TYPE_CHECKING:
    from collections.abc import Sequence


def names() -> list[str]:
    """Return the names of all measurements: the modules beside this one."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in modules if module.name[0] != "_" and module.name != "command")


def main(arguments: Sequence[str]) -> int:
    """Run the measurement that the first argument names; return the exit status."""
    return dispatch("python -m alignbench.measure", "alignbench.workshop.measure", names(), arguments)
