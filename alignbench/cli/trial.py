"""`alignbench try`: the first run, and what to do after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.cli.options import add_options
from alignbench.cli.run import run_suite

if TYPE_CHECKING:
    import argparse

EXPERIMENTS = ("cka", "coral", "eas")
_ABOUT = f"""\
Runs {", ".join(EXPERIMENTS)} with the default models and data: built-in toys and drawings, which take
about a minute and no network. Then it says what to do next.
"""
_NEXT = """
The answer is the sentence below the table, and `alignbench compare` gives it for each type of data. The
report opens in a browser; `eas_dashboard.png` beside it is the picture to begin with. The built-in models
are toys: this shows how to read a result, and says nothing about real models.

Next, with your own:
  alignbench list                              the models that can be named
  alignbench data captions.csv                 what a run would take of your data
  alignbench compare --encoders clip siglip2 --llms qwen3 --data captions.csv
                                               a name, hf:org/name, ./folder or npy:vectors.npy
"""


def add_commands(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "try",
        help="the first run: toy models and drawings, in about a minute, and what to do next",
        description=_ABOUT,
        allow_abbrev=False,
    )
    parser.add_argument("--dry-run", action="store_true", help="print the pytest run, but do not make it")
    add_options(parser, {"run": ("output_dir",)})
    parser.set_defaults(run=_try, is_run=True, workers=None)


def _try(arguments: argparse.Namespace, extra: list[str]) -> int:
    status = run_suite(["-m", " or ".join(EXPERIMENTS)], arguments, extra)
    if status == 0 and not arguments.dry_run:
        print(_NEXT)
    return status
