"""Every option that alignbench itself has, each declared once, in a file for each group.

Every pytest run of an environment imports this: what is heavy is imported when a value is read.
"""

from __future__ import annotations

from alignbench.options import OPTIONS, Option
from alignbench.session.table.data import DataOptions
from alignbench.session.table.experiments import ExperimentOptions
from alignbench.session.table.models import ModelOptions
from alignbench.session.table.run import RunOptions


class BuiltInOptions(ModelOptions, DataOptions, RunOptions, ExperimentOptions):
    """The options, as attributes: on a class that holds values, each is the option's value."""


for _group in BuiltInOptions.__bases__:
    for _option in vars(_group).values():
        if isinstance(_option, Option):
            OPTIONS.add(_option)

__all__ = ["BuiltInOptions"]
