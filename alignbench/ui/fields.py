"""The controls of the tabs: each is created from its option, and reads what the browser sends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from alignbench.datasets.formats import FORMATS, SUFFIXES
from alignbench.errors import ConfigError
from alignbench.options import OPTIONS
from alignbench.show.html.samples import METHODS
from alignbench.ui.texts import check_texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from alignbench.options import Option
    from alignbench.ui.menu import Choices

_OF_DATA = ("data_types", "n_samples", "seed")
_CHOICES = {"batch_sizes": ("1", "4", "8", "16", "32", "64")}
# Initial values other than the options' defaults; None leaves the value to the experiment.
_INITIAL = {"batch_sizes": ["1", "8", "32"], "permutations": 999, "splits": None}
MAX_PROMPTS = 6
MAX_PROMPT = 200  # characters
UPLOAD, PROMPTS = "upload", "prompts"
"""The names of the two fields that are not options; all others have the names of their options."""


@dataclass(frozen=True, slots=True)
class Field:
    """One control.

    Args:
        name: the name of the option.
        component: the component of gradio.
        read: turns what the browser sent, which may be anything, into the option's value.
    """

    name: str
    component: Any
    read: Callable[[Any], Any]


def build(control: str, choices: Choices) -> list[Field]:
    """Create the components of an option, of the data or of an image in gradio's current context."""
    if control == "image":
        return _image()
    names = _OF_DATA if control == "data" else (control,)
    return [
        _field(OPTIONS.get(name), choices) for name in names if name != "data_types" or choices.data_types
    ]


def _field(option: Option[Any], choices: Choices) -> Field:
    """Return the field of an option: a list of models, check boxes, a number, or a text for a number."""
    name, label = option.name, option.label
    value: Any = _INITIAL.get(name, choices.defaults.get(name, option.default))
    models = {"encoders": choices.encoders, "llms": choices.llms}
    if name in models:
        component = gr.Dropdown(
            choices=models[name], value=value, multiselect=True, label=label, filterable=True
        )
        return Field(name, component, _names)
    if option.is_list:
        names = list(choices.data_types if name == "data_types" else _CHOICES.get(name, option.choices_now))
        boxes = [(METHODS.get(choice, choice), choice) for choice in names]
        component = gr.CheckboxGroup(choices=boxes, value=list(value or names), label=label)
        return Field(name, component, _some(label))
    if value is None:
        component = gr.Textbox(label=label, info=f"{option.help[:1].upper()}{option.help[1:]}.")
        return Field(name, component, _number(label, int if option.kind == "integer" else float, option.most))
    least, most = option.least or 0, option.most or 2**31 - 1
    # Without limits of its own: gradio would refuse a value before `_whole` can say which one, and why.
    component = gr.Number(value=value, precision=0, label=label)
    return Field(name, component, _whole(label, least, most))


def _image() -> list[Field]:
    upload = gr.File(label=f"Your image ({', '.join(FORMATS)})", file_types=list(SUFFIXES), height=140)
    prompts = gr.Textbox(
        label="What to look for in it", placeholder="a dog\na red ball", lines=3, info="One text per line."
    )
    return [Field(UPLOAD, upload, _path), Field(PROMPTS, prompts, _lines)]


def _names(value: Any) -> list[str]:
    check_texts(value, "a name")
    return [str(name) for name in value or ()]


def _path(value: Any) -> str | None:
    check_texts(value, "the uploaded image")
    return None if value is None else str(value)


def _some(label: str) -> Callable[[Any], list[str]]:
    def read(value: Any) -> list[str]:
        if not value:
            raise ConfigError(f"{label}: choose at least one")
        return _names(value)

    return read


def _whole(label: str, least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        known = isinstance(value, int | float) and math.isfinite(value)
        if not known or not least <= value <= most:
            raise ConfigError(f"{label}: expected a whole number from {least:,} to {most:,}, got {value!r}")
        return int(value)

    return read


def _number(label: str, kind: Callable[[str], float], most: float | None) -> Callable[[Any], float | None]:
    """Return a function that reads a number or nothing; the option checks which numbers are allowed."""

    def read(value: Any) -> float | None:
        text = str("" if value is None else value).strip()
        try:
            number = kind(text) if text else None
        except ValueError as error:
            expected = "a whole number" if kind is int else "a number"
            raise ConfigError(f"{label}: expected {expected} or nothing, got {text!r}") from error
        if number is not None and most is not None and number > most:
            raise ConfigError(f"{label}: expected at most {most:,}, got {text}")
        return number

    return read


def _lines(value: Any) -> list[str]:
    check_texts(value, "texts to look for")
    lines = list(dict.fromkeys(line.strip() for line in str(value or "").splitlines() if line.strip()))
    if len(lines) > MAX_PROMPTS or any(len(line) > MAX_PROMPT for line in lines):
        raise ConfigError(f"texts to look for: at most {MAX_PROMPTS}, of {MAX_PROMPT} characters each")
    return lines
