"""The `alignbench` command. For an experiment, it prints a pytest run and makes it.

Heavy modules are imported by the commands that need them, so that `--help` and `list` answer at once.
"""

from alignbench.cli.main import main

__all__ = ["main"]
