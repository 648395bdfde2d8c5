"""Calls the hooks that others implement: an error in one is told in a line, and the run goes on."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.text import clean, cut
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST = 400  # characters of an error's message
# `pytest.fail` and `pytest.skip` raise what is no Exception.
_RAISED = (Exception, pytest.fail.Exception, pytest.skip.Exception)


class HookCalls:
    """Calls every implementation of a hook once, whatever the others raise.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._first: dict[tuple[str, str], BaseException] = {}
        self._calls: dict[tuple[str, str], int] = {}

    def call(self, hook: str, **arguments: Any) -> None:
        """Call a hook, the implementation that was registered last first.

        Args:
            hook: its name.
            arguments: what it is called with, apart from the configuration.

        Raises:
            Exit: an implementation ended the run by `pytest.exit`.
        """
        manager = self._config.pluginmanager
        implementations = manager.subset_hook_caller(hook, ()).get_hookimpls()
        for one in reversed(implementations):
            others = [other.plugin for other in implementations if other is not one]
            try:
                manager.subset_hook_caller(hook, others)(config=self._config, **arguments)
            except pytest.exit.Exception:
                raise
            except _RAISED as error:
                key = (hook, _place(one.function, error, self._config.invocation_params.dir))
                self._first.setdefault(key, error)
                self._calls[key] = self._calls.get(key, 0) + 1

    @property
    def failed(self) -> bool:
        """Whether an implementation raised an error."""
        return bool(self._first)

    def errors(self) -> list[str]:
        """Return a line for each place that raised errors."""
        lines = []
        for (hook, place), error in self._first.items():
            calls = self._calls[hook, place]
            times = f" (the first of {plural(calls, 'call')} that failed)" if calls > 1 else ""
            said = cut(clean(error), _MOST) or "no message"
            lines.append(f"{place}: {hook} raised {type(error).__name__}: {said}{times}")
        return lines

    def lines(self) -> list[str]:
        """Return what the terminal shows: the errors, with `--full-trace` each with its traceback."""
        lines = []
        for said, error in zip(self.errors(), self._first.values(), strict=True):
            lines.append(said)
            if self._config.option.fulltrace:
                lines += "".join(traceback.format_exception(error)).splitlines()
        return lines


def _place(function: Callable[..., object], error: BaseException, folder: Path) -> str:
    """Return the file of an implementation and the last line of it that an error passed through."""
    file = inspect.getsourcefile(inspect.unwrap(function)) or inspect.getfile(function)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    path = Path(file)
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    return clean(f"{shown.as_posix()}:{lines[-1]}" if lines else shown.as_posix())
