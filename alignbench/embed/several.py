"""One call that embeds the same images with several encoders."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.datasets import Dataset, Sample
from alignbench.embed.cache import EmbeddingStore, default_root
from alignbench.embed.embedder import Embedder
from alignbench.embed.models import info_of
from alignbench.embed.progress import Progress, SilentProgress
from alignbench.errors import InputError
from alignbench.paths import user_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image

    from alignbench.types import Embeddings
    from alignbench.weights.protocols import ImageModel

_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_NOT_8_BIT = frozenset({"I", "F"})  # only whoever made it knows which of its numbers is white


def extract_multi_encoder(
    encoders: Iterable[str | ImageModel] | Mapping[str, str | ImageModel],
    images: Dataset | Iterable[Image.Image | Path | str],
    *,
    store: EmbeddingStore | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int = 32,
    progress: Progress | None = None,
    **settings: Any,
) -> dict[str, Embeddings]:
    """Return each encoder's vectors of the same images, one encoder in memory at a time.

    Every name is looked up before the first encoder is loaded. An encoder that fails ends the call; the
    results of those before it are in the store.

    Args:
        encoders: specs ("clip", "timm:vit_base_patch16_224", "mine=hf:org/name"), encoders, or objects with
            `embed(images) -> [n, d]`; or several of them by name.
        images: a dataset, or Pillow images or their files; row i belongs to image i.
        store: the known vectors, and the place for new ones; None for the store of all runs.
        device: "auto", "cpu", "cuda", ...
        dtype: "auto", "float32", "bfloat16" or "float16".
        batch_size: the number of images per batch.
        progress: is informed about images that are missing.
        settings: options for encoders that are given as specs: `pooling`, `fit`, `layer`, `l2`, ... of
            `alignbench.encoders.resolve`.

    Returns:
        Name -> embeddings, float32 [n, d], in the order of the encoders.

    Raises:
        InputError: there are no encoders, two of one name, or no images.
        UnknownNameError: nothing has one of the names.
        WeightsMissingError: weights are not available.
        ModelError: a vector is not finite, or can't be scaled to unit length.
        DataError: an image can't be decoded.

    Examples:
        >>> from alignbench.datasets import load_mixed
        >>> embedded = extract_multi_encoder(["mini-clip", "random-vit"], load_mixed(2))
        >>> {name: embeddings.values.shape for name, embeddings in embedded.items()}
        {'mini-clip': (6, 192), 'random-vit': (6, 192)}
    """
    named = _named(encoders, settings)
    dataset = images if isinstance(images, Dataset) else _dataset_of(images)
    embedder = Embedder(
        EmbeddingStore(default_root()) if store is None else store,
        device,
        dtype,
        batch_size,
        progress=progress or SilentProgress(),
    )
    return {name: embedder.images(encoder, dataset) for name, encoder in named.items()}


def _named(
    given: Iterable[str | ImageModel] | Mapping[str, str | ImageModel], settings: Mapping[str, Any]
) -> dict[str, ImageModel]:
    from alignbench.encoders import resolve

    if isinstance(given, str | bytes):
        raise InputError(f"encoders: expected several, got {given!r}; give a list")
    by_name: dict[str, ImageModel] = {}
    pairs = given.items() if isinstance(given, Mapping) else ((None, encoder) for encoder in given)
    for alias, encoder in pairs:
        if isinstance(encoder, str):
            encoder = resolve(encoder if alias is None else f"{alias}={encoder}", **settings)
        name = info_of(encoder, "vision").label if alias is None else str(alias)
        if name in by_name:
            raise InputError(f"encoders: two are called {name!r}; name them apart: {{'a': ..., 'b': ...}}")
        by_name[name] = encoder
    if not by_name:
        raise InputError("encoders: expected at least one, got none")
    return by_name


def _dataset_of(images: Iterable[Image.Image | Path | str]) -> Dataset:
    samples = tuple(
        Sample(f"image-{i}", _encoded(image, i), (), "image", group=f"image-{i}")
        for i, image in enumerate(images)
    )
    if not samples:
        raise InputError("images: expected at least one, got none")
    return Dataset("images", samples, "images that were given")


def _encoded(image: Image.Image | Path | str, place: int) -> Path | bytes:
    from PIL import Image, ImageOps

    if isinstance(image, str | Path):
        return user_path(image, f"image {place}")
    if not isinstance(image, Image.Image) or image.mode in _NOT_8_BIT:
        what = f"one of mode {image.mode}" if isinstance(image, Image.Image) else type(image).__name__
        raise InputError(f"image {place}: expected a file, or an image of pillow in 8 bits, got {what}")
    upright = ImageOps.exif_transpose(image)
    buffer = io.BytesIO()
    (upright if upright.mode in _PNG_MODES else upright.convert("RGB")).save(buffer, "PNG")
    return buffer.getvalue()
