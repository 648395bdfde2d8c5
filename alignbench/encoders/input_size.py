"""Whether a processor's pixels fit its model, from both configurations, before a load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from alignbench.errors import ModelError
from alignbench.weights.files import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# What a model accepts: images of any size, of one size, or with one number of patches per side.
Takes = Literal["any", "size", "patches"]
_PROCESSOR = "preprocessor_config.json"


def check_input_size(folder: Path | None, config: Mapping[str, Any], takes: Takes, where: str) -> None:
    """Check the size of a processor's images against that of its model, if both files state it.

    Args:
        folder: the folder of the model's files; None if there is none.
        config: the content of config.json, whose sizes are whole numbers.
        takes: the image sizes that the family's models accept.
        where: the model, for errors.

    Raises:
        ModelError: the model does not accept its processor's output.
    """
    if folder is None or takes == "any" or not (folder / _PROCESSOR).is_file():
        return
    own = config.get("vision_config") or config
    pixels, image = processor_size(read_json(folder / _PROCESSOR)), _both(own.get("image_size"))
    patch = _both(own.get("patch_size"))
    if pixels is None or image is None:
        return
    per_patch = patch if takes == "patches" and patch is not None else (1, 1)
    if any(made // part != taken // part for made, taken, part in zip(pixels, image, per_patch, strict=True)):
        raise ModelError(
            f"{where}: its processor makes images of {pixels[0]} x {pixels[1]} ({_PROCESSOR}), and the model "
            f"takes {image[0]} x {image[1]} (image_size in config.json); copy both files of one model again"
        )


def processor_size(processor: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the (height, width) of a processor's output, None if its file does not state it."""
    crops = processor.get("crop_size") is not None and processor.get("do_center_crop") is not False
    if not crops and processor.get("do_resize") is False:
        return None
    return _both(processor.get("crop_size" if crops else "size"))


def _both(size: Any) -> tuple[int, int] | None:
    if isinstance(size, dict):
        size = [size.get("height"), size.get("width")]
    pair = size if isinstance(size, list) else [size, size]
    if len(pair) != 2 or not all(type(edge) is int and edge > 0 for edge in pair):
        return None
    return pair[0], pair[1]
