"""The options of a pytest run, from its command line or else from pytest's configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alignbench.errors import ConfigError
from alignbench.options import OPTIONS
from alignbench.paths import user_path
from alignbench.session.options import DATA_PLACES, Options

if TYPE_CHECKING:
    from alignbench.options import Option


def read_options(config: pytest.Config) -> Options:
    """Return the options of a run.

    Raises:
        ConfigError: a value is not allowed; the message names the option and what it expects.
    """
    given: dict[str, Any] = {}
    file_names: dict[str, str] = {}
    for option in OPTIONS:
        # Options that were added after the command line was parsed have no value there.
        value = getattr(config.option, option.destination, None)
        if value is None and (value := _from_file(config, option)) is not None:
            file_names[option.name] = _name_in_file(config, option)
        given[option.name] = value
    _prefer_the_command_line(given, file_names)
    return Options(
        given,
        folder=config.invocation_params.dir,
        spell=lambda option: file_names.get(option.name, option.flag),
    )


def _prefer_the_command_line(given: dict[str, Any], file_names: dict[str, str]) -> None:
    """Drop data that pytest's configuration file names if the command line names other data."""
    if given["data"] is not None and "data" not in file_names:
        for name in DATA_PLACES:
            if name in file_names:
                given[name] = None
    elif "data" in file_names and any(given[name] and name not in file_names for name in DATA_PLACES):
        given["data"] = None


def _from_file(config: pytest.Config, option: Option[Any]) -> Any:
    """Return the option's value in pytest's configuration file; a relative path starts at that file."""
    name = _name_in_file(config, option)
    try:
        value = config.getini(option.destination)
    except (TypeError, ValueError, pytest.UsageError) as error:
        raise ConfigError(f"{name}: expected {option.expects}; pytest says: {error}") from error
    if option.word and isinstance(value, str):
        return option.parsed(value, name)
    if value is None or option.kind != "path" or config.inipath is None:
        return value
    return str(config.inipath.parent / user_path(value, name))


def _name_in_file(config: pytest.Config, option: Option[Any]) -> str:
    return option.destination if config.inipath is None else f"{config.inipath.name}: {option.destination}"
