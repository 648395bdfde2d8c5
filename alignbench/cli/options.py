"""The options as those of a command: pytest's `--align-epochs 100` is `--epochs 100` here."""

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


def add_options(parser: argparse.ArgumentParser, groups: Mapping[str, Sequence[str]]) -> None:
    """Give a command options by their names, under the titles of their groups."""
    OPTIONS.load_entry_points()
    for title, names in groups.items():
        if names:
            group = parser.add_argument_group(title)
            for name in names:
                _add(group, OPTIONS.get(name))


def _add(group: Any, option: Option[Any]) -> None:
    settings = option.settings()
    if option.is_list:  # after the flag, by commas, or by naming it again
        settings |= {"action": "extend", "nargs": "+", "metavar": option.metavar.partition("[")[0]}
    group.add_argument(option.short_flag, *option.also, dest=option.name, **settings)


def given_options(given: argparse.Namespace) -> dict[str, Any]:
    """Return name -> value of the options that were given."""
    values = {option.name: getattr(given, option.name, None) for option in OPTIONS}
    return {name: value for name, value in values.items() if value is not None}
