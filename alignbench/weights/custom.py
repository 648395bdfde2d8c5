"""Models that somebody else registered: anything with `embed(images)` or `embed(texts)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np

from alignbench.errors import ModelError
from alignbench.types import ModelInfo, Weights
from alignbench.weights.protocols import embeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alignbench.weights.protocols import Embeds


class Custom:
    """A registered object under a name, with the `info` that scores need.

    Whatever else the object has (`fingerprint`, `patches`, `load`, ...) is passed through, and found by the
    questions of `alignbench.weights.protocols`.

    Args:
        model: has `embed`.
        name: the alias.
        side: which side of a pair it is.
        l2: whether rows are brought to unit length; the object's own `params["l2"]` can say no, too.
    """

    def __init__(self, model: Embeds, name: str, side: Literal["vision", "text"], *, l2: bool = True) -> None:
        # `weights` or `params` may be the object's own affair: only what has the right form is taken.
        def said(attribute: str, otherwise: str) -> str:
            value = getattr(model, attribute, None)
            return value if isinstance(value, str) else otherwise

        weights, params = said("weights", "custom"), getattr(model, "params", None)
        own = dict(params) if isinstance(params, Mapping) else {}
        self._model = model
        self.name = name
        self.info = ModelInfo(
            name=name,
            side=side,
            family=said("family", "other"),
            source=said("source", f"{type(model).__module__}:{type(model).__qualname__}"),
            weights=cast("Weights", weights if weights in get_args(Weights) else "custom"),
            revision=said("revision", "") or None,
            params={**own, "l2": l2 and bool(own.get("l2", True))},
        )

    @property
    def behind(self) -> Embeds:
        """The object itself."""
        return self._model

    def embed(self, items: Sequence[Any]) -> NDArray[np.float32]:
        """Return one row per item, float32 [n, d].

        Raises:
            ModelError: the object gave something else.
        """
        values = np.asarray(self._model.embed(items), dtype=np.float32)
        if values.ndim != 2 or len(values) != len(items):
            raise ModelError(
                f"{self.name}: embed() must give [{len(items)}, d] for {len(items)} items, got {values.shape}"
            )
        return values

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._model, name)


def adopt(
    model: object,
    name: str,
    side: Literal["vision", "text"] = "vision",
    *,
    l2: bool = True,
    asked: Sequence[str] = (),
    what: str = "a registered object",
) -> Custom:
    """Return an object that is not ours under an alias.

    Args:
        model: the object.
        name: the alias.
        side: which side of a pair it is.
        l2: whether rows are brought to unit length.
        asked: the options that were given and that only a model of ours can follow.
        what: what it is, for errors.

    Raises:
        ModelError: it has no `embed`, or an option would be ignored.
    """
    if asked:
        raise ModelError(f"{name}: {what} takes no {asked[0]}; leave it out, or run it apart")
    if not embeds(model):
        raise ModelError(f"{name}: what is registered under this name has no embed() method")
    return Custom(model, name, side, l2=l2)
