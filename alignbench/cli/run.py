"""Turns a command into a pytest run, and makes it."""

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


def run_experiment(experiment: Experiment, arguments: argparse.Namespace, extra: list[str]) -> int:
    """Run the tests of an experiment."""
    return run_suite(["-m", experiment.name], arguments, extra)


def run_suite(selection: list[str], arguments: argparse.Namespace, extra: list[str], note: str = "") -> int:
    """Print the pytest run of a command, make it, and return pytest's exit status.

    Args:
        selection: the arguments of pytest by which the command selects tests and models.
        arguments: the parsed arguments of the command.
        extra: the arguments after `--`, which are passed to pytest unchanged.
        note: a line about the selection.
    """
    workers = [] if arguments.workers is None else ["-n", str(arguments.workers)]
    options = OPTIONS.typed(given_options(arguments))
    words = [*suite_arguments(), *selection, *options, *workers, *extra]
    print("+", pytest_command(words), flush=True)
    if note:
        print(note, flush=True)
    return 0 if arguments.dry_run else run_pytest(words)


def suite_arguments() -> list[str]:
    """Return the arguments with which pytest finds the suite from here, be it a clone or installed."""
    here, benchmarks = Path.cwd(), paths.benchmarks()
    # A virtual environment may be in the current folder, and what is installed in it is not a clone.
    if benchmarks.is_relative_to(here) and (benchmarks.parent / "conftest.py").is_file():
        return [str(benchmarks.relative_to(here))]
    # The installed suite has no conftest.py, and nothing may be written beside it. The current folder may
    # have one that registers models, which pytest would not find because the tests are elsewhere.
    user_plugin = ["-p", "conftest"] if (here / "conftest.py").is_file() else []
    plugins = ["-p", "alignbench.plugin.fixtures", *user_plugin, "-p", "no:cacheprovider"]
    # Otherwise -k would also match the names of folders above, such as the "cka" in site-packages.
    return [str(benchmarks), *plugins, f"--rootdir={benchmarks}"]


def import_conftest() -> None:
    """Import the conftest.py of the current folder if a run from here would, as it may add experiments.

    Raises:
        ConfigError: it can't be imported.
    """
    if "conftest" not in suite_arguments() or "conftest" in sys.modules:
        return
    _add_current_folder()
    try:
        importlib.import_module("conftest")
    except AlignbenchError:
        raise
    except Exception as error:
        raise ConfigError(f"conftest.py can't be imported ({type(error).__name__}: {error})") from error


def _add_current_folder() -> None:
    """Add the current folder to the path of modules, as `python -m pytest` does."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)


def run_pytest(arguments: list[str]) -> int:
    """Run pytest in this process; return its exit status."""
    import pytest

    _add_current_folder()
    # pytest warns of plugins that were imported before it started, which is harmless for this one.
    quiet = shlex.join(["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"])
    before = os.environ.get("PYTEST_ADDOPTS")
    os.environ["PYTEST_ADDOPTS"] = f"{quiet} {before or ''}"
    try:
        return int(pytest.main(arguments))
    finally:
        if before is None:
            del os.environ["PYTEST_ADDOPTS"]
        else:
            os.environ["PYTEST_ADDOPTS"] = before
