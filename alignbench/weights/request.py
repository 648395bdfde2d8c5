"""What a model is loaded from, and what is in memory then. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.weights.precision import Precision
    from alignbench.weights.source import Location

O = TypeVar("O")  # noqa: E741
L = TypeVar("L")


@dataclass(frozen=True, slots=True)
class LoadRequest(Generic[O]):
    """What the adapter of a family loads a model from.

    Args:
        located: the location of its files.
        config: its configuration; empty if it has none.
        options: the options that shape its vectors.
        device: the device; "meta" for a rehearsal, which reads no numbers.
        precision: the arithmetic.
        spread: whether the model is distributed over all GPUs.
        head: whether an LLM is loaded with its head.
    """

    located: Location
    config: Mapping[str, Any]
    options: O
    device: str
    precision: Precision
    spread: bool = False
    head: bool = False


@dataclass(frozen=True, slots=True)
class LoadedModel(Generic[L]):
    """A model in memory.

    Args:
        model: the object that its family's adapter returned.
        device: its device: "cpu", "cuda:0", ...
        precision: its arithmetic.
        large: whether freeing it deserves a garbage collection.
    """

    model: L
    device: str
    precision: Precision
    large: bool
