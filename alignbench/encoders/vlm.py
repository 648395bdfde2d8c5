"""The vision side of a VLM: its tower, or its image tokens after its own projector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from alignbench.encoders.maps import cls_attention
from alignbench.encoders.tower import Features, Tower, as_array
from alignbench.encoders.views import PrepareViews, Views, size_of_view
from alignbench.errors import LayersMissingError, ModelError
from alignbench.weights.loading import computing, hidden_layer
from alignbench.weights.part_tensors import vlm_without_text
from alignbench.weights.parts import vlm_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from alignbench.encoders.options import EncoderOptions
    from alignbench.weights.parts import Vlm
    from alignbench.weights.precision import Precision
    from alignbench.weights.protocols import ProjectsImages
    from alignbench.weights.request import LoadRequest

# In front of a tower's patches, there may be a CLS token; Llama 4 has its own behind them.
_WITH_CLS = ("clip_vision_model", "internvl_vision")
_CLS_BEHIND = ("llama4_vision_model",)
_NO_LAYERS = (
    "#projected is what follows the VLM's projector and has no layers; those of its tower are in #vision"
)


class PartTower(Tower):
    """A part of a VLM that reads the views of an image, of which one or more make its input.

    Args:
        whole: transformers' model of the VLM, without its LLM.
        prepare: image -> views.
        vlm: the kind of VLM.
        tower: the model_type of its tower.
        special: the number of tokens in front of the patches.
    """

    def __init__(
        self, whole: ProjectsImages, prepare: PrepareViews, vlm: Vlm, tower: str, special: int
    ) -> None:
        super().__init__(prepare, special)
        self.model: ProjectsImages = whole
        self.vlm, self.tower = vlm, tower

    def staged(self, batch: Sequence[Any], device: str) -> Sequence[Any] | Tensor:
        """Return the batch as it is: the views of an image go to the device with all that describes them."""
        return batch

    def run_pixels(
        self,
        batch: Any,
        device: str,
        precision: Precision,
        outputs: Callable[[Any], Mapping[str, Tensor]],
    ) -> dict[str, NDArray[np.float32]]:
        """Return `outputs` of the images' views as float32, in one pass if each is one view."""
        dtype = None if precision.autocast is not None else getattr(torch, precision.weights)
        parts = []
        with computing(precision, device):
            for views in _passes(batch):
                inputs = {name: value.to(device) for name, value in views.inputs.items()}
                if dtype is not None:
                    inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
                made = outputs(Views(inputs, views.images))
                parts.append({name: as_array(values) for name, values in made.items()})
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}

    def rehearse(self, layer: int | None) -> str:
        """Return why there are no hidden layers, or "".

        What a VLM does with an image depends on the numbers in it, so no image without numbers is passed.

        Raises:
            ModelError: there is no such layer.
        """
        sizes = getattr(self.model, self.vlm.vision_module).config
        count = int(getattr(sizes, "num_hidden_layers", None) or sizes.depth)
        if layer is not None:
            hidden_layer(range(count + 1), layer)
        return ""


class VisionPart(PartTower):
    """The vision tower of a VLM, which sees one view of an image: the one that shows all of it."""

    def features(self, pixels: Any, layer: int | None) -> Features:
        """Return the tower's tokens after its last norm, or a hidden layer's before it."""
        out = self._pass(pixels, hidden=layer is not None)
        if layer is not None:
            return self._hidden(hidden_layer(out.hidden_states, layer))
        tokens = self._batched(out.last_hidden_state)
        if self.tower == "clip_vision_model":
            return Features(tokens, cls=out.pooler_output, pooler=out.pooler_output)
        return Features(tokens, cls=tokens[:, 0] if self.special else None)

    def hidden_states(self, pixels: Any) -> tuple[Sequence[Tensor], Features]:
        """Return the tokens of every hidden layer, before the last norm, and the final output."""
        out = self._pass(pixels, hidden=True)
        states = [self._hidden(state).tokens for state in out.hidden_states]
        cls = out.pooler_output if self.tower == "clip_vision_model" else None
        tokens = self._batched(out.last_hidden_state)
        return states, Features(tokens, cls=tokens[:, 0] if cls is None and self.special else cls)

    def attention(self, pixels: Any) -> Tensor:
        """Return what CLS pays to each patch in the last layer."""
        tower = getattr(self.model, self.vlm.vision_module)
        return cls_attention(tower, tower, pixels.pixels, self.special)

    def patches(self, features: Features, pooling: str) -> Tensor:
        """Return the tower's patches row by row, [b, p, d].

        Raises:
            ModelError: the tower orders its patches by windows.
        """
        if why := self.vlm.no_patches.get("vision"):
            raise ModelError(f"there are no patches: {why}")
        return super().patches(features, pooling)

    def _pass(self, views: Views, *, hidden: bool) -> Any:
        tower = getattr(self.model, self.vlm.vision_module)
        more: dict[str, Any] = {}
        if (grid := views.inputs.get("image_grid_thw")) is not None:
            more["grid_thw"] = grid
        if (mask := views.inputs.get("pixel_attention_mask")) is not None:
            more["patch_attention_mask"] = _patch_mask(mask, int(tower.config.patch_size))
        out = tower(views.pixels, output_hidden_states=hidden, **more)
        if hidden and out.hidden_states is None:
            raise LayersMissingError(f"{self.vlm.name} towers give no hidden layers")
        return out

    def _hidden(self, state: Tensor) -> Features:
        tokens = self._batched(state)
        if self.tower in _CLS_BEHIND:
            return Features(tokens[:, :-1])
        return Features(tokens, cls=tokens[:, 0] if self.special else None)

    def _batched(self, tokens: Tensor) -> Tensor:
        return tokens if tokens.ndim == 3 else tokens.unsqueeze(0)


