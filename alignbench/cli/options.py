"""The plugin's options as options of a command: `--align-epochs 100` is `--epochs 100` here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench import plugin

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

_PREFIX = "--align-"
# What the research toolkit called them.
_ALSO = {"prompt": ("--text",), "method": ("--methods",)}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the plugin.

    Args:
        name: "batch_sizes".
        flag: as pytest takes it: "--align-batch-sizes".
        help: its line.
        settings: what else argparse is told.
    """

    name: str
    flag: str
    help: str
    settings: dict[str, Any]

    @property
    def short(self) -> str:
        """The flag of the command: without the prefix that keeps pytest's options apart."""
        return f"--{self.flag.removeprefix(_PREFIX)}" if self.flag.startswith(_PREFIX) else self.flag

    @property
    def is_list(self) -> bool:
        """Whether it takes several values: after it, by commas, or by naming it again."""
        return self.settings.get("action") == "append"


class _Collector:
    """Stands where pytest's parser would, and notes the options that the plugin adds."""

    def __init__(self) -> None:
        self.found: dict[str, Option] = {}

    def getgroup(self, name: str, description: str = "") -> _Collector:
        return self

    def addoption(self, flag: str, *, dest: str, help: str, **settings: Any) -> None:
        name = dest.removeprefix("alignbench_")
        self.found[name] = Option(name, flag, help, settings)


def plugin_options() -> dict[str, Option]:
    """Return every option of the pytest plugin by name."""
    collector: Any = _Collector()
    plugin.pytest_addoption(collector)
    found: dict[str, Option] = collector.found
    return found


def add_options(parser: argparse.ArgumentParser, groups: Mapping[str, Sequence[str]]) -> None:
    """Give a command options of the plugin, by the titles of their groups."""
    known = plugin_options()
    for title, names in groups.items():
        if names:
            group = parser.add_argument_group(title)
            for name in names:
                _add(group, known[name])


def _add(group: Any, option: Option) -> None:
    settings = dict(option.settings)
    if option.is_list:
        settings |= {"action": "extend", "nargs": "+", "metavar": settings["metavar"].partition("[")[0]}
    flags = (option.short, *_ALSO.get(option.name, ()))
    group.add_argument(*flags, dest=option.name, help=option.help, **settings)


def pytest_arguments(given: argparse.Namespace) -> Iterator[str]:
    """Yield the options that were given, as pytest takes them."""
    for option in plugin_options().values():
        value = getattr(given, option.name, None)
        if value is None or value is False:
            continue
        if value is True:
            yield option.flag
        elif not option.is_list:
            yield f"{option.flag}={value}"
        elif "[" in option.settings["metavar"]:
            yield f"{option.flag}={','.join(value)}"
        else:  # values that may hold commas: the option once a value
            yield from (f"{option.flag}={one}" for one in value)
