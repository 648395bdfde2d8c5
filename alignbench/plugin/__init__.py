"""The pytest plugin's entry point: the options of the command line and of configuration files, and its hooks.

Every pytest run in an environment with alignbench imports it, also those of other projects. So it has no
fixtures, it only adds options and hooks, and it imports nothing but pytest and the table of options. Fixtures
and what implements hooks are in `alignbench.plugin.fixtures`, which a root conftest.py loads:
`pytest_plugins = ["alignbench.plugin.fixtures"]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from alignbench.options import OPTIONS
from alignbench.session import table  # noqa: F401 (declares the options)

if TYPE_CHECKING:
    import pytest

    from alignbench.options import Kind, Option

_TYPES: dict[Kind, Literal["string", "int", "float", "bool", "linelist"]] = {
    "text": "string",
    "path": "string",
    "integer": "int",
    "number": "float",
    "switch": "bool",
    "names": "linelist",
    "integers": "linelist",
    "texts": "linelist",
}


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that others can implement."""
    from alignbench.plugin import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add all options, including those of other packages; `alignbench.plugin.options` reads them."""
    group = parser.getgroup("alignbench", "alignbench: vision encoders against LLMs")

    def add(option: Option[Any]) -> None:
        group.addoption(option.flag, dest=option.destination, **option.settings())
        kind = "string" if option.word else _TYPES[option.kind]
        parser.addini(option.destination, option.help, type=kind, default=None)

    OPTIONS.listen(add)
