"""Models that others have registered: any object with `embed(images)` or `embed(texts)`."""

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

    Any other attribute of the object (`fingerprint`, `patches`, `load`, ...) is passed through, so that the
    checks in `alignbench.weights.protocols` find it.

    Args:
        model: an object with `embed`.
        name: the alias.
        side: the side of a pair that it forms.
        l2: whether rows are scaled to unit length; the object's own `params["l2"]` can also turn this off.
    """

    def __init__(self, model: Embeds, name: str, side: Literal["vision", "text"], *, l2: bool = True) -> None:
        # `weights` or `params` may mean something else to the object: only values of the right form are used.
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
            ModelError: the object returned something else.
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
    """Return a third party's object under an alias.

    Args:
        model: the object.
        name: the alias.
        side: the side of a pair that it forms.
        l2: whether rows are scaled to unit length.
        asked: the given options that only a model of ours can follow.
        what: what it is, for errors.

    Raises:
        ModelError: it has no `embed`, or an option would be ignored.
    """
    if asked:
        raise ModelError(f"{name}: {what} takes no {asked[0]}; leave it out, or run it apart")
    if not embeds(model):
        raise ModelError(f"{name}: what is registered under this name has no embed() method")
    return Custom(model, name, side, l2=l2)
