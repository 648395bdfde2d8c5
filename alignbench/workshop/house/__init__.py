"""The state of the code base in numbers, for one checkout or for several side by side.

`python -m alignbench.workshop house [FOLDER ...]` counts what a change has to touch, what is decided in
several places, what has no type, how long files are, and which modules import each other in a circle.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.errors import ConfigError
from alignbench.show.text import table
from alignbench.workshop.house import sources
from alignbench.workshop.house.calls import computed
from alignbench.workshop.house.imports import PACKAGE, circles, imported, modules

if TYPE_CHECKING:
    from collections.abc import Sequence

    Counts = dict[str, int]
    Places = dict[str, list[str]]


def places(root: Path, experiment: str, option: str) -> Places:
    """Return, for each count, the places in the clone at `root`."""
    package = modules(root)
    everything = package | modules(root, "benchmarks")
    graph = {name: imported(module, package) for name, module in package.items()}
    return {
        f"source files that mention the experiment {experiment}": sources.mentions(everything, experiment),
        f"pages that mention the experiment {experiment}": sources.pages(root, experiment),
        f"places that write down the option {option}": sources.declarations(package, option),
        "modules that decide ties": sources.deciders_of_ties(package),
        "rooms that run experiments": sources.orchestrations(everything),
        "parameters and attributes that are models, typed Any": sources.untyped_models(package),
        "probes by hasattr and callable(getattr)": sources.probes(package),
        f"files of more than {sources.LONG} lines": sources.long_files(package),
        "class names in several modules": sources.repeated_classes(package),
        "circles of imports": [" ".join(group) for group in circles(graph)],
    }


def counts(root: Path, found: Places, *, run: bool) -> Counts:
    """Return all numbers of the clone at `root`."""
    everything = modules(root) | modules(root, "benchmarks")
    numbers = {what: len(where) for what, where in found.items()}
    numbers["lines of Python without tests"] = sources.lines(everything)
    numbers["of these, lines of code"] = sources.lines_of_code(everything)
    if run:
        numbers |= {f"times that a run computes its {what}": count for what, count in computed(root).items()}
    return numbers


def main(argv: Sequence[str]) -> int:
    """Print the table for the given checkouts, by default for this one."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.workshop house", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="a clone (this one)")
    parser.add_argument("--experiment", default="ELAS", help="whose files are counted (%(default)s)")
    parser.add_argument("--option", default="epochs", help="whose places are counted (%(default)s)")
    parser.add_argument("--no-run", action="store_true", help="don't count the rankings of a small run")
    parser.add_argument("--places", action="store_true", help="list the counted places of the last folder")
    parser.add_argument("--json", action="store_true", help="print numbers and places as JSON")
    options = parser.parse_args(argv)
    roots = [folder.resolve() for folder in options.folders] or [Path(__file__).resolve().parents[3]]
    for root in roots:
        if not (root / PACKAGE / "__init__.py").is_file():
            raise ConfigError(f"{root}: not a clone of {PACKAGE}; name the folder that contains {PACKAGE}/")
    found = {root: places(root, options.experiment, options.option) for root in roots}
    numbers = {root: counts(root, found[root], run=not options.no_run) for root in roots}
    if options.json:
        plain = [{"folder": str(root), "counts": numbers[root], "places": found[root]} for root in roots]
        print(json.dumps(plain, indent=1))
        return 0
    rows = [[what, *(f"{numbers[root][what]:,}" for root in roots)] for what in numbers[roots[0]]]
    right = frozenset(range(1, len(roots) + 1))
    print("\n".join(table(["what", *(root.name for root in roots)], rows, right)))
    if options.places:
        for what, where in found[roots[-1]].items():
            print("\n".join(["", what, *(f"  {one}" for one in where)]))
    return 0
