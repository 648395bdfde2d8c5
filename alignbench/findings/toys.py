"""Warnings about scores of real models that rest on toys: the built-in models, or their drawings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.datasets.roots import is_toy_data
from alignbench.findings.numbers import and_list
from alignbench.types import TOYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alignbench.types import ModelInfo, Score

_REAL = frozenset({"pretrained", "custom", "arrays"})
_SIDES = ("vision", "text")
_ALONE = frozenset({"speed", "attention", "correspondence"})
_MOST = 4


def toy_warnings(
    models: Iterable[ModelInfo], data_from: str = "", scores: Iterable[Score] | None = None
) -> list[str]:
    """Return a sentence for each way in which scores of real models rest on toys; none if all are toys.

    An untrained control counts as neither real nor toy.

    Args:
        models: the run's models.
        data_from: the origin of the run's data.
        scores: the run's scores; models that are only timed, or seen on other images, are left out,
            because their scores involve no other model.
    """
    models = list(models)
    if scores is not None:
        scored = {n for s in scores if s.experiment not in _ALONE for n in (s.encoder, s.llm, s.other)}
        models = [model for model in models if {model.name, model.label} & scored]
    real = {side: [m.label for m in models if m.side == side and m.weights in _REAL] for side in _SIDES}
    toys = {side: [m.label for m in models if m.side == side and m.weights in TOYS] for side in _SIDES}
    sentences = []
    if real["vision"] and toys["text"]:
        sentences.append(
            f"{_are(real['vision'])} scored against {_named(toys['text'], 'LLM')}, trained on drawings, "
            f"which says nothing about an LLM that you would use. {_name_yours(real['text'], '--llms qwen')}"
        )
    if real["text"] and toys["vision"]:
        sentences.append(
            f"{_are(real['text'])} scored with {_named(toys['vision'], 'encoder')}, trained on drawings, "
            "which says nothing about the large encoders of their families. "
            + _name_yours(real["vision"], "--encoders clip,siglip")
        )
    if is_toy_data(data_from) and any(real.values()):
        sentences.append(
            "Real models are scored on nothing but drawings that come with alignbench, which says little "
            "about your images and texts. Give yours with --align-data PATH."
        )
    return sentences


def _named(toys: Sequence[str], noun: str) -> str:
    kind = f"a built-in toy {noun}" if len(toys) == 1 else f"built-in toy {noun}s"
    return f"{_listed(toys)}, {kind}"


def _are(names: Sequence[str]) -> str:
    return f"{_listed(names)} {'is' if len(names) == 1 else 'are'}"


def _name_yours(others: Sequence[str], option: str) -> str:
    """Return what to do: name real models, or look at the real ones of the run."""
    return f"Look at {_listed(others)} instead." if others else f"Name yours, such as {option}."


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:_MOST])
    if len(names) > _MOST:
        shown.append(f"{len(names) - _MOST} more")
    return and_list(shown)
