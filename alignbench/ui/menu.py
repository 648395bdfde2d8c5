"""What the page offers, and the options that follow from a visitor's choice."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from functools import partial
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
_TOY = " (toy)"


@dataclass(frozen=True, slots=True)
class Choices:
    """What the controls offer, collected once.

    Args:
        encoders: (text on the page, name) of each encoder.
        llms: (text on the page, name) of each LLM.
        data_types: the types of the data; empty if they are unknown.
        defaults: name of an option -> its initial value, if the command or the configuration sets it.
    """

    encoders: list[Choice]
    llms: list[Choice]
    data_types: list[str]
    defaults: dict[str, Any]

    @property
    def toys(self) -> bool:
        """Whether a toy model is chosen at first."""
        texts = {name: text for text, name in (*self.encoders, *self.llms)}
        chosen = (*self.defaults["encoders"], *self.defaults["llms"])
        return any(texts.get(name, "").endswith(_TOY) for name in chosen)


@dataclass(frozen=True)
class Menu:
    """The names that the page offers.

    A browser may choose among these names only, because any other one could be the path of a folder.

    Args:
        given: the options of the command; they apply to every run of the page.
    """

    given: Mapping[str, Any] = field(default_factory=dict)

    def choices(self) -> Choices:
        """Return everything that can be chosen, and the initial choice.

        Raises:
            AlignbenchError: there is no data.
        """
        return Choices(self.encoders(), self.llms(), self.data_types(), self.defaults())

    def encoders(self) -> list[Choice]:
        """Return (text on the page, name) of every encoder."""
        from alignbench.encoders import ENCODERS, resolve

        return self._offered("encoders", ENCODERS.names(), self._base.config.encoders, resolve)

    def llms(self) -> list[Choice]:
        """Return (text on the page, name) of every LLM."""
        from alignbench.llms import LLMS, resolve

        return self._offered("llms", LLMS.names(), self._base.config.llms, resolve)

    def defaults(self) -> dict[str, Any]:
        """Return the initial choice."""
        options = self._base
        return {
            "encoders": list(options.encoders),
            "llms": list(options.llms),
            "n_samples": options.config.n_samples if options.n_samples == "all" else options.n_samples,
            "seed": options.seed,
        }

    def data_types(self) -> list[str]:
        """Return the types of the data; an empty list if it has none, like rows of arrays without labels.

        Raises:
            AlignbenchError: there is no data.
        """
        session = Session(self.options({"n_samples": "all"}))
        return [name for name in session.dataset.data_types if name not in RESERVED]

    def options(self, chosen: Mapping[str, Any]) -> Options:
        """Return the options of a run, checked like those of a pytest run.

        Raises:
            ConfigError: a value is not allowed, or the page does not offer a model.
        """
        for option, offered in (("encoders", self.encoders), ("llms", self.llms)):
            if option in chosen:
                _check_names(option, chosen[option], [name for _, name in offered()])
        return Options({**self.given, **chosen}, spell=lambda option: option.label)

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

    def _offered(
        self,
        option: str,
        registered: Iterable[str],
        sources: Mapping[str, str],
        resolve: Callable[..., Encoder | LLM | Custom],
    ) -> list[Choice]:
        """Return the models of a side: first those that the command names, then all that are known."""
        named = self._base[option] if self._base.is_given(option) else ()
        names = dict.fromkeys((*named, *registered, *sources))
        return [(_described(name, partial(resolve, sources=sources)), name) for name in names]


def _check_names(option: str, chosen: Iterable[str], offered: list[str]) -> None:
    names = list(chosen)
    noun = "LLM" if option == "llms" else "encoder"
    if not names:
        raise ConfigError(f"choose at least one {noun}")
    if unknown := [name for name in names if name not in offered]:
        raise ConfigError(
            f"{noun} {unknown[0]!r} is not on the list; to put it there, start with "
            f"alignbench ui --{option} {unknown[0]}"
        )


def _described(name: str, resolve: Callable[[str], Encoder | LLM | Custom]) -> str:
    """Return the name with what visitors should know before they choose the model."""
    try:
        handle = resolve(name)
        if handle.info.weights == "random":
            return f"{name} (untrained)"
        if isinstance(handle, Custom):
            return name
        if handle.info.weights in TOYS:
            return f"{name}{_TOY}"
        return name if handle.source.local(handle.wanted) is not None else f"{name} (not at hand: a download)"
    except AlignbenchError:
        return f"{name} (can't be used here)"
