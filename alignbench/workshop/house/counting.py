"""Counts calls in every Python process of a run, into which this file is copied as `sitecustomize.py`.

`ALIGNBENCH_COUNTED` is a JSON object: `log`, a file that gets one line for each call, and `functions`, which
maps each counted "module:function" to a label. A checkout need not have all of them.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType

VARIABLE = "ALIGNBENCH_COUNTED"


class Counter:
    """Finds the counted modules as Python does, and wraps their functions once they are executed."""

    def __init__(self, log: str, functions: dict[str, str]) -> None:
        self._log = log
        self._functions = functions

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the module's usual specification, with a loader that counts."""
        labels = {
            function.partition(":")[2]: label
            for function, label in self._functions.items()
            if function.partition(":")[0] == name
        }
        spec = PathFinder.find_spec(name, path, target) if labels else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_wrap(module: ModuleType) -> None:
            execute(module)
            for function in labels.keys() & vars(module).keys():
                setattr(module, function, self._counted(getattr(module, function), labels[function]))

        spec.loader.exec_module = execute_and_wrap  # type: ignore[method-assign]
        return spec

    def _counted(self, function: Callable[..., Any], label: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with open(self._log, "a", encoding="utf-8") as log:  # noqa: PTH123 - before any import of ours
                log.write(label + "\n")
            return function(*args, **kwargs)

        return wrapper


if VARIABLE in os.environ and __name__ == "sitecustomize":
    sys.meta_path.insert(0, Counter(**json.loads(os.environ[VARIABLE])))
