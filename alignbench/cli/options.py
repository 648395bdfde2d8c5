"""The options of the commands: pytest's `--align-epochs 100` is `--epochs 100` here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.options import OPTIONS
from alignbench.session import table  # noqa: F401 (declares the options)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from alignbench.options import Option

COMMON = ("models", "data", "run")
"""The groups of options that the command of every experiment has."""

DATA = ("data", "columns", "type_from", "image_root", "follow_links", "dataset", "data_root", "n_samples")
"""The options that say which data are taken, and how many of them."""


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every command that makes a pytest run."""
    parser.add_argument("--dry-run", action="store_true", help="print the pytest run, but do not make it")
    parser.add_argument(
        "-n", "--workers", metavar="N", help="run on that many processes, or auto (pytest-xdist)"
    )


def add_options(parser: argparse.ArgumentParser, groups: Mapping[str, Sequence[str]]) -> None:
    """Add options to a command.

    Args:
        parser: the parser of the command.
        groups: title of a group -> the names of its options.
    """
    OPTIONS.load_entry_points()
    for title, names in groups.items():
        if names:
            group = parser.add_argument_group(title)
            for name in names:
                _add(group, OPTIONS.get(name))


def _add(group: Any, option: Option[Any]) -> None:
    settings = option.settings()
    if option.is_list:  # the values may follow the flag, be joined by commas, or repeat the flag
        settings |= {"action": "extend", "nargs": "+", "metavar": option.metavar.partition("[")[0]}
    group.add_argument(option.short_flag, *option.also, dest=option.name, **settings)


def given_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return name -> value of the options that the user set."""
    values = {option.name: getattr(arguments, option.name, None) for option in OPTIONS}
    return {name: value for name, value in values.items() if value is not None}
