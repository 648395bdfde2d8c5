"""The options of a run, each declared once; pytest, the command, ini files and the page derive from it.

Every pytest run of an environment imports this module for its options, so it imports only the standard
library.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, SupportsFloat, TypeVar, cast, overload

from alignbench.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")
Kind = Literal["text", "path", "integer", "number", "switch", "names", "integers", "texts"]
"""`names` and `integers` are comma-separated lists without repetition; elements of `texts` may hold
commas."""

SEVERAL = frozenset({"names", "integers", "texts"})
_EXPECTED: dict[Kind, str] = {
    "text": "a text",
    "path": "a path",
    "integer": "a whole number",
    "number": "a number",
    "switch": "true or false",
    "names": "a list of names",
    "integers": "a list of whole numbers",
    "texts": "a list of texts",
}
ENTRY_POINTS = "alignbench.options"
PREFIX = "--align-"


class HasOptions(Protocol):
    """An object that holds the values of options."""

    def value_of(self, option: Option[T]) -> T:
        """Return the option's value: the one that was set, else the default."""


@dataclass(kw_only=True)
class Option(Generic[T]):
    """One option. As an attribute of a class that holds options, it returns its value there.

    Args:
        help: one line; the default is appended to it if `default` states it.
        flag_help: the help of a switch's flag, if the flag sets the option to False.
        kind: the kind of value.
        name: the keyword in Python and the name in scores.json; by default the attribute's name.
        group: the heading under which a command lists it; all experiments have "models", "data" and "run".
        metavar: the placeholder of the value in the help; by default the name.
        default: the value if none is set; a function if it depends on a registry.
        configured: the field of `Config` that holds the default, which `alignbench.yaml` can change.
        choices: the values that are allowed; a function if they depend on a registry.
        least: the smallest number that is allowed.
        check: converts a value of the right kind to the final one, or raises a ConfigError that begins with
            the name passed to it.
        needs: the name of another option that has to be set for this one to make sense, and the message if it
            is not.
        shapes_scores: whether scores depend on it, so that the command that reproduces a score repeats it.
        flag: pytest's flag; by default `--align-` and the name.
        also: further flags of the command.
        label: its label on the page.
        most: the largest number that the page accepts, so that a visitor can't occupy the machine for hours.
        word: a word that is accepted in place of a number, such as "all".
    """

    help: str
    flag_help: str = ""
    kind: Kind = "text"
    name: str = ""
    group: str = ""
    metavar: str = ""
    default: Any = None
    configured: str = ""
    choices: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
    least: int | None = None
    check: Callable[[Any, str], T] | None = None
    needs: tuple[str, str] | None = None
    shapes_scores: bool = True
    flag: str = ""
    also: tuple[str, ...] = ()
    label: str = ""
    most: int | None = None
    word: str = ""

    def __post_init__(self) -> None:
        if self.name:
            self.__set_name__(type(self), self.name)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name
        self.flag = self.flag or PREFIX + self.name.replace("_", "-")
        self.metavar = self.metavar or self.name.upper()
        self.label = self.label or self.name.replace("_", " ").capitalize()

    @overload
    def __get__(self, holder: None, owner: type) -> Option[T]: ...

    @overload
    def __get__(self, holder: HasOptions, owner: type) -> T: ...

    def __get__(self, holder: HasOptions | None, owner: type) -> Option[T] | T:
        return self if holder is None else holder.value_of(self)

    @property
    def destination(self) -> str:
        """The name among pytest's options and in its configuration files, which other plugins share."""
        return f"alignbench_{self.name}"

    @property
    def short_flag(self) -> str:
        """The flag of the command: without the prefix that sets pytest's options apart."""
        return f"--{self.flag.removeprefix(PREFIX)}" if self.flag.startswith(PREFIX) else self.flag

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return self.kind in SEVERAL

    @property
    def expects(self) -> str:
        """What a value has to be, in words."""
        return _EXPECTED[self.kind]

    @property
    def choices_now(self) -> tuple[str, ...]:
        """The allowed values, as the registries have them now; empty if there is no limit."""
        return self.choices() if callable(self.choices) else self.choices

    def settings(self) -> dict[str, Any]:
        """Return the arguments for `argparse` and for pytest's parser."""
        text = (self.flag_help or self.help).replace("%", "%%")
        if self.kind == "switch":
            return {"help": text, "action": "store_const", "const": not self.default}
        if isinstance(self.default, tuple) and self.default:
            text += f" (default: {','.join(map(str, self.default))})"
        elif isinstance(self.default, str | int | float):
            text += f" (default: {self.default})"
        repeated = {"names": f"{self.metavar}[,{self.metavar}...]", "integers": "N[,N...]"}
        settings: dict[str, Any] = {"help": text, "metavar": repeated.get(self.kind, self.metavar)}
        if self.is_list:
            settings["action"] = "append"
        if self.kind in {"integer", "number"}:
            settings["type"] = self._argument
        return settings

    def read(self, raw: object, name: str) -> T:
        """Return the value that is meant.

        Args:
            raw: the value as it was passed: text from a command line, or a Python object.
            name: the option's name as the user wrote it, for messages.

        Raises:
            ConfigError: it is not an allowed value.
        """
        if self.word and raw == self.word:
            return cast("T", raw)
        value = _READERS[self.kind](raw, name)
        for part in value if self.is_list else (value,):
            self._check_part(part, name)
        return cast("T", value) if self.check is None else self.check(value, name)

    def parsed(self, text: str, name: str) -> int | float | str:
        """Return the number that a text spells, or the word that stands for one.

        Raises:
            ConfigError: it is neither.
        """
        if self.word and text == self.word:
            return text
        try:
            return int(text) if self.kind == "integer" else float(text)
        except ValueError:
            expected = f"{self.expects}, or {self.word}" if self.word else self.expects
            raise ConfigError(f"{name}: expected {expected}, got {text!r}") from None

    def _argument(self, text: str) -> int | float | str:
        """Parse an argument of a command line; `argparse` puts the flag in front of the message."""
        from argparse import ArgumentTypeError

        try:
            return self.parsed(text, "")
        except ConfigError as error:
            raise ArgumentTypeError(str(error).removeprefix(": ")) from error

    def _check_part(self, part: Any, name: str) -> None:
        choices = self.choices_now
        if choices and part not in choices:
            from alignbench.registry import unknown

            raise ConfigError(f"{name}: {unknown('value', str(part), dict.fromkeys(choices))}")
        if self.least is not None and not self.least <= part < math.inf:
            if self.kind == "integers":
                raise ConfigError(f"{name}: expected whole numbers from {self.least} on, got {str(part)!r}")
            expected = f"a number from {self.least} on" if self.kind == "number" else f"at least {self.least}"
            raise ConfigError(f"{name}: expected {expected}, got {part}")

    def typed(self, value: Any) -> list[str]:
        """Return the arguments of pytest's command line that set a value."""
        if self.kind == "switch":
            return [] if value is self.default else [self.flag]
        if self.kind == "texts":
            return [f"{self.flag}={text}" for text in _elements(value)]
        if self.is_list:
            return [f"{self.flag}={','.join(map(str, _elements(value)))}"]
        return [f"{self.flag}={value}"]


