"""The tensors of one part of a VLM under the names of its own class, and the VLM without its LLM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from alignbench.errors import ModelError
from alignbench.weights.keys import check_keys
from alignbench.weights.loading import (
    auto_config,
    fill,
    load_model,
    place,
    quiet,
    read_tensors,
    torch_dtype,
    transformers_class,
)
from alignbench.weights.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

    from alignbench.weights.parts import Prefixes, Vlm
    from alignbench.weights.precision import Precision
    from alignbench.weights.protocols import ProjectsImages
    from alignbench.weights.source import Location

    State = dict[str, Tensor]

# transformers lists models with their heads by what they do, and models without heads by their configuration.
_MODELS = ("MODEL_MAPPING", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING")
_HEAD_OF_TOWER = ("head.", "vision_model.head.")


def renamed(tensors: Mapping[str, Tensor], prefixes: Prefixes, where: str) -> State:
    """Return the tensors whose keys start with one of the prefixes, under the part's own keys.

    Args:
        tensors: by the checkpoint's keys.
        prefixes: the beginning of such a key -> that of the part's own.
        where: the checkpoint, for errors.

    Raises:
        ModelError: two of them would get one name.
    """
    own: State = {}
    for key, tensor in tensors.items():
        if (prefix := _prefix(key, prefixes)) is None:
            continue
        name = prefixes[prefix] + key[len(prefix) :]
        if name in own:
            raise ModelError(f"{where}: it holds {printable(name)[:120]!r} twice, under two prefixes")
        own[name] = tensor
    return own


def checked_tensors(located: Location, vlm: Vlm) -> State:
    """Return the tensors in the located files of a VLM, each of which belongs to one of its parts.

    Tensors of other parts are mapped into memory, but never read.

    Raises:
        ModelError: there is a tensor of no known part.
    """
    tensors = read_tensors(located.weights)
    known = {*vlm.keys_of("projected"), *vlm.keys_of("text")}
    check_keys(
        located.source,
        f"any part of a {vlm.name} model",
        unexpected=[key for key in tensors if _prefix(key, known) is None],
        whole=True,
    )
    return tensors


def vlm_without_text(
    located: Location, vlm: Vlm, device: str, precision: Precision, *, projector: bool
) -> ProjectsImages:
    """Return transformers' own model of a VLM with its vision tower, with or without its projector.

    Its LLM is never built in memory: the model is laid out on device "meta", and the modules that are needed
    are replaced by loaded ones.

    Raises:
        ModelError: a weight is missing, has another shape, or has no place.
    """
    config = auto_config(located.path)
    tensors = checked_tensors(located, vlm)
    state = renamed(tensors, vlm.vision, located.source)
    if getattr(config.vision_config, "model_type", "") == "siglip_vision_model":
        # A VLM reads its tokens, so most checkpoints come without the pooling head.
        config.vision_config.vision_use_head = any(key.startswith(_HEAD_OF_TOWER) for key in state)
    with quiet(), torch.device("meta"):
        whole = _model_class(config)(config).eval()
    tower = getattr(whole, vlm.vision_module)
    loaded = load_model(type(tower), located, config=tower.config, precision=precision, state=state)
    setattr(whole, vlm.vision_module, loaded)
    setattr(whole, vlm.text_module, torch.nn.Identity())
    if projector:
        _fill_projector(whole, config, located, vlm, tensors, torch_dtype(precision.weights))
    else:
        for name in filter(None, (vlm.projector_module, *vlm.single.values())):
            setattr(whole, name, None)
    placed: ProjectsImages = place(whole, device)
    return placed


def _fill_projector(
    whole: ProjectsImages,
    config: Any,
    located: Location,
    vlm: Vlm,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype,
) -> None:
    if vlm.projector_module:
        made = type(getattr(whole, vlm.projector_module))(config).to(dtype).eval()
        fill(made, renamed(tensors, vlm.projector, located.source), located.source, "the projector")
        setattr(whole, vlm.projector_module, made)
    single = renamed(tensors, vlm.single, located.source)
    for name in dict.fromkeys(vlm.single.values()):
        value = single.get(name)
        shape = getattr(whole, name).shape
        other = [(name, value.shape, shape)] if value is not None and value.shape != shape else []
        missing = [name] if value is None else []
        check_keys(located.source, f"the {vlm.name} model", missing=missing, mismatched=other)
        assert value is not None
        setattr(whole, name, torch.nn.Parameter(value.to(dtype), requires_grad=False))


def _model_class(config: PretrainedConfig) -> type[PreTrainedModel]:
    for mapping in _MODELS:
        known = transformers_class(mapping)
        if type(config) in known:
            found: type[PreTrainedModel] = known[type(config)]
            return found
    raise ModelError(f"transformers has no model of {type(config).__name__}; a newer version may")


def _prefix(key: str, prefixes: Any) -> str | None:
    """Return the longest of the prefixes that a key starts with."""
    return max((prefix for prefix in prefixes if key.startswith(prefix)), key=len, default=None)
