"""Commands that can be typed in the folder where a run was started."""

from __future__ import annotations

import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest


def pytest_command(arguments: Sequence[str]) -> str:
    """Return the pytest run of `arguments` as a line for a shell.

    `-p conftest` finds the conftest.py of the current folder only with `python -m pytest`, which puts that
    folder on the path.
    """
    program = ["python", "-m", "pytest"] if ("-p", "conftest") in pairwise(arguments) else ["pytest"]
    return shlex.join([*program, *arguments])


def item_command(item: pytest.Item, options: Iterable[str]) -> str:
    """Return the command that runs one test, whose path is relative to the folder where pytest was started.

    The path in a node id starts at pytest's root folder instead.
    """
    here = item.config.invocation_params.dir
    file = item.path.relative_to(here) if item.path.is_relative_to(here) else item.path
    _, *inside = item.nodeid.split("::", 1)
    plugins = dict.fromkeys(item.config.option.plugins)
    plugins.pop("no:terminal", None)  # xdist adds it for its workers
    early = [word for name in plugins for word in ("-p", name)]
    if root := item.config.option.rootdir:  # otherwise the same test has another id
        early.append(f"--rootdir={root}")
    return pytest_command(["::".join([file.as_posix(), *inside]), *early, *options])
