"""Checks a configuration against the actual tensors, from headers alone, before anything is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from alignbench.errors import ModelError
from alignbench.weights.headers import safetensors_header
from alignbench.weights.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    Shape = tuple[int, ...]

_MEND = "configuration and weights are not of one model, or one of them is damaged: copy both again"
_BLOCK = re.compile(r"(?:^|\.)(?:layers?|h|blocks|resblocks)\.(\d+)\.")
_OF_VISION = re.compile(r"(?:^|\.)(?:vision_(?:model|tower)|visual)\.")
_WORDS = re.compile(r"(?:^|\.)(?:embed_tokens|tok_embeddings|embed_in|wte|token_embedding)\.weight$")
_PLACES = re.compile(r"(?:^|\.)wpe\.weight$")
_PATCH = re.compile(r"(?:^|\.)(?:patch_embedding|patch_embeddings\.projection)\.weight$")
_PATCH_PLACES = re.compile(r"(?:^|\.)position_embeddings?(?:\.weight)?$")
# The names that libraries use for the same value.
_NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "depth", "layers"),
    "width": ("hidden_size", "n_embd", "embed_dim", "width"),
    "words": ("vocab_size",),
    "places": ("n_positions",),
    "patch": ("patch_size",),
    "image": ("image_size",),
}
# A parameter takes at least half a byte: 4-bit weights.
_NUMBERS_A_BYTE = 2
_KINDS = ("vision", "text")
_FRONT = range(3)  # tokens with positions in front of the patches: CLS, a distillation token, or none


@dataclass(frozen=True)
class CheckpointSide:
    """One side of a checkpoint: its configuration and its tensors.

    Args:
        kind: "vision" or "text".
        config: the side's own part of the configuration.
        tensors: name -> shape of its tensors; empty if only loading could list them.
    """

    kind: Literal["vision", "text"]
    config: Mapping[str, Any]
    tensors: Mapping[str, Shape]

    def said(self, what: str) -> int | None:
        """Return the configured whole number for something, None if there is none."""
        values = (self.config.get(name) for name in _NAMES[what])
        return next((value for value in values if type(value) is int), None)

    def name(self, what: str) -> str:
        """Return the configuration's own name for it."""
        return next((name for name in _NAMES[what] if self.config.get(name) is not None), _NAMES[what][0])


def check_tensors(
    config: Mapping[str, Any], files: Sequence[Path], sides: Iterable[Literal["vision", "text"]], where: str
) -> None:
    """Check the sizes in a configuration against the weights.

    Args:
        config: a configuration that `check_values` has accepted.
        files: the available weights; formats other than safetensors only have a size.
        sides: the sides that are used.
        where: the model, for errors.

    Raises:
        ModelError: the configuration has layers, widths or words that the weights don't have.
    """
    if not files:
        return
    shapes = {
        name: tuple(entry["shape"])
        for path in files
        if path.suffix == ".safetensors"
        for name, entry in safetensors_header(path).items()
    }
    size = sum(path.stat().st_size for path in files)
    for kind in sides:
        side = side_of(config, shapes, kind)
        _check_size(side, size, where)
        _check_layers(side, where)
        _check_shapes(side, where)


def side_of(
    config: Mapping[str, Any], shapes: Mapping[str, Shape], kind: Literal["vision", "text"]
) -> CheckpointSide:
    """Return one side of a checkpoint: its own part of the configuration, and its own tensors.

    Args:
        config: the content of config.json.
        shapes: name -> shape, of all tensors.
        kind: which side.
    """
    whole = config.get("model_cfg") or config
    parts = (f"{kind}_config", f"{kind}_cfg")
    own: Mapping[str, Any] = next((whole[part] for part in parts if whole.get(part)), {})
    if not own and not any(whole.get(f"{other}_{end}") for other in _KINDS for end in ("config", "cfg")):
        # A model of one side; timm nests its sizes one level deeper.
        arguments = whole.get("model_args")
        own = arguments if "architecture" in whole and isinstance(arguments, dict) else whole
        return CheckpointSide(kind, own, shapes)
    return CheckpointSide(
        kind, own, {n: s for n, s in shapes.items() if bool(_OF_VISION.search(n)) == (kind == "vision")}
    )


def _check_size(side: CheckpointSide, size: int, where: str) -> None:
    """Check that the weights are large enough for the matrices that every such model has."""
    width, layers, words = side.said("width"), side.said("layers"), side.said("words")
    if width is None:
        return
    for what, count in (("layers", layers), ("words", words)):
        # A layer has at least one matrix of width by width, and each word has a vector.
        numbers = (count or 0) * width * (width if what == "layers" else 1)
        if numbers > size * _NUMBERS_A_BYTE:
            raise ModelError(
                f"{where}: its configuration has {side.name(what)} = {count} and {side.name('width')} = "
                f"{width}, which can't be in weights of {size:,} bytes; {_MEND}"
            )


def _check_layers(side: CheckpointSide, where: str) -> None:
    layers = side.said("layers")
    blocks = [int(found[1]) for name in side.tensors if (found := _BLOCK.search(name))]
    if layers is not None and blocks and layers > max(blocks) + 1:
        raise ModelError(
            f"{where}: its configuration has {side.name('layers')} = {layers}, and the weights have "
            f"{max(blocks) + 1} layers; {_MEND}"
        )


def _check_shapes(side: CheckpointSide, where: str) -> None:
    for name, shape in side.tensors.items():
        for what, axis in _axes(side.kind, name, len(shape)).items():
            size = side.said(what)
            if size is not None and shape[axis] != size:
                raise ModelError(
                    f"{where}: its configuration has {side.name(what)} = {size}, and the weights have "
                    f"{shape[axis]} ({name!r} is {' x '.join(map(str, shape))}); {_MEND}"
                )
        if side.kind == "vision" and _PATCH_PLACES.search(name) and len(shape) >= 2:
            _check_patches(side, name, shape, where)


def _axes(kind: str, name: str, dimensions: int) -> dict[str, int]:
    """Return the meaning of a tensor's axes, as far as its name reveals it."""
    if kind == "text" and dimensions == 2:
        if _WORDS.search(name):
            return {"words": 0, "width": 1}
        return {"places": 0} if _PLACES.search(name) else {}
    if kind == "vision" and dimensions == 4 and _PATCH.search(name):
        return {"width": 0, "patch": 2}
    return {}


def _check_patches(side: CheckpointSide, name: str, shape: Shape, where: str) -> None:
    image, patch = side.said("image"), side.said("patch")
    if image is None or patch is None or shape[-2] - (image // patch) ** 2 in _FRONT:
        return
    raise ModelError(
        f"{where}: its configuration has {side.name('image')} = {image} and {side.name('patch')} = {patch}, "
        f"{(image // patch) ** 2} patches, and the weights have {shape[-2]} places ({name!r}); {_MEND}"
    )


def check_padding(config: Mapping[str, Any], where: str) -> None:
    """Check that an LLM's padding token is one of its words: its embedding is created with it.

    Args:
        config: the content of config.json.
        where: the model, for errors.

    Raises:
        ModelError: the padding token is not one of them.
    """
    side = side_of(config, {}, "text")
    words, token = side.said("words"), side.config.get("pad_token_id")
    if token is None or words is None:
        return
    if type(token) is not int or not -words <= token < words:
        raise ModelError(
            f"{where}: its configuration has pad_token_id = {shortened(repr(token), 60)}, which is none of "
            f"its {words} words (vocab_size); correct it"
        )
