"""What must be said where real models meet toys: the built-in models, or the drawings that come with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.datasets.roots import is_toy_data
from alignbench.types import TOYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alignbench.types import ModelInfo, Score

_REAL = frozenset({"pretrained", "custom", "arrays"})
_SIDES = ("vision", "text")
_ALONE = frozenset({"speed", "attention"})
_MOST = 4


def toy_warnings(
    models: Iterable[ModelInfo], data_from: str = "", scores: Iterable[Score] | None = None
) -> list[str]:
    """Return a sentence for each way in which scores of real models rest on toys; none where all are toys.

    An untrained control is neither: it may stand beside both.

    Args:
        models: of the run.
        data_from: the origin of its data.
        scores: of the run; a model that is only timed or looked into rests on no other, and is left out.
    """
    models = list(models)
    if scores is not None:
        scored = {n for s in scores if s.experiment not in _ALONE for n in (s.encoder, s.llm, s.other)}
        models = [model for model in models if {model.name, model.label} & scored]
    real = {side: [m.label for m in models if m.side == side and m.weights in _REAL] for side in _SIDES}
    toys = {side: [m.label for m in models if m.side == side and m.weights in TOYS] for side in _SIDES}
    said = []
    if real["vision"] and toys["text"]:
        said.append(
            f"{_are(real['vision'])} scored against {_named(toys['text'], 'LLM')}, trained on drawings, "
            f"which says nothing about an LLM that you would use. {_name_yours(real['text'], '--llms qwen')}"
        )
    if real["text"] and toys["vision"]:
        said.append(
            f"{_are(real['text'])} scored with {_named(toys['vision'], 'encoder')}, trained on drawings, "
            "which says nothing about the large encoders of their families. "
            + _name_yours(real["vision"], "--encoders clip,siglip")
        )
    if is_toy_data(data_from) and any(real.values()):
        said.append(
            "Real models are scored on nothing but drawings that come with alignbench, which says little "
            "about your images and texts. Give yours with --align-data-root DIR."
        )
    return said


def _named(toys: Sequence[str], noun: str) -> str:
    one = len(toys) == 1
    return f"{_listed(toys)}, {f'a built-in toy {noun}' if one else f'built-in toy {noun}s'}"


def _are(names: Sequence[str]) -> str:
    return f"{_listed(names)} {'is' if len(names) == 1 else 'are'}"


def _name_yours(others: Sequence[str], option: str) -> str:
    """Return what to do: name real models, or look at those that were named beside the toys."""
    return f"Look at {_listed(others)} instead." if others else f"Name yours, such as {option}."


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _MOST
    shown = [*names[:_MOST], *([f"{rest} more"] if rest > 0 else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
