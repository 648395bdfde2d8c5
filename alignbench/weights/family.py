"""What the families and options of encoders and LLMs have in common."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alignbench.weights.request import LoadRequest

UNTESTED = "untested_family"  # the flag of scores of a model whose family is not tested here


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """One kind of model.

    Args:
        name: the name in scores and colours.
        adapter: "module:function" that loads it.
        wanted: prefixes of the checkpoint's keys that are needed; None for all keys.
        version: increased whenever the adapter's numbers change; part of the cache's key.
        fp16_safe: whether activations stay below float16's 65,504.
        tested: whether our tests compare its vectors with those of its library.
    """

    name: str
    adapter: str
    wanted: tuple[str, ...] | None = field(default=None, kw_only=True)
    version: int = field(default=1, kw_only=True)
    fp16_safe: bool = field(default=True, kw_only=True)
    tested: bool = field(default=True, kw_only=True)

    def load(self, request: LoadRequest[Any]) -> Any:
        """Load a model of the family; this imports torch."""
        module, _, function = self.adapter.partition(":")
        return getattr(importlib.import_module(module), function)(request)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Options, besides the weights, that shape a model's vectors.

    A field that only our models can follow has the user's option in its metadata, as `asked_as`.

    Args:
        l2: whether `embed` returns rows of unit length.
    """

    l2: bool = field(default=True, kw_only=True)

    def asked(self) -> list[str]:
        """Return the user's options that only our models can follow and that differ from their defaults."""
        return [
            option.metadata["asked_as"]
            for option in fields(self)
            if "asked_as" in option.metadata and getattr(self, option.name) != option.default
        ]
