"""The commands, their options, and which function does each."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from alignbench import __version__
from alignbench.cli import cache, doctor, listing, page, reports
from alignbench.cli.options import COMMON, add_options
from alignbench.cli.run import import_conftest, run_experiment
from alignbench.errors import AlignbenchError
from alignbench.experiments import experiments
from alignbench.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alignbench.experiments import Experiment

_PREFIX = "--align-"
_ABOUT = """\
Which vision encoder fits my LLM, and how sure can I be?

An experiment is a pytest run of the benchmarks; the command prints it, makes it, and returns pytest's exit
status. Without options it takes the built-in toy models and drawings: nothing is downloaded.
"""
_EXAMPLES = """\
examples:
  alignbench coral --encoders clip siglip --llms llama --n-samples 30
  alignbench multi-llm --encoders clip,mine=hf:org/name --llms qwen gemma3 --data-root DIR
  alignbench attention --image photo.png --text "a dog" "a ball"
  alignbench from-arrays vision.npy text.npy --labels types.txt
  alignbench diff reports/monday reports/latest --fail linear_cka:0.02,eas:5%
  alignbench compare --dry-run             print the pytest run, and make none
  alignbench coral -- -x --durations=5     what stands after -- is for pytest
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status, for an experiment pytest's."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    extra: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, extra = arguments[:at], arguments[at + 1 :]
    # Messages name the plugin's options as pytest takes them, and what they say can be typed here as well.
    arguments = [f"--{a.removeprefix(_PREFIX)}" if a.startswith(_PREFIX) else a for a in arguments]
    try:
        parser = _parser_for(arguments)
    except AlignbenchError as error:
        print(f"alignbench: {error}", file=sys.stderr)
        return 4
    given = parser.parse_args(arguments)
    if given.run is None:
        parser.print_help()
        return 0
    if extra and not given.is_run:
        parser.error("what stands after -- is for pytest, and this command makes no pytest run")
    try:
        status: int = given.run(given, extra) if given.is_run else given.run(given)
        sys.stdout.flush()
    except AlignbenchError as error:
        print(f"alignbench: {error}", file=sys.stderr)
        return 4  # as pytest's for wrong usage
    except BrokenPipeError:  # `alignbench list | head`: whoever reads has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # and nothing is left to flush
        return 1
    return status


def _parser_for(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser, with experiments of the conftest.py where we are if the command may be about them.

    It is not imported for other commands: it is the user's code, and may take long or fail.
    """
    command = next((word for word in arguments if not word.startswith("-")), "")
    parser = build_parser(command)
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not command or command in set(commands.choices) - {"list", "ui"}:
        return parser
    import_conftest()
    return build_parser(command)


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        command: the experiment whose options it has to know, because to declare those of all takes a while;
            None for all of them.
    """
    parser = argparse.ArgumentParser(
        "alignbench",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=16),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"alignbench {__version__}")
    parser.set_defaults(run=None, is_run=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for experiment in experiments():
        _add_experiment(commands, experiment, with_options=command in (None, experiment.command))
    for module in (reports, listing, doctor, cache, page):
        module.add_commands(commands)
    return parser


def _add_experiment(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    experiment: Experiment,
    *,
    with_options: bool,
) -> None:
    about = experiment.question + (" (takes minutes)" if experiment.long else "")
    parser = commands.add_parser(
        experiment.command,
        help=about,
        description=f"{about}. Options are those of the pytest plugin without `align-`; `--` ends them: what "
        "comes after is for pytest.",
        allow_abbrev=False,
    )
    if not with_options:
        return
    parser.add_argument("--dry-run", action="store_true", help="print the pytest run, and make none")
    parser.add_argument(
        "-n", "--workers", metavar="N", help="run on so many processes, or auto (pytest-xdist)"
    )
    add_options(
        parser,
        {experiment.command: experiment.options, **{group: OPTIONS.of_group(group) for group in COMMON}},
    )
    parser.set_defaults(run=_runner(experiment), is_run=True)


def _runner(experiment: Experiment) -> Callable[[argparse.Namespace, list[str]], int]:
    return lambda given, extra: run_experiment(experiment, given, extra)
