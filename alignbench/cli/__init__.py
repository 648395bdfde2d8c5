"""The `alignbench` command: thin; an experiment is the pytest run that it prints.

Nothing heavy is imported before a command needs it: `--help` and `list` answer at once.
"""

from alignbench.cli.main import main

__all__ = ["main"]
