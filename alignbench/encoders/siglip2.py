"""SigLIP 2 with NaFlex: images keep their proportions, so each has patches of its own number and grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch

from alignbench.encoders.maps import pooling_attention
from alignbench.encoders.pixels import Pixels
from alignbench.encoders.preprocess import fit_image, image_processor
from alignbench.encoders.tower import Features, Tower
from alignbench.errors import ModelError
from alignbench.weights.loading import auto_config, hidden_layer, load_placed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image
    from torch import Tensor

    from alignbench.encoders.networks import NaFlexVision
    from alignbench.encoders.options import EncoderOptions
    from alignbench.weights.processors import CutsPatches
    from alignbench.weights.request import LoadRequest

_INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


class NaFlexPrepare:
    """Turns an image into pixels [3, h, w], whose sides are whole numbers of patches.

    Args:
        processor: the model's own; it chooses the largest size with the image's proportions and at most
            `max_num_patches` patches.
        fit: "pad" and "squash" make the image square first.
    """

    def __init__(self, processor: CutsPatches, fit: str) -> None:
        self.processor = processor
        self.fit = fit
        self.patch = int(processor.patch_size)
        side = self.patch * math.isqrt(int(processor.max_num_patches))
        self.size = (side, side)

    @property
    def pixels(self) -> Pixels | None:
        """How an image becomes pixels; the size is that of a square image."""
        by_fit = {"pad": "padded to a white square", "squash": "squashed"}
        return Pixels(
            self.size,
            tuple(map(float, self.processor.image_mean)),
            tuple(map(float, self.processor.image_std)),
            by_fit.get(self.fit, "in its own proportions with as many patches"),
            _INTERPOLATIONS.get(int(self.processor.resample), "as its processor says"),
        )

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the pixels of `image`, float32."""
        fitted = fit_image(image.convert("RGB"), self.fit, self.size)
        made = self.processor(images=fitted, return_tensors="pt")
        rows, columns = (int(count) for count in made["spatial_shapes"][0])
        patches: Tensor = made["pixel_values"][0][: rows * columns]
        grid = patches.reshape(rows, columns, self.patch, self.patch, -1)
        return grid.permute(4, 0, 2, 1, 3).reshape(-1, rows * self.patch, columns * self.patch)


class NaFlexTower(Tower):
    """Siglip2VisionModel. In a batch, the place beyond an image is NaN, and its attention is masked."""

    def __init__(self, model: NaFlexVision, prepare: NaFlexPrepare) -> None:
        super().__init__(prepare, special=0)
        self.model: NaFlexVision = model
        self._patch = prepare.patch
        self._square = prepare.size[0] // prepare.patch
        self.lacks = () if model.config.vision_use_head else ("pooler",)

    def stacked(self, batch: Sequence[Tensor]) -> Tensor:
        """Return images of several sizes as one tensor, NaN beyond each of them."""
        height, width = (max(image.shape[axis] for image in batch) for axis in (1, 2))
        pixels = torch.full((len(batch), 3, height, width), math.nan)
        for place_of, image in zip(pixels, batch, strict=True):
            place_of[:, : image.shape[1], : image.shape[2]] = image
        return pixels

    def features(self, pixels: Tensor, layer: int | None) -> Features:
        """Return the tokens after the final norm and the head's output, or a hidden layer's tokens."""
        out, mask = self._run(pixels, layers=layer is not None)
        if layer is not None:
            return Features(hidden_layer(out.hidden_states, layer), mask=mask)
        return Features(out.last_hidden_state, pooler=out.pooler_output, mask=mask)

    def hidden_states(self, pixels: Tensor) -> tuple[Sequence[Tensor], Features]:
        """Return the tokens of every hidden layer, before the final norm, and the final output."""
        out, mask = self._run(pixels, layers=True)
        return out.hidden_states, Features(out.last_hidden_state, mask=mask)

    def patches(self, features: Features, pooling: str) -> Tensor:
        """Return one vector per patch of images whose grid of patches is square, [b, p, d]."""
        self._check_square(features)
        return super().patches(features, pooling)

    def attention(self, pixels: Tensor) -> Tensor:
        """Return the attention of the pooling head to each patch of images whose grid is square."""
        features = self.features(pixels, None)
        self._check_square(features)
        return pooling_attention(self.model.head, features.tokens)

    def rehearse(self, layer: int | None) -> str:
        """Check the layer's number. A pass would need numbers: an image's size is in its pixels."""
        hidden_layer(range(self.model.config.num_hidden_layers + 1), 0 if layer is None else layer)
        return ""

    def _run(self, pixels: Tensor, *, layers: bool) -> tuple[Any, Tensor]:
        there = ~pixels[:, 0].isnan()
        grids = torch.stack([there[:, :, 0].sum(1), there[:, 0].sum(1)], dim=1) // self._patch
        images = [
            self._patched(image[:, : rows * self._patch, : columns * self._patch], rows, columns)
            for image, (rows, columns) in zip(pixels, grids.tolist(), strict=True)
        ]
        values = torch.nn.utils.rnn.pad_sequence(images, batch_first=True)
        mask = torch.arange(values.shape[1], device=pixels.device) < grids.prod(1, keepdim=True)
        out = self.model(
            pixel_values=values,
            pixel_attention_mask=mask.long(),
            spatial_shapes=grids,
            output_hidden_states=layers,
        )
        return out, mask

    def _patched(self, image: Tensor, rows: int, columns: int) -> Tensor:
        grid = image.reshape(3, rows, self._patch, columns, self._patch)
        return grid.permute(1, 3, 2, 4, 0).reshape(rows * columns, -1)

    def _check_square(self, features: Features) -> None:
        assert features.mask is not None
        if features.tokens.shape[1] != self._square**2 or not bool(features.mask.all()):
            raise ModelError(
                "NaFlex gives every image patches in its own proportions, so maps of several images can't be "
                "compared; make them square with --align-fit pad or squash"
            )


def load(request: LoadRequest[EncoderOptions]) -> NaFlexTower:
    """Load the vision tower of a SigLIP 2 with NaFlex."""
    folder = request.located.path
    whole = auto_config(folder)
    model = load_placed(request, "Siglip2VisionModel", getattr(whole, "vision_config", whole))
    processor = cast("CutsPatches", image_processor(folder))
    return NaFlexTower(model, NaFlexPrepare(processor, request.options.fit))
