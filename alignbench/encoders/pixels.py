"""How an image becomes pixels: read from the model's files, shown in the plan, or chosen in a spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.encoders.input_size import processor_size
from alignbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FITTED = {"pad": "padded to a white square", "squash": "squashed"}
# PIL's interpolations, with the numbers that transformers' processors use.
_RESAMPLES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
_ENTRIES = ("mean", "std", "crop", "interpolation")


@dataclass(frozen=True, slots=True)
class Pixels:
    """How an image becomes pixels.

    Args:
        size: height and width of the model's input.
        mean: subtracted from each colour, on the scale from 0 to 1.
        std: the number by which each colour is then divided.
        resized: how an image is brought to that size, in words.
        interpolation: the interpolation of resizing.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resized: str
    interpolation: str

    def said(self) -> str:
        """Return it in a line: `224 x 224, mean .485 .456 .406, std .5, 87.5% centre crop, bicubic`."""
        height, width = self.size
        mean, std = (_numbers(values) for values in (self.mean, self.std))
        return f"{height} x {width}, mean {mean}, std {std}, {self.resized}, {self.interpolation}"


def parse_pixels(text: str, where: str) -> dict[str, Any]:
    """Return the meaning of `+mean=.485/.456/.406+std=.5+crop=.875+interpolation=bicubic` at a spec's end.

    Args:
        text: that end; "" for none.
        where: the spec, for errors.

    Returns:
        Those that are given of "mean" and "std" of three colours, "crop" (the share of the resized image that
        is kept), and "interpolation".

    Raises:
        ConfigError: an entry is unknown, occurs twice, or has an invalid value.
    """
    found: dict[str, Any] = {}
    for entry in text.split("+")[1:]:
        name, _, value = entry.partition("=")
        if name in found:
            raise ConfigError(f"{where}: {name} is there twice; leave one out")
        found[name] = _interpolation(value, where) if name == "interpolation" else _share(name, value, where)
    return found


def of_processor(said: Mapping[str, Any], fit: str) -> Pixels | None:
    """Return how a transformers processor makes pixels; None if its entries do not say so.

    Args:
        said: the content of its preprocessor_config.json.
        fit: see `Prepare`.
    """
    size, resample = processor_size(said), _RESAMPLES.get(said.get("resample", -1))
    mean, std = said.get("image_mean"), said.get("image_std")
    if size is None or resample is None or not (isinstance(mean, list) and isinstance(std, list)):
        return None
    if not all(isinstance(value, int | float) for value in (*mean, *std)):
        return None
    crops = said.get("crop_size") is not None and said.get("do_center_crop") is not False
    resized = _cropped(said.get("size"), size) if crops else "squashed"
    if fit in _FITTED:
        resized, resample = _FITTED[fit], "bicubic"
    if said.get("do_normalize") is False:
        mean, std = [0.0], [1.0]
    return Pixels(size, tuple(mean), tuple(std), resized, resample)


def of_library(
    size: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    resized: str,
    interpolation: str,
    fit: str,
) -> Pixels:
    """Return how timm or open_clip makes pixels.

    Args:
        size: height and width.
        mean: the mean of the colours.
        std: the standard deviation of the colours.
        resized: how the library's own transform brings an image to that size.
        interpolation: the interpolation of that transform.
        fit: see `Prepare`.
    """
    ours = fit in _FITTED
    return Pixels(
        (int(size[0]), int(size[1])),
        tuple(map(float, mean)),
        tuple(map(float, std)),
        _FITTED.get(fit, resized),
        "bicubic" if ours else interpolation,
    )


def _cropped(resized: Any, seen: tuple[int, int]) -> str:
    edge = resized.get("shortest_edge") if isinstance(resized, dict) else resized
    if isinstance(edge, int) and edge > 0:
        return crop_text(seen[0] / edge)
    return "centre crop"


def crop_text(share: float) -> str:
    """Describe a crop of the central square, `share` of the shorter side."""
    return "centre crop" if share == 1 else f"{100 * share:.4g}% centre crop"


def _numbers(values: Sequence[float]) -> str:
    shown = [f"{value:.3g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else " ".join(shown)


def _share(name: str, value: str, where: str) -> Any:
    if name not in _ENTRIES:
        raise ConfigError(f"{where}: expected +{', +'.join(_ENTRIES)}, got +{name}")
    parts = value.split("/")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    counts = (1,) if name == "crop" else (1, 3)
    least = "0 to 1" if name == "mean" else "over 0, at most 1"
    if len(numbers) not in counts or not all(0 <= n <= 1 and (n > 0 or name == "mean") for n in numbers):
        form = "one number" if name == "crop" else "one number, or three with / between them"
        raise ConfigError(f"{where}: expected +{name}= with {form}, {least}; got {value[:60]!r}")
    return numbers[0] if name == "crop" else tuple(numbers * 3 if len(numbers) == 1 else numbers)


def _interpolation(value: str, where: str) -> str:
    if value not in _INTERPOLATIONS:
        raise ConfigError(
            f"{where}: expected +interpolation= {', '.join(_INTERPOLATIONS)}; got {value[:60]!r}"
        )
    return value
