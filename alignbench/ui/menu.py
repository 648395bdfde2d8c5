"""What the page offers, and the options that follow from what was chosen."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alignbench.datatypes import RESERVED
from alignbench.errors import AlignbenchError, ConfigError
from alignbench.options import OPTIONS
from alignbench.session.options import Options
from alignbench.session.session import Session
from alignbench.types import TOYS
from alignbench.weights.custom import Custom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from alignbench.encoders import Encoder
    from alignbench.llms import LLM

Choice = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Choices:
    """What the controls offer, collected once.

    Args:
        encoders: (text on the page, name) of each.
        llms: the same of the LLMs.
        data_types: the types of the data; none where it has none.
        defaults: name of an option -> its value at first, where the command or the configuration says it.
    """

    encoders: list[Choice]
    llms: list[Choice]
    data_types: list[str]
    defaults: dict[str, Any]


@dataclass(frozen=True)
class Menu:
    """The names that the page offers.

    A browser may choose among these and name nothing else: a spec may be a folder.

    Args:
        given: the options that the command was started with; they hold in every run of the page.
    """

    given: Mapping[str, Any] = field(default_factory=dict)

    def choices(self) -> Choices:
        """Return all that can be chosen, and what is chosen at first.

        Raises:
            AlignbenchError: there is no data.
        """
        return Choices(self.encoders(), self.llms(), self.data_types(), self.defaults())

    def encoders(self) -> list[Choice]:
        """Return (text on the page, name) of every encoder."""
        from alignbench.encoders import ENCODERS, resolve

        sources = self._base.config.encoders
        names = (*self._named("encoders"), *ENCODERS.names(), *sources)
        return [(_marked(name, lambda n: resolve(n, sources=sources)), name) for name in dict.fromkeys(names)]

    def llms(self) -> list[Choice]:
        """Return (text on the page, name) of every LLM."""
        from alignbench.llms import LLMS, resolve

        sources = self._base.config.llms
        names = (*self._named("llms"), *LLMS.names(), *sources)
        return [(_marked(name, lambda n: resolve(n, sources=sources)), name) for name in dict.fromkeys(names)]

    def defaults(self) -> dict[str, Any]:
        """Return what is chosen at first."""
        options = self._base
        return {
            "encoders": list(options.encoders),
            "llms": list(options.llms),
            "n_samples": options.config.n_samples if options.n_samples == "all" else options.n_samples,
            "seed": options.seed,
        }

    def data_types(self) -> list[str]:
        """Return the types of the data; none where it is rows of arrays of which no type is known.

        Raises:
            AlignbenchError: there is no data.
        """
        session = Session(self.options({"n_samples": "all"}))
        return [name for name in session.dataset.data_types if name not in RESERVED]

    def options(self, chosen: Mapping[str, Any]) -> Options:
        """Return the options of a run, checked as those of a pytest run are.

        Raises:
            ConfigError: a value that can't be, or a model that the page does not offer.
        """
        for what, offered in (("encoders", self.encoders), ("llms", self.llms)):
            if what in chosen:
                _check_names(what, chosen[what], [name for _, name in offered()])
        return Options({**self.given, **chosen})

    def command(self, experiment: str, chosen: Mapping[str, Any], extra: Iterable[str] = ()) -> str:
        """Return the command that makes the same run in a terminal."""
        words = ["alignbench", experiment]
        merged = {**self.given, **chosen}
        for option in OPTIONS:
            value = merged.get(option.name)
            if value is None or value == [] or (option.kind == "switch" and value is option.default):
                continue
            words.append(option.short_flag)
            if option.kind != "switch":
                words += [str(element) for element in value] if isinstance(value, list) else [str(value)]
        return shlex.join([*words, *extra])

    @property
    def _base(self) -> Options:
        """The options of a run in which nothing was chosen."""
        return Options(self.given)

    def _named(self, name: str) -> tuple[str, ...]:
        """Return the models of a side that the command names."""
        return tuple(self._base[name]) if self._base.is_given(name) else ()


def _check_names(what: str, chosen: Iterable[str], offered: list[str]) -> None:
    names = list(chosen)
    noun = "LLM" if what == "llms" else "encoder"
    if not names:
        raise ConfigError(f"choose at least one {noun}")
    if unknown := [name for name in names if name not in offered]:
        raise ConfigError(
            f"{noun} {unknown[0]!r} is not on the list; to have it there, start with "
            f"alignbench ui --{what} {unknown[0]}"
        )


def _marked(name: str, resolve: Callable[[str], Encoder | LLM | Custom]) -> str:
    """Return the name, with what speaks against choosing it."""
    try:
        handle = resolve(name)
        if handle.info.weights == "random":
            return f"{name} (untrained)"
        if isinstance(handle, Custom):
            return name
        if handle.info.weights in TOYS:
            return f"{name} ({handle.info.weights_words})"
        return name if handle.source.local(handle.wanted) is not None else f"{name} (not at hand: a download)"
    except AlignbenchError:
        return f"{name} (can't be used here)"
