"""What families and options of encoders and of LLMs have in common."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """One kind of model.

    Args:
        name: as scores and colours know it.
        adapter: "module:function" that loads it.
        wanted: prefixes of the checkpoint's keys that are needed; None for all.
        version: raised whenever the adapter gives other numbers; part of the cache's key.
        fp16_safe: whether activations stay under float16's 65,504.
    """

    name: str
    adapter: str
    wanted: tuple[str, ...] | None = field(default=None, kw_only=True)
    version: int = field(default=1, kw_only=True)
    fp16_safe: bool = field(default=True, kw_only=True)

    def loader(self) -> Callable[..., Any]:
        """Return the function that loads a model of the family; this imports torch."""
        module, _, function = self.adapter.partition(":")
        loader: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return loader


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What shapes a model's vectors beside its weights.

    A field that only our models can follow names the user's option in its metadata, as `asked_as`.

    Args:
        l2: whether `embed` gives rows of unit length.
    """

    l2: bool = field(default=True, kw_only=True)

    def asked(self) -> list[str]:
        """Return the user's options that only our models can follow and that are not at their default."""
        return [
            option.metadata["asked_as"]
            for option in fields(self)
            if "asked_as" in option.metadata and getattr(self, option.name) != option.default
        ]
