"""A check at load: an image's vectors are finite, and the same alone and beside another image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from alignbench.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from alignbench.weights.precision import Precision

# Of the distance between the two images' vectors, and of their length: rounding differs with the batch.
_OF_DISTANCE = {"float32": 1e-3, "lower": 0.1}
_OF_LENGTH = {"float32": 1e-5, "lower": 0.02}


def noise_images(size: tuple[int, int], device: str) -> Tensor:
    """Return two different images of noise as pixels [2, 3, h, w], the same in every process."""
    if device == "meta":
        return torch.empty(2, 3, *size, device="meta")
    generator = torch.Generator(device="cpu").manual_seed(0)
    return torch.randn(2, 3, *size, generator=generator, device="cpu").to(device)


def check_same_alone(
    embed: Callable[[Tensor], Mapping[str, Tensor]], pixels: Tensor, precision: Precision, what: str
) -> None:
    """Check the vectors of two images, embedded together and each alone.

    Args:
        embed: returns the vectors [b, d] of pixels [b, 3, h, w], by pooling.
        pixels: two different images.
        precision: the arithmetic, on which the allowed rounding depends.
        what: the model, for errors.

    Raises:
        ModelError: a vector is not finite, or depends on the other image or on chance.
    """
    kind = "float32" if precision.name == "float32" else "lower"
    together = embed(pixels)
    alone = [embed(pixels[i : i + 1]) for i in range(len(pixels))]
    for pooling, vectors in together.items():
        both, single = vectors.float(), torch.cat([one[pooling].float() for one in alone])
        if not bool(both.isfinite().all() and single.isfinite().all()):
            raise ModelError(
                f"{what}: {pooling!r} vectors of an image of noise are not finite in {precision.name}: its "
                f"weights have such values, or its arithmetic overflows (try --align-dtype float32)"
            )
        allowed = _OF_DISTANCE[kind] * (both[0] - both[1]).norm() + _OF_LENGTH[kind] * both.norm(dim=1).max()
        if bool((both - single).norm(dim=1).max() > allowed):
            raise ModelError(
                f"{what}: the {pooling!r} vector of an image is another one beside another image, or in "
                f"another run, so its scores would depend on the batch or on chance; it is refused"
            )
