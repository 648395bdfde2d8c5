"""The values of a session's options: those that the user set, checked, and the defaults."""

from __future__ import annotations

import os
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

from alignbench.config import Config, load_config
from alignbench.datasets.roots import VARIABLE
from alignbench.errors import ConfigError
from alignbench.experiments import experiments
from alignbench.experiments.layouts import Reach
from alignbench.options import OPTIONS, Option
from alignbench.session.table import BuiltInOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

T = TypeVar("T")
Names = tuple[str, ...]
DATA_PLACES = ("dataset", "data_root")
"""Options that name data, as `data` does; with it, they can't be given."""


class Options(BuiltInOptions):
    """The options of a session, each with its value: the one that the user set, else the default.

    `options.value_of(option)` also returns the values of options that others have added to `OPTIONS`.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        *,
        folder: Path | None = None,
        spell: Callable[[Option[Any]], str] = lambda option: option.flag,
    ) -> None:
        """Check the values that the user set.

        Args:
            given: name -> value; None is the same as no value.
            folder: the folder in which to look for alignbench.yaml; None for the current folder.
            spell: returns an option's name as the user writes it, for the messages.

        Raises:
            ConfigError: a value is not allowed; the message names the option and what it expects.
            UnknownNameError: there is no such option.
        """
        self._given = {OPTIONS.get(name).name: value for name, value in given.items() if value is not None}
        self._spell = spell
        self._defaults: Mapping[str, Any] = {}
        self._values = {
            name: OPTIONS.get(name).read(value, self.spelled(name)) for name, value in self._given.items()
        }
        for name in DATA_PLACES:
            if "data" in self._given and name in self._given:
                both = f"{self.spelled('data')} and {self.spelled(name)}"
                raise ConfigError(f"{both} both name data; give one of them")
        for option in OPTIONS:
            if option.needs and self._values.get(option.name) and not self._values.get(option.needs[0]):
                other, why = option.needs
                raise ConfigError(f"{spell(option)}: {why}, by {self.spelled(other)}")
        self.config: Config = load_config(self.config_file, folder=folder)

    def value_of(self, option: Option[T]) -> T:
        """Return the value of an option: the one that the user set, else its default."""
        name = option.name
        if name in self._values:
            value: T = self._values[name]
        elif name in self._defaults:
            value = self._defaults[name]
        elif option.configured:
            value = getattr(self.config, option.configured)
        else:
            value = option.default() if callable(option.default) else option.default
        return value

    def with_defaults(self, defaults: Mapping[str, Any]) -> Options:
        """Return the same options with other defaults for those that the user did not set.

        Args:
            defaults: name -> value, or a function that computes the value from the session's configuration.

        Raises:
            ConfigError: a value is not allowed.
            UnknownNameError: there is no such option.
        """
        options = copy(self)
        values = {name: value(self.config) if callable(value) else value for name, value in defaults.items()}
        options._defaults = dict(self._defaults)
        for name, value in values.items():
            options._defaults[name] = OPTIONS.get(name).read(value, f"the default of {name}")
        return options

    def is_given(self, name: str) -> bool:
        """Whether the user set the option."""
        return name in self._given

    def spelled(self, name: str) -> str:
        """Return an option's name as the user writes it, for messages."""
        return self._spell(OPTIONS.get(name))

    def __getitem__(self, name: str) -> Any:
        """Return the value of an option by its name, or a property that combines several.

        Raises:
            UnknownNameError: there is no such option.
        """
        if name in OPTIONS or name not in vars(Options):
            return self.value_of(OPTIONS.get(name))
        return getattr(self, name)

    @property
    def given(self) -> Names:
        """The options that the user set and that shape scores, as arguments of pytest's command line."""
        typed = dict(self._given)
        if self.data is None:
            typed["data_root"] = self._given.get("data_root") or os.environ.get(VARIABLE)
        return tuple(OPTIONS.typed({name: typed[name] for name in typed if OPTIONS.get(name).shapes_scores}))

    @property
    def compared_llms(self) -> Names:
        """The LLMs that are compared with each other."""
        return self.llms if self.is_given("llms") else self.config.compared_llms

    @property
    def names_data(self) -> bool:
        """Whether an option, the environment or the configuration names the data."""
        named = (self.data, self.dataset, self.data_root, os.environ.get(VARIABLE), self.config.data_root)
        return any(place is not None and place != "" for place in named)

    @property
    def reach(self) -> Reach:
        """The numbers of neighbours that t-SNE and UMAP look at."""
        return Reach(self.perplexity, self.neighbors)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as a report records them; of the configuration only its origin."""
        return {
            **{option.name: self.value_of(option) for option in OPTIONS},
            "config": list(self.config.origin),
            "compare_fail": list(map(str, self.compare_fail)),
            "compared_llms": self.compared_llms,
            "n_samples_given": self.is_given("n_samples"),
            **{
                f"{experiment.name}_{name}": self.with_defaults(experiment.defaults)[name]
                for experiment in experiments()
                for name in experiment.defaults
            },
            "given": self.given,
        }
