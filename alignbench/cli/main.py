"""The commands with their options, and the function that runs each of them."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from alignbench import __version__
from alignbench.cli import cache, convert, data, doctor, history, listing, page, publish, reports, trial
from alignbench.cli.options import COMMON, add_options, add_run_arguments
from alignbench.cli.run import import_conftest, run_experiment
from alignbench.errors import AlignbenchError
from alignbench.experiments import experiments
from alignbench.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.experiments import Experiment

_PREFIX = "--align-"
_ABOUT = """\
Which vision encoder fits my LLM, and how sure can I be?

An experiment is a pytest run of the benchmarks. The command prints that run, makes it, and returns pytest's
exit status. By default, it uses the built-in toy models and drawings, and downloads nothing.
"""
_EXAMPLES = """\
examples:
  alignbench coral --encoders clip siglip --llms llama --n-samples 30
  alignbench multi-llm --encoders clip,mine=hf:org/name --llms qwen gemma3 --data captions.csv
  alignbench attention --image photo.png --text "a dog" "a ball"
  alignbench data captions.csv             what a run would take of it, with a contact sheet
  alignbench convert weights.pth --arch timm:resnet50 --to resnet50
  alignbench from-arrays vision.npy text.npy --labels types.txt
  alignbench diff reports/monday reports/latest --fail linear_cka:0.02,eas:5%
  alignbench history reports               how the scores have changed over the runs of a folder
  alignbench compare --dry-run             only print the pytest run
  alignbench coral -- -x --durations=5     pass the arguments after -- to pytest
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status, which is pytest's for an experiment."""
    words = list(sys.argv[1:] if argv is None else argv)
    extra: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, extra = words[:at], words[at + 1 :]
    # Messages name options as pytest takes them; users may type them in that form here, too.
    words = [f"--{word.removeprefix(_PREFIX)}" if word.startswith(_PREFIX) else word for word in words]
    try:
        parser = _parser_for(words)
        arguments = parser.parse_args(words)
        if arguments.run is None:
            parser.print_help()
            return 0
        if extra and not arguments.is_run:
            parser.error("arguments after -- are for pytest, and this command does not run pytest")
        status: int = arguments.run(arguments, extra) if arguments.is_run else arguments.run(arguments)
        sys.stdout.flush()
    except AlignbenchError as error:
        print(f"alignbench: {error}", file=sys.stderr)
        return 4  # like pytest's status for wrong usage
    except BrokenPipeError:  # the reader has stopped, as in `alignbench list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush does not fail
        return 1
    return status


def _parser_for(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser; if the command may need them, with the experiments of the current conftest.py.

    For other commands, conftest.py is not imported, because the user's code may take long or fail.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    if command in ("list", "ui"):
        import_conftest()
        return build_parser(command)
    parser = build_parser(command)
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not command or command in commands.choices:
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
    trial.add_commands(commands)
    for experiment in experiments():
        _add_experiment(commands, experiment, with_options=command in (None, experiment.command))
    for module in (data, reports, history, publish, listing, convert, doctor, cache, page):
        module.add_commands(commands)
    return parser


def _add_experiment(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    experiment: Experiment,
    *,
    with_options: bool,
) -> None:
    question = f"{experiment.question} (takes minutes)" if experiment.long else experiment.question
    parser = commands.add_parser(
        experiment.command,
        help=question,
        description=f"{question}. The options are those of the pytest plugin without `align-`; arguments "
        "after `--` are passed to pytest.",
        allow_abbrev=False,
    )
    if not with_options:
        return
    add_run_arguments(parser)
    common = {group: OPTIONS.of_group(group) for group in COMMON}
    add_options(parser, {experiment.command: experiment.options, **common})
    parser.set_defaults(run=partial(run_experiment, experiment), is_run=True)
