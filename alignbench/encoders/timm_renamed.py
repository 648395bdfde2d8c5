"""timm's models with weights that another library saved under its own keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from alignbench.encoders import timm_models
from alignbench.encoders.timm_folder import TimmArchitecture
from alignbench.weights.convert import convert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from alignbench.encoders.options import EncoderOptions
    from alignbench.encoders.timm_models import TimmTower
    from alignbench.weights.request import LoadRequest


def load(request: LoadRequest[EncoderOptions]) -> TimmTower:
    """Load a model of timm from a checkpoint with other keys.

    Raises:
        ModelError: the checkpoint's tensors are not those of the architecture.
    """
    architecture = str(request.config["architecture"])
    named = partial(under_timms_keys, architecture=architecture, where=request.located.source)
    return timm_models.load(request, named)


def under_timms_keys(tensors: Mapping[str, Tensor], architecture: str, where: str) -> dict[str, Tensor]:
    """Return a checkpoint's tensors under the keys of timm's architecture, with its classifier.

    Args:
        tensors: key -> tensor, in the checkpoint's order.
        architecture: timm's name.
        where: the checkpoint, for errors.

    Raises:
        ModelError: they are not those of the architecture.
    """
    own = TimmArchitecture.of(f"timm:{architecture}").tensors
    return convert(tensors, own, where=where).applied(tensors)
