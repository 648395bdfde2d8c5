"""The controls of the tabs, and what their values are as options of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from alignbench.errors import ConfigError
from alignbench.experiments.trained import Repeats
from alignbench.projectors import LOSSES, RIDGE
from alignbench.session.options import METHODS
from alignbench.ui.texts import check_texts
from alignbench.ui.uploads import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable

    from alignbench.ui.models import Choice
    from alignbench.ui.tabs import Control

BATCH_SIZES = ("1", "4", "8", "16", "32", "64")
MOST_SPLITS = 40
MAX_PROMPTS = 6
MAX_PROMPT = 200  # characters
UPLOAD, PROMPTS = "upload", "prompts"
"""The two fields that are no options of a run: the rest goes by the options' names."""


@dataclass(frozen=True, slots=True)
class Field:
    """One control.

    Args:
        name: of the option.
        component: gradio's.
        read: turns what the browser sent into the option's value; it may have sent anything.
    """

    name: str
    component: Any
    read: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Offer:
    """What the controls offer, found once."""

    encoders: list[Choice]
    llms: list[Choice]
    data_types: list[str]
    defaults: dict[str, Any]


def build(control: Control, offer: Offer) -> list[Field]:
    """Make the components of a control, where gradio's context stands."""
    return _BUILDERS[control](offer)


def _encoders(offer: Offer) -> list[Field]:
    return [_models("encoders", "Encoders", offer.encoders, offer.defaults["encoders"])]


def _llms(offer: Offer) -> list[Field]:
    return [_models("llms", "LLMs", offer.llms, offer.defaults["llms"])]


def _models(name: str, label: str, choices: list[Choice], chosen: list[str]) -> Field:
    component = gr.Dropdown(choices=choices, value=chosen, multiselect=True, label=label, filterable=True)
    return Field(name, component, _names)


def _data(offer: Offer) -> list[Field]:
    typed = []
    if offer.data_types:
        types = gr.CheckboxGroup(choices=offer.data_types, value=offer.data_types, label="Data types")
        typed.append(Field("data_types", types, _some("data type")))
    n = gr.Slider(5, 500, value=offer.defaults["n_samples"], step=5, label="Samples per type")
    seed = gr.Number(value=offer.defaults["seed"], precision=0, minimum=0, label="Seed")
    return [
        *typed,
        Field("n_samples", n, _whole("samples per type", 1, 5000)),
        Field("seed", seed, _whole("seed", 0, 2**31 - 1)),
    ]


def _methods(offer: Offer) -> list[Field]:
    component = gr.CheckboxGroup(
        choices=[("t-SNE", "tsne"), ("UMAP", "umap"), ("PCA", "pca")], value=list(METHODS), label="Methods"
    )
    perplexity = gr.Textbox(
        label="Perplexity of t-SNE", placeholder="30", info="Empty: 30, or what the samples allow."
    )
    neighbors = gr.Textbox(
        label="Neighbours of UMAP", placeholder="15", info="Empty: 15, or what the samples allow."
    )
    return [
        Field("method", component, _some("method")),
        Field("perplexity", perplexity, _number("perplexity", float)),
        Field("neighbors", neighbors, _number("neighbours", int)),
    ]


def _losses(offer: Offer) -> list[Field]:
    component = gr.CheckboxGroup(choices=list(LOSSES), value=[LOSSES[0]], label="Trained for")
    return [Field("loss", component, _some("loss"))]


def _training(offer: Offer) -> list[Field]:
    usual = Repeats()
    trained = f"Not for {RIDGE}, which is solved."
    epochs = gr.Slider(10, 1000, value=300, step=10, label="Epochs, at most", info=trained)
    splits = gr.Textbox(
        label="Train/test splits",
        placeholder=str(usual.solved_splits),
        info=f"Empty: {usual.solved_splits} for {RIDGE}, {usual.splits} for what is trained.",
    )
    seeds = gr.Slider(1, 10, value=5, step=1, label="Trainings a split", info=trained)
    return [
        Field("epochs", epochs, _whole("epochs", 1, 5000)),
        Field("splits", splits, _number("splits", int, _whole("splits", 2, MOST_SPLITS))),
        Field("seeds", seeds, _whole("trainings a split", 1, 20)),
    ]


def _batch_sizes(offer: Offer) -> list[Field]:
    component = gr.CheckboxGroup(choices=list(BATCH_SIZES), value=["1", "8", "32"], label="Batch sizes")
    return [Field("batch_sizes", component, _some("batch size"))]


def _permutations(offer: Offer) -> list[Field]:
    component = gr.Slider(99, 1999, value=999, step=100, label="Shuffled pairings (for p)")
    return [Field("permutations", component, _whole("shuffled pairings", 19, 10_000))]


def _image(offer: Offer) -> list[Field]:
    upload = gr.File(label="Your image (PNG, JPEG, WebP, BMP)", file_types=list(SUFFIXES), height=140)
    prompts = gr.Textbox(
        label="What to look for in it", placeholder="a dog\na red ball", lines=3, info="One text a line."
    )
    return [Field(UPLOAD, upload, _path), Field(PROMPTS, prompts, _lines)]


_BUILDERS: dict[Control, Callable[[Offer], list[Field]]] = {
    "encoders": _encoders,
    "llms": _llms,
    "data": _data,
    "methods": _methods,
    "losses": _losses,
    "training": _training,
    "batch_sizes": _batch_sizes,
    "permutations": _permutations,
    "image": _image,
}


def _names(value: Any) -> list[str]:
    check_texts(value, "a name")
    return [str(name) for name in value or ()]


def _path(value: Any) -> str | None:
    check_texts(value, "the uploaded image")
    return None if value is None else str(value)


def _some(noun: str) -> Callable[[Any], list[str]]:
    def read(value: Any) -> list[str]:
        if not value:
            raise ConfigError(f"choose at least one {noun}")
        return _names(value)

    return read


def _whole(noun: str, least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        known = isinstance(value, int | float) and math.isfinite(value)
        if not known or not least <= value <= most:
            raise ConfigError(f"{noun}: expected a whole number from {least:,} to {most:,}, got {value!r}")
        return int(value)

    return read


def _number(
    noun: str, kind: Callable[[str], float], check: Callable[[Any], float] = lambda number: number
) -> Callable[[Any], float | None]:
    """Return what reads a number that may be left out; the options say which numbers there can be.

    Args:
        noun: of the number.
        kind: of the number.
        check: a limit of the page's own, which a number that was given is held to.
    """

    def read(value: Any) -> float | None:
        text = str("" if value is None else value).strip()
        try:
            number = kind(text) if text else None
        except ValueError as error:
            what = "a whole number" if kind is int else "a number"
            raise ConfigError(f"{noun}: expected {what} or nothing, got {text!r}") from error
        return None if number is None else check(number)

    return read


def _lines(value: Any) -> list[str]:
    check_texts(value, "texts to look for")
    lines = list(dict.fromkeys(line.strip() for line in str(value or "").splitlines() if line.strip()))
    if len(lines) > MAX_PROMPTS or any(len(line) > MAX_PROMPT for line in lines):
        raise ConfigError(f"texts to look for: at most {MAX_PROMPTS}, of {MAX_PROMPT} characters each")
    return lines