class OptionTable:
    """All options by name, in the order of their declaration.

    Others add options by an entry point of the group `alignbench.options`, which names an `Option`, or by
    `OPTIONS.add` in a root conftest.py. pytest's parser learns of them until it parses the command line.
    """

    def __init__(self) -> None:
        self._options: dict[str, Option[Any]] = {}
        self._listener: Callable[[Option[Any]], None] = lambda option: None
        self._entry_points_read = False

    def add(self, option: Option[T]) -> Option[T]:
        """Add an option and return it.

        Raises:
            ConfigError: another one has its name or its flag.
        """
        if not option.name.isidentifier():
            raise ConfigError(f"an option's name has to be a name of Python, got {option.name!r}")
        known = self._options.get(option.name)
        if known == option:
            return option
        if known is not None or option.flag in {other.flag for other in self}:
            raise ConfigError(
                f"the option {option.name!r} ({option.flag}) is there already; name it otherwise"
            )
        self._options[option.name] = option
        self._listener(option)
        return option

    def remove(self, name: str) -> None:
        """Forget an option that somebody added."""
        del self._options[name]

    def listen(self, listener: Callable[[Option[Any]], None]) -> None:
        """Report all present and future options to `listener`, and to no other listener any more."""
        self.load_entry_points()
        self._listener = listener
        for option in self:
            listener(option)

    def load_entry_points(self) -> None:
        """Add the options of installed packages, once."""
        if not self._entry_points_read:
            self._entry_points_read = True
            from alignbench.registry import installed

            for point in installed(ENTRY_POINTS):
                try:
                    self.add(point.load())
                except (ImportError, AttributeError) as error:
                    raise ConfigError(
                        f"the option {point.name!r}: can't import {point.value} ({error})"
                    ) from error

    def get(self, name: str) -> Option[Any]:
        """Return an option.

        Raises:
            UnknownNameError: there is no option of this name.
        """
        if name not in self._options:
            from alignbench.registry import unknown

            raise UnknownNameError(unknown("option", name, self._options))
        return self._options[name]

    def of_group(self, group: str) -> list[str]:
        """Return the names of the options of a group."""
        return [option.name for option in self if option.group == group]

    def typed(self, values: Mapping[str, Any]) -> Iterator[str]:
        """Yield the arguments of pytest's command line that set these options."""
        for option in self:
            if values.get(option.name) is not None:
                yield from option.typed(values[option.name])

    def __iter__(self) -> Iterator[Option[Any]]:
        return iter(tuple(self._options.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._options


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name}: expected a text, got {value!r}")
    return value


def _path(value: object, name: str) -> Path:
    from alignbench.paths import user_path

    if not isinstance(value, str | Path):
        raise ConfigError(f"{name}: expected a path, got {value!r}")
    return user_path(value, name)


def _integer(value: object, name: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ConfigError(f"{name}: expected a whole number, got {value!r}") from None


def _number(value: object, name: str) -> float:
    if isinstance(value, bool | str) or not isinstance(value, SupportsFloat):
        raise ConfigError(f"{name}: expected a number, got {value!r}")
    return float(value)


def _switch(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{name}: expected True or False, got {value!r}")
    return value


def _texts(value: object, name: str) -> tuple[str, ...]:
    parts = tuple(_elements(value))
    if wrong := [part for part in parts if not isinstance(part, str | Path)]:
        raise ConfigError(f"{name}: expected texts, got {wrong[0]!r}")
    return tuple(map(str, parts))


def _names(value: object, name: str) -> tuple[str, ...]:
    names = [part.strip() for text in _texts(value, name) for part in text.split(",")]
    if not names:
        raise ConfigError(f"{name}: expected at least one, got none")
    if not all(names):
        raise ConfigError(f"{name}: an empty name in {','.join(names)!r}; separate names by single commas")
    if twice := sorted({part for part in names if names.count(part) > 1}):
        raise ConfigError(f"{name}: {twice[0]!r} is named twice")
    return tuple(names)


def _integers(value: object, name: str) -> tuple[int, ...]:
    names = _names([str(part) for part in _elements(value)], name)
    if wrong := [part for part in names if not part.isdecimal()]:
        raise ConfigError(f"{name}: expected whole numbers, got {wrong[0]!r}")
    return tuple(int(part) for part in names)


def _elements(value: Any) -> Iterable[Any]:
    """Return the elements of a value that may be one or several."""
    one = isinstance(value, str | bytes | Path) or not isinstance(value, Iterable)
    return (value,) if one else value


_READERS: dict[Kind, Callable[[object, str], Any]] = {
    "text": _text,
    "path": _path,
    "integer": _integer,
    "number": _number,
    "switch": _switch,
    "names": _names,
    "integers": _integers,
    "texts": _texts,
}
OPTIONS = OptionTable()
"""The options of this process."""
