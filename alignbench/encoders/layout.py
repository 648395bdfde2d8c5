"""Which of a vision model's outputs are patches: told by its shapes, then checked with its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from alignbench.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from alignbench.encoders.networks import AnyVision

# The names under which models of transformers hold the tokens that stand in front of the patches.
_CLS = ("cls_token", "class_embedding", "class_token")
_OTHERS = ("register_tokens", "distillation_token")
_HALVINGS = 6


@dataclass(frozen=True, slots=True)
class Layout:
    """The place of the patches in a model's output.

    Args:
        grid: rows and columns of patches; None if they can't be told.
        front: the number of tokens in front of the patches, in every layer.
        cls: whether the first of them is a CLS token.
        pooled_in_front: whether the final output alone has its pooled vector in front, as one more token.
        channels: the axis of the channels in an output that is a map: 1, or 3 if they come last.
        layer_channels: the same for hidden layers that are maps; None if there are no layers to be had.
    """

    grid: tuple[int, int] | None = None
    front: int = 0
    cls: bool = False
    pooled_in_front: bool = False
    channels: int = 1
    layer_channels: int | None = None


def layout_of(model: AnyVision, out: Any, size: tuple[int, int]) -> Layout:
    """Return the layout that the shapes of a model and of its output tell.

    Args:
        model: the network.
        out: its output for one image, with hidden states if it has any.
        size: height and width of that image.
    """
    tokens = getattr(out, "last_hidden_state", None)
    states = getattr(out, "hidden_states", None) or ()
    maps = [state for state in states if state.ndim == 4]
    of_layers = _channels(maps, size) if states else None
    if tokens is None or tokens.ndim not in (3, 4):
        return Layout()
    if tokens.ndim == 4:
        axis = _channels([tokens], size) or (of_layers if maps else None)
        return (
            Layout() if axis is None else Layout(_grid(tokens, axis), channels=axis, layer_channels=of_layers)
        )
    if maps:
        return _flattened(out, maps, of_layers)
    named = _tokens_in_front(model, tokens.shape[-1])
    merges = any(state.shape[1] != tokens.shape[1] for state in states)
    for grid in _grids(model, size, merges=merges):
        for front in (named, {}):  # a pooling head may hold a token that is in no layer
            count = sum(front.values())
            if math.prod(grid) + count == tokens.shape[1]:
                cls = any(front.get(name) for name in _CLS)
                return Layout(grid, count, cls=cls, layer_channels=of_layers)
    return Layout()


def as_tokens(values: Tensor, channels: int) -> Tensor:
    """Return tokens [b, t, d] of themselves, or of a feature map whose channels are axis 1 or 3."""
    if values.ndim == 3:
        return values
    return values.flatten(2).transpose(1, 2) if channels == 1 else values.flatten(1, 2)


def order_of(run: Callable[[Tensor], Any], layout: Layout, pixels: Tensor, what: str) -> str:
    """Check by its first hidden state which tokens follow which part of an image.

    Args:
        run: returns the model's output with hidden states.
        layout: what its shapes told.
        pixels: one or more images without two equal patches.
        what: the model, for errors.

    Returns:
        Why its tokens are not the patches row by row; "" if they are, or if there is no such state to ask.

    Raises:
        ModelError: the tokens in front of the patches depend on the image.
    """
    if layout.grid is None:
        return ""
    height, width = (side // count for side, count in zip(pixels.shape[2:], layout.grid, strict=True))
    corners = pixels[:1].repeat(4, 1, 1, 1)
    corners[1, :, :height, -width:] *= -1
    corners[2, :, -height:, :width] *= -1
    corners[3] *= -1
    states = getattr(run(corners), "hidden_states", None)
    if not states or states[0].ndim != 3:
        return ""
    # In a network that merges patches, the first layer has a finer grid of the same proportions.
    finer = math.isqrt(max(0, states[0].shape[1] - layout.front) // math.prod(layout.grid))
    rows, columns = (finer * count for count in layout.grid)
    if states[0].shape[1] != layout.front + rows * columns:
        return ""
    changed = (states[0] - states[0][:1]).float().norm(dim=2)
    if (changed[3] == 0).tolist() != [place < layout.front for place in range(changed.shape[1])]:
        raise ModelError(
            f"{what}: the first {layout.front} of its tokens are not those that stand in front of its patches"
        )
    places = changed[1:3, layout.front :].argmax(dim=1).tolist()
    (top, right), (bottom, left) = (divmod(place, columns) for place in places)
    if top < finer and right >= columns - finer and bottom >= rows - finer and left < finer:
        return ""
    return f"{what} does not return its patches row by row, so there are no maps of them"


def _flattened(out: Any, maps: Sequence[Tensor], channels: int | None) -> Layout:
    """Return the layout of tokens that are the last layer's map, after their pooled vector or alone."""
    if channels is None:
        return Layout()
    grid = _grid(maps[-1], channels)
    extra = out.last_hidden_state.shape[1] - math.prod(grid)
    if extra == 0 or (extra == 1 and getattr(out, "pooler_output", None) is not None):
        return Layout(grid, pooled_in_front=extra == 1, layer_channels=channels)
    return Layout()


def _channels(maps: Sequence[Tensor], size: tuple[int, int]) -> int | None:
    """Return the axis, 1 or 3, without which all maps have the image's proportions, if it is only one."""
    fitting = [
        axis
        for axis in (1, 3)
        if all(_grid(one, axis)[0] * size[1] == _grid(one, axis)[1] * size[0] for one in maps)
    ]
    return 1 if not maps else fitting[0] if len(fitting) == 1 else None


def _grid(values: Tensor, channels: int) -> tuple[int, int]:
    shape = [length for axis, length in enumerate(values.shape) if axis not in (0, channels)]
    return shape[0], shape[1]


def _tokens_in_front(model: AnyVision, width: int) -> dict[str, int]:
    """Return the number of tokens that stand in front of the patches, by the names of their weights."""
    weights = ((name.rpartition(".")[2], weight) for name, weight in model.named_parameters())
    return {name: weight.numel() // width for name, weight in weights if name in (*_CLS, *_OTHERS)}


def _grids(model: AnyVision, size: tuple[int, int], *, merges: bool) -> Iterator[tuple[int, int]]:
    """Yield the grids of patches that a model may have: of its first convolution's stride, or halved."""
    first = next((m for m in model.modules() if isinstance(m, torch.nn.Conv2d)), None)
    strides = [] if first is None else [(int(first.stride[0]), int(first.stride[1]))]
    patch = getattr(model.config, "patch_size", None)
    if isinstance(patch, int):
        strides = list(dict.fromkeys([*strides, (patch, patch)]))
    # If the first convolution cuts the patches and all layers have as many, none are merged.
    halvings = _HALVINGS if merges or len(strides) > 1 or patch is None else 1
    for height, width in strides:
        for halving in range(halvings):
            yield size[0] // (height << halving), size[1] // (width << halving)
