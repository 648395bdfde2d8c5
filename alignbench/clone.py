"""What only a clone has: the workshop, which trains the built-in models and measures the suite itself."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from alignbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

_WORKSHOP = "alignbench.workshop"


def workshop(module: str, purpose: str) -> ModuleType:
    """Import a module of the workshop by its name, because an installed package has none.

    Args:
        module: the module's name below `alignbench.workshop`.
        purpose: what the module is needed for; the message begins with it.

    Raises:
        ConfigError: the installed package has no workshop.
    """
    try:
        return importlib.import_module(f"{_WORKSHOP}.{module}")
    except ModuleNotFoundError as error:
        if error.name != _WORKSHOP:
            raise
        raise ConfigError(
            f"{purpose} needs a clone of alignbench's repository, installed with `pip install -e .`: "
            "the installed package leaves that part out"
        ) from None


def run_workshop(module: str, program: str, arguments: Sequence[str]) -> int:
    """Run `main(arguments)` of a module of the workshop; return the exit status.

    Args:
        module: the module's name below `alignbench.workshop`.
        program: what the user typed, for the message.
        arguments: the arguments of the command line.
    """
    try:
        status: int = workshop(module, f"`{program}`").main(arguments)
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return status
