"""What is asked of the tokenizers and image processors of transformers, and of what stands in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from PIL.Image import Image


class Tokenizer(Protocol):
    """Turns texts into ids of tokens, and back."""

    @property
    def bos_token_id(self) -> int | None:
        """The id of the token that begins a text."""

    @property
    def eos_token_id(self) -> int | None:
        """The id of the token that ends a text."""

    @property
    def pad_token_id(self) -> int | None:
        """The id of the token that fills up short texts."""

    def __call__(
        self,
        texts: list[str],
        /,
        *,
        truncation: bool = False,
        max_length: int | None = None,
        add_special_tokens: bool = True,
    ) -> Mapping[str, list[list[int]]]:
        """Return `input_ids`: the ids of each text, at most `max_length` if `truncation`."""

    def decode(self, ids: list[int], /, *, skip_special_tokens: bool = False) -> str:
        """Return the text of ids."""


class Saves(Protocol):
    """Can be saved beside the weights of a model."""

    def save_pretrained(self, folder: Path, /) -> object:
        """Write its files into the model's folder."""


class ImageProcessor(Saves, Protocol):
    """Turns images into the pixels that a network takes."""

    @property
    def image_mean(self) -> Sequence[float]:
        """The mean of each channel, which is subtracted."""

    @property
    def image_std(self) -> Sequence[float]:
        """The standard deviation of each channel, by which it is divided."""

    @property
    def size(self) -> Mapping[str, int]:
        """The height and width to which images are resized, or their shorter edge."""

    def __call__(self, *, images: Image | list[Image], return_tensors: str, **how: Any) -> Mapping[str, Any]:
        """Return `pixel_values`, and whatever else the network takes."""

    def to_json_string(self) -> str:
        """Return its settings."""


class CutsPatches(ImageProcessor, Protocol):
    """Cuts an image in its own proportions into patches."""

    @property
    def patch_size(self) -> int:
        """The side of a patch in pixels."""

    @property
    def max_num_patches(self) -> int:
        """The largest number of patches of an image."""

    @property
    def resample(self) -> int:
        """The filter that resizes, as Pillow numbers them."""
