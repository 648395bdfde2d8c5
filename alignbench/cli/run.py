"""From a command to the pytest run that it is."""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench import paths
from alignbench.cli.options import given_options
from alignbench.errors import AlignbenchError, ConfigError
from alignbench.options import OPTIONS
from alignbench.plugin.typed import pytest_command

if TYPE_CHECKING:
    import argparse

    from alignbench.experiments import Experiment


def run_experiment(experiment: Experiment, given: argparse.Namespace, extra: list[str]) -> int:
    """Run the tests of one marker."""
    return run_suite(["-m", experiment.name], given, extra)


def run_suite(chosen: list[str], given: argparse.Namespace, extra: list[str], note: str = "") -> int:
    """Say which pytest run a command is, make it, and return pytest's exit status.

    Args:
        chosen: what the command itself selects.
        given: its options.
        extra: what came after `--`: for pytest as it is.
        note: what else there is to say of the selection, in a line of its own.
    """
    workers = [] if given.workers is None else ["-n", str(given.workers)]
    arguments = [*suite_arguments(), *chosen, *OPTIONS.typed(given_options(given)), *workers, *extra]
    print("+", pytest_command(arguments), flush=True)
    if note:
        print(note, flush=True)
    return 0 if given.dry_run else run_pytest(arguments)


def suite_arguments() -> list[str]:
    """Return what pytest needs to find the suite from here: in a clone its folder, else the installed one."""
    here, benchmarks = Path.cwd(), paths.benchmarks()
    # A virtual environment may be in the folder where we are: what is installed there is no clone.
    if benchmarks.is_relative_to(here) and (benchmarks.parent / "conftest.py").is_file():
        return [str(benchmarks.relative_to(here))]
    # The installed suite has no conftest.py, and nothing may be written beside it. A conftest.py where we are
    # may register models; pytest itself would look for one beside the tests only.
    own = ["-p", "conftest"] if (here / "conftest.py").is_file() else []
    plugins = ["-p", "alignbench.plugin.fixtures", *own, "-p", "no:cacheprovider"]
    # -k looks at the names of folders under the root, too, and there is a "cka" in site-packages.
    return [str(benchmarks), *plugins, f"--rootdir={benchmarks}"]


def import_conftest() -> None:
    """Import the conftest.py where we are, if a run from here would: it may register experiments.

    Raises:
        ConfigError: it can't be imported.
    """
    if "conftest" not in suite_arguments() or "conftest" in sys.modules:
        return
    _look_here()
    try:
        importlib.import_module("conftest")
    except AlignbenchError:
        raise
    except Exception as error:
        raise ConfigError(f"conftest.py can't be imported ({type(error).__name__}: {error})") from error


def _look_here() -> None:
    """Let modules where we are be found, as `python -m pytest` has it."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)


def run_pytest(arguments: list[str]) -> int:
    """Run pytest in this process; return its exit status."""
    import pytest

    _look_here()
    # pytest warns of plugins that were imported before it; ours was, and nothing is wrong with that.
    quiet = shlex.join(["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"])
    given = os.environ.get("PYTEST_ADDOPTS")
    os.environ["PYTEST_ADDOPTS"] = f"{quiet} {given or ''}"
    try:
        return int(pytest.main(arguments))
    finally:
        if given is None:
            del os.environ["PYTEST_ADDOPTS"]
        else:
            os.environ["PYTEST_ADDOPTS"] = given
