"""What can be chosen, what was chosen, and what stays in memory from one click to the next."""

from __future__ import annotations

import shlex
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from alignbench.config import Config, load_config
from alignbench.datatypes import RESERVED
from alignbench.errors import AlignbenchError, ConfigError
from alignbench.options import OPTIONS
from alignbench.paths import user_path
from alignbench.session.options import Options
from alignbench.session.session import Session
from alignbench.types import TOYS
from alignbench.weights.custom import Custom

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from alignbench.encoders import Encoder
    from alignbench.llms import LLM

H = TypeVar("H", bound="Encoder | LLM")

SUITES = 4  # whose embeddings stay in memory
LOADED = 2  # models
LOADED_BYTES = 2 * 2**30  # of their weights together; a larger model is freed after its work

Choice = tuple[str, str]


@dataclass(frozen=True)
class Chooser:
    """The names that the page offers.

    A browser may choose among these and name nothing else: a spec may be a folder.

    Args:
        given: the options that the command was started with; they hold in every run of the page.
    """

    given: Mapping[str, Any] = field(default_factory=dict)

    def encoders(self) -> list[Choice]:
        """Return (what is shown, name) of every encoder."""
        from alignbench.encoders import ENCODERS, resolve

        sources = self._config.encoders
        names = (*self._specs("encoders"), *ENCODERS.names(), *sources)
        return [(_marked(name, lambda n: resolve(n, sources=sources)), name) for name in dict.fromkeys(names)]

    def llms(self) -> list[Choice]:
        """Return (what is shown, name) of every LLM."""
        from alignbench.llms import LLMS, resolve

        sources = self._config.llms
        names = (*self._specs("llms"), *LLMS.names(), *sources)
        return [(_marked(name, lambda n: resolve(n, sources=sources)), name) for name in dict.fromkeys(names)]

    def defaults(self) -> dict[str, Any]:
        """Return what is chosen at first."""
        base = self._config
        return {
            "encoders": list(self._specs("encoders") or base.default_encoders),
            "llms": list(self._specs("llms") or base.default_llms),
            "n_samples": self.given.get("n_samples") or base.n_samples,
            "seed": base.seed if self.given.get("seed") is None else self.given["seed"],
        }

    def data_types(self) -> list[str]:
        """Return the types of the data; none where it is rows of arrays of which no type is known.

        Raises:
            AlignbenchError: there is no data.
        """
        session = Session(self.options({"n_samples": 10**9}))
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
    def _config(self) -> Config:
        path = self.given.get("config")
        return load_config(None if path is None else user_path(path, "--config"))

    def _specs(self, what: str) -> tuple[str, ...]:
        return tuple(name.strip() for given in self.given.get(what) or () for name in given.split(","))


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


class Suites:
    """The last few selections, with what they have embedded."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Session] = OrderedDict()

    def get(self, options: Options) -> Session:
        """Return the session of these options: the one that there is, or a new one."""
        # What else is chosen plays no part in what is embedded.
        key = repr((options.encoders, options.llms, options.data_types, options.n_samples, options.seed))
        session = self._kept.pop(key, None) or Session(options)
        session.options = options
        self._kept[key] = session
        while len(self._kept) > SUITES:
            self._kept.popitem(last=False)[1].release()
        return session

    def forget(self, session: Session) -> None:
        """Drop a session in which something failed: it would remember that, and not try again."""
        self._kept = OrderedDict((key, kept) for key, kept in self._kept.items() if kept is not session)


class Loaded:
    """The last few models that were used as such, in memory as long as they are small."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], Encoder | LLM] = OrderedDict()

    def get(self, model: H, device: str, dtype: str) -> H:
        """Return the model in memory: the one that was loaded before, if it is the same."""
        info = model.info
        key = (info.side, info.label, info.source, repr(sorted(info.params.items(), key=str)), device, dtype)
        # The key names side and class of what it stands for: `H` again.
        kept = cast("H | None", self._kept.pop(key, None))
        if kept is None or not kept.loaded:
            self._make_room()
            kept = model
            kept.load(device, dtype)
        self._kept[key] = kept
        return kept

    def tidy(self) -> None:
        """Free models until what stays is little."""
        while self._kept and (
            len(self._kept) > LOADED or sum(map(loaded_bytes, self._kept.values())) > LOADED_BYTES
        ):
            self._kept.popitem(last=False)[1].unload()

    def clear(self) -> None:
        """Free all."""
        while self._kept:
            self._kept.popitem()[1].unload()

    def _make_room(self) -> None:
        while len(self._kept) >= LOADED:
            self._kept.popitem(last=False)[1].unload()


def loaded_bytes(model: Encoder | LLM) -> int:
    """Return the size of a model's files, 0 where they are not on this machine."""
    try:
        located = model.source.local(model.wanted)
    except AlignbenchError:
        return 0
    return 0 if located is None else sum(path.stat().st_size for path in located.weights)
