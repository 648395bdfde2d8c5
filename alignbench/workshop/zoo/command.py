"""`python -m alignbench.zoo train NAME` trains a built-in model again; `check NAME` measures it.

`lineages --out DIR` trains the encoders of the validity study.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.paths import cache_home, models_dir
from alignbench.zoo.lineages import LINEAGES, lineage_of
from alignbench.zoo.recipes import RECIPES, recipe_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run the sub-command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.zoo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, help_line in (
        ("train", "train a model and save it"),
        ("check", "measure a model and write its card"),
    ):
        sub = commands.add_parser(command, help=help_line)
        sub.add_argument("name", help=f"one of {', '.join(RECIPES)}")
        sub.add_argument("--out", type=Path, help="the folder of the models (sample_data/models)")
        if command == "train":
            sub.add_argument(
                "--work",
                type=Path,
                default=default_work(),
                help="the folder of drawings and checkpoints (%(default)s)",
            )
            sub.add_argument("--steps", type=int, help="the number of optimizer steps (the recipe's)")
            sub.add_argument("--threads", type=int, default=2, help="torch threads (2)")
    _add_lineages(commands.add_parser("lineages", help="train the encoders of the validity study"))
    options = parser.parse_args(argv)
    if options.command == "lineages":
        from alignbench.workshop.zoo.lineage_training import make_lineages

        chosen = [lineage_of(name) for name in options.names or LINEAGES]
        make_lineages(chosen, options.out, options.work, say, options.threads)
        return 0
    recipe = recipe_of(options.name)
    folder = (options.out or models_dir()) / recipe.name
    if options.command == "train":
        from alignbench.workshop.zoo.training import train_model

        if options.steps:
            recipe = dataclasses.replace(recipe, steps=options.steps)
        train_model(recipe, folder, options.work, say, options.threads)
    else:
        from alignbench.workshop.zoo.check import check_model

        check_model(recipe, folder, say)
    return 0


def _add_lineages(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(LINEAGES)}; all by default")
    parser.add_argument(
        "--out",
        type=Path,
        default=cache_home() / "study" / "lineages",
        help="the folder of the checkpoints (%(default)s)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=default_work(),
        help="the folder of drawings and unfinished trainings (%(default)s)",
    )
    parser.add_argument("--threads", type=int, default=1, help="torch threads (1)")


def default_work() -> Path:
    """Return the user's cache folder for trainings."""
    return cache_home() / "zoo"


def say(line: str) -> None:
    """Print `line` with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
