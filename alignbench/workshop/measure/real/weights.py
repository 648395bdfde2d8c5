"""Real models from installed packages, by name; nothing is installed or downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from alignbench.errors import WeightsMissingError
from alignbench.workshop.measure.real.checks import TRAINED, Check, holds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.encoders import Encoder

ENCODERS: Final = (TRAINED,)
LLMS: Final = ("smollm2-135m", "gemma3-270m-pip")
_CLASSIFIER = ("_fc.weight", "_fc.bias")
# A photograph's file -> the classes of ImageNet that are right for it. A network in which two tensors of one
# shape are exchanged recognises none of them.
KNOWN: Final[Mapping[str, Mapping[int, str]]] = {
    "camera.png": {759: "reflex camera", 872: "tripod"},
    "chelsea.png": {281: "tabby", 282: "tiger cat", 285: "Egyptian cat"},
    "china.jpg": {663: "monastery", 698: "palace", 832: "stupa"},
    "coffee.png": {504: "coffee mug", 967: "espresso", 968: "cup"},
    "flower.jpg": {985: "daisy"},
    "motorcycle_left.png": {665: "moped", 670: "motor scooter"},
    "rocket.jpg": {657: "missile", 744: "projectile"},
}


def at_hand(names: Iterable[str], resolve: Callable[[str], Any]) -> tuple[list[str], list[str]]:
    """Return the models whose packages are installed, and one line for each other one.

    Args:
        names: the models' names.
        resolve: (a name) -> the handle.
    """
    here, lines = [], []
    for name in names:
        try:
            resolve(name).locate()
        except WeightsMissingError as error:
            lines.append(str(error))
        else:
            here.append(name)
    return here, lines


def recognised(encoder: Encoder, folders: Mapping[str, Path]) -> list[Check]:
    """Return one check per known photograph: its class by the encoder's vector, and whether it is right.

    Args:
        encoder: the handle of `TRAINED`, whose vectors (without L2) its checkpoint's classifier reads.
        folders: package -> the folder of its photographs.
    """
    from PIL import Image

    files = {
        name: folder / name for name in KNOWN for folder in folders.values() if (folder / name).is_file()
    }
    images = [Image.open(file).convert("RGB") for file in files.values()]
    if not images:
        return []
    checks = []
    for name, chances in zip(files, _classified(encoder, encoder.embed(images)), strict=True):
        right, best = KNOWN[name], int(chances.argmax())
        title = right.get(best, f"class {best} of ImageNet, expected one of {', '.join(right.values())}")
        line = f"{encoder.name} on {name}: {title} (probability {chances[best]:.2f})"
        checks.append(holds(best in right, line))
    return checks


def _classified(encoder: Encoder, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probability of each class of ImageNet: float64 [n, 1000]."""
    from scipy.special import softmax

    from alignbench.weights.loading import read_pickle

    tensors = read_pickle(encoder.locate().weights[0])
    weight, bias = (tensors[key].double().numpy() for key in _CLASSIFIER)
    chances: NDArray[np.float64] = softmax(vectors @ weight.T + bias, axis=1)
    return chances