class ProjectedPart(PartTower):
    """The image tokens of a VLM after its own projector, exactly as its LLM receives them."""

    def features(self, pixels: Any, layer: int | None) -> Features:
        """Return the image tokens, in the LLM's space.

        Raises:
            LayersMissingError: a hidden layer was requested.
        """
        if layer is not None:
            raise LayersMissingError(_NO_LAYERS)
        return Features(self._tokens(pixels))

    def _tokens(self, views: Views) -> Tensor:
        out = self.model.get_image_features(**views.inputs)
        if self.tower in _CLS_BEHIND:
            # Llama 4's model projects the tower's output itself, where it calls its LLM.
            project = getattr(self.model, self.vlm.projector_module)
            found = list(project(out.last_hidden_state))
        else:
            found = list(out.pooler_output)
        return torch.stack(found) if len(found) == views.images else torch.cat(found).unsqueeze(0)

    def rehearse(self, layer: int | None) -> str:
        """Return why there are no hidden layers."""
        if layer is not None:
            raise LayersMissingError(_NO_LAYERS)
        return _NO_LAYERS


def load_vision(request: LoadRequest[EncoderOptions]) -> VisionPart:
    """Load the vision tower of a VLM, reading no other tensor."""
    located = request.located
    vlm = vlm_of(request.config, "vision", located.source)
    whole = vlm_without_text(located, vlm, request.device, request.precision, projector=False)
    tower = vlm.tower_of(request.config)
    size = size_of_view(getattr(whole, vlm.vision_module).config)
    prepare = PrepareViews(located.path, vlm, size, request.options.fit, whole=True)
    return VisionPart(whole, prepare, vlm, tower, special=int(tower in _WITH_CLS))


def load_projected(request: LoadRequest[EncoderOptions]) -> ProjectedPart:
    """Load the vision tower and the projector of a VLM, reading no other tensor."""
    located = request.located
    vlm = vlm_of(request.config, "projected", located.source)
    whole = vlm_without_text(located, vlm, request.device, request.precision, projector=True)
    size = size_of_view(getattr(whole, vlm.vision_module).config)
    prepare = PrepareViews(located.path, vlm, size, request.options.fit, whole=False)
    return ProjectedPart(whole, prepare, vlm, vlm.tower_of(request.config), special=0)


def _passes(batch: Sequence[Views]) -> Sequence[Views]:
    """Return the input of each pass: all images together if each is one view of one size, else one by one."""
    shapes = {tuple(views.pixels.shape) for views in batch}
    if len(shapes) == 1 and all(views.is_single for views in batch):
        return [Views({"pixel_values": torch.cat([views.pixels for views in batch])}, len(batch))]
    return batch


def _joined(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    if len(counts := sorted({part.shape[1] for part in parts})) > 1:
        raise ModelError(
            f"images of different shapes have different numbers of tokens here ({counts[0]} to "
            f"{counts[-1]}), so there is no table of patches; their means (embed) are not affected"
        )
    return np.concatenate(parts)


def _patch_mask(mask: Tensor, patch: int) -> Tensor:
    """Return which patches hold pixels of the image, as Idefics3 derives it from the mask of pixels."""
    blocks = mask.unfold(1, patch, patch).unfold(2, patch, patch)
    return (blocks.sum(dim=(-1, -2)) > 0).bool()
