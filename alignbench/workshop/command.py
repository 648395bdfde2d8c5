"""The workshop's command lines: the first argument names a module, which receives the other arguments."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from alignbench.errors import AlignbenchError, UnknownNameError
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence


def dispatch(program: str, package: str, names: Sequence[str], arguments: Sequence[str]) -> int:
    """Run `main` of the module that the first argument names, with the others; return the exit status.

    Args:
        program: what the user typed, for messages.
        package: the package of the modules.
        names: the modules that may run.
        arguments: the arguments of the command line.
    """
    usage = f"{program} NAME [options]; NAME: {', '.join(names)}"
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage)
        return 0 if arguments else 2
    try:
        if arguments[0] not in names:
            raise UnknownNameError(unknown("command", arguments[0], names))
        module = importlib.import_module(f"{package}.{arguments[0]}")
        status: int | None = module.main(list(arguments[1:]))
    except AlignbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return status or 0
