"""`python -m alignbench.measure NAME [options]` runs `alignbench.workshop.measure.NAME.main(options)`."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

from alignbench.registry import unknown


def names() -> list[str]:
    """Return what can be measured: the modules beside this one."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in modules if module.name[0] != "_" and module.name != "command")


def main(argv: list[str]) -> int:
    """Run the measurement called `argv[0]` with the rest as its options; return the exit status."""
    if not argv or argv[0] in ("-h", "--help"):
        print(f"python -m alignbench.measure NAME [options]; NAME: {', '.join(names())}")
        return 0 if argv else 2
    if argv[0] not in names():
        print(f"error: {unknown('measurement', argv[0], names())}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"alignbench.workshop.measure.{argv[0]}")
    status: int | None = module.main(argv[1:])
    return status or 0
