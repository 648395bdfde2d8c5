"""What many pairs cost: seconds, memory, and how both grow.

Each part is a module `_scale_NAME.py` beside this one with `measure(options)` and `add_options(parser)`.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType

_PREFIX: Final = "_scale_"


def parts() -> dict[str, ModuleType]:
    """Return the parts by name."""
    found = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    names = sorted(name.removeprefix(_PREFIX) for name in found if name.startswith(_PREFIX))
    return {name: importlib.import_module(f"{__package__}.{_PREFIX}{name}") for name in names}


def main(argv: list[str]) -> int:
    """Run the parts that are asked for; return 1 if one of them says that a bound was broken."""
    known = parts()
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure scale", description=__doc__)
    parser.add_argument("part", nargs="+", choices=known, help="the parts to run")
    for name, module in known.items():
        if add_options := getattr(module, "add_options", None):
            add_options(parser.add_argument_group(f"{name}: {(module.__doc__ or '').splitlines()[0]}"))
    options = parser.parse_args(argv)
    return max(int(known[name].measure(options) or 0) for name in options.part)
