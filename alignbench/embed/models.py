"""What embedding needs from a model: all methods for ours, `.embed` alone for a third party's."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from alignbench.encoders import Encoder
from alignbench.errors import ModelError
from alignbench.memory import is_out_of_memory
from alignbench.types import ModelInfo
from alignbench.weights.protocols import (
    chooses_dtype,
    embeds,
    fingerprints,
    gives_patches,
    loads,
    prepares_images,
    prepares_patches,
    unloads,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray
    from PIL.Image import Image

    from alignbench.weights.protocols import ImageModel, Model

    Vectors = NDArray[np.float32]
    Output = Literal["vectors", "patches", "layers"]
    OnLoad = Callable[[str, float], None]


# Batches are halved before (`Fitting`), so smaller ones are no way out.
_LESS_MEMORY = {
    "vision": "--align-device cpu, or take a smaller model",
    "text": "--align-device cpu or --align-quantize 8bit, or take a smaller model",
}


def info_of(model: Model, side: Literal["vision", "text"], dtype: str = "") -> ModelInfo:
    """Return what a score says about the model, with the arithmetic that was used.

    Args:
        model: ours, or anything with `.embed` and perhaps a `name`.
        side: the side for a model that does not state it.
        dtype: the arithmetic, "" if it is unknown.
    """
    info = getattr(model, "info", None)
    if not isinstance(info, ModelInfo):
        kind = type(model)
        name = getattr(model, "name", None) or getattr(model, "__name__", kind.__name__)
        info = ModelInfo(str(name), side, "other", f"{kind.__module__}.{kind.__qualname__}", "custom")
    params = {**info.params, "l2": bool(info.params.get("l2", True))}
    return replace(info, params={**params, "dtype": dtype} if dtype else params)


def dtype_of(model: Model, device: str, dtype: str) -> str:
    """Return the name of the arithmetic that the model will use, or "" where only the model knows."""
    if chooses_dtype(model):
        return str(model.effective_dtype(device, dtype))
    return "" if dtype == "auto" else dtype


def key_of(model: Model, dtype: str, output: Output = "vectors") -> dict[str, Any] | None:
    """Return everything that shapes the model's vectors, or None if it can't say: then it is not cached.

    Args:
        model: ours, or a third party's.
        dtype: the arithmetic.
        output: the output that is meant; a third party's own fingerprint may not cover patches.
    """
    if not fingerprints(model):
        return None
    which: dict[Output, dict[str, Any]] = {
        "patches": {"patches": True},
        # All layers under all poolings, so the requested layer and pooling do not matter.
        "layers": {"output": "layers and end"},
    }
    return {**model.fingerprint(), "dtype": dtype, **which.get(output, {})}


@contextmanager
def loaded(
    model: object,
    name: str,
    device: str,
    dtype: str,
    on_load: OnLoad | None,
    side: Literal["vision", "text"],
) -> Iterator[None]:
    """Keep the model in memory for as long as it is needed.

    Raises:
        ModelError: it does not fit.
    """
    started = time.perf_counter()
    try:
        if loads(model):
            try:
                model.load(device, dtype)
            except Exception as error:
                if is_out_of_memory(error):
                    raise ModelError(
                        f"{name}: out of memory while its weights were loaded; give {_LESS_MEMORY[side]}"
                    ) from error
                raise
            if on_load is not None:
                on_load(name, time.perf_counter() - started)
        yield
    finally:
        if unloads(model):
            model.unload()


def image_calls(
    encoder: ImageModel, output: Output = "vectors"
) -> tuple[Callable[[Image], Any], Callable[[Sequence[Any]], ArrayLike]]:
    """Return the function that prepares an image for an encoder, and the one that takes a batch of these.

    Raises:
        ModelError: it has no such output.
    """
    if output == "layers" and isinstance(encoder, Encoder):
        return encoder.preprocess, encoder.forward_layers
    if output == "patches" and prepares_patches(encoder):
        return encoder.preprocess, encoder.forward_patches
    if output == "patches" and gives_patches(encoder):
        return _same, encoder.patches
    if output == "vectors":
        if prepares_images(encoder):
            return encoder.preprocess, encoder.forward
        return _same, embed_of(encoder, "vision")
    raise ModelError(f"{info_of(encoder, 'vision').name}: gives no {output}")


def embed_of(model: Model, side: Literal["vision", "text"]) -> Callable[[Sequence[Any]], ArrayLike]:
    """Return the model's `embed`.

    Raises:
        ModelError: it has none.
    """
    if not embeds(model):
        raise ModelError(f"{info_of(model, side).name}: it has no embed() method")
    return model.embed


def _same(image: Image) -> Image:
    return image


def run(
    forward: Callable[[Sequence[Any]], ArrayLike],
    batch: Sequence[Any],
    name: str,
    ids: Sequence[str],
    side: Literal["vision", "text"],
    output: Output = "vectors",
) -> Vectors:
    """Return a batch's vectors, checked: float32 `[b, d]` or, for patches or layers, `[b, p, d]`; all finite.

    Args:
        forward: the model's function.
        batch: its argument.
        name: the model's name.
        ids: the samples in the batch, for errors.
        side: the kind of samples.
        output: whether there is one vector, or one per patch or layer.

    Raises:
        ModelError: memory ran out, the shape is wrong, or a vector is not finite.
    """
    try:
        out = forward(batch)
    except Exception as error:
        if is_out_of_memory(error):
            what = "image" if side == "vision" else "text"
            raise ModelError(
                f"{name}: out of memory with a single {what}; give {_LESS_MEMORY[side]}"
            ) from error
        raise
    vectors = np.asarray(out, dtype=np.float32)
    if vectors.ndim != (2 if output == "vectors" else 3) or len(vectors) != len(ids):
        form = "d" if output == "vectors" else f"{output}, d"
        raise ModelError(f"{name}: expected vectors [{len(ids)}, {form}], got shape {vectors.shape}")
    finite = np.isfinite(vectors.reshape(len(ids), -1)).all(axis=1)
    if not finite.all():
        first = int(np.argmin(finite))
        raise ModelError(
            f"{name}: {int((~finite).sum())} of {len(ids)} vectors are not finite, the first of sample "
            f"{ids[first]!r}; try --align-dtype float32"
        )
    return vectors
