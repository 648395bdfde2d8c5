"""timm's models: vision transformers and convolutional networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from alignbench.encoders.open_clip_models import block_state
from alignbench.encoders.preprocess import TransformPrepare
from alignbench.encoders.tower import Features, Tower
from alignbench.errors import LayersMissingError, ModelError
from alignbench.weights.guard import guarded
from alignbench.weights.loading import fill, place, read_tensors, torch_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from alignbench.encoders.base import Options
    from alignbench.weights.precision import Precision
    from alignbench.weights.source import Located


# What a config.json may choose: the shape of a network, and its pixels. timm's builder also takes addresses
# and files to load from, and folders to write to.
_SHAPE = """
    act_layer class_token depth depths dims dynamic_img_size embed_dim fc_norm final_norm global_pool
    head_fixed head_hidden_size img_size init_values layers ls_init_value mlp_ratio no_embed_class norm_layer
    num_heads num_reg_tokens patch_size pos_embed pre_norm qk_norm qkv_bias reg_tokens rope_type
    scale_attn_norm scale_mlp_norm stem_type stem_width use_rot_pos_emb window_size
"""
_PIXELS = """
    input_size min_input_size fixed_input_size test_input_size interpolation crop_pct test_crop_pct crop_mode
    mean std
"""
_PLAIN = (bool, int, float, str, type(None))


class TimmTower(Tower):
    """A model of timm without its classifier.

    Args:
        model: in evaluation mode, on its device.
        prepare: image -> pixels.
    """

    def __init__(self, model: Any, prepare: TransformPrepare) -> None:
        super().__init__(prepare, special=int(getattr(model, "num_prefix_tokens", 0)))
        self.model = model
        self._channels_last = is_convolutional(model)

    def features(self, pixels: Tensor, layer: int | None) -> Features:
        """Return the tokens (or places of the feature map), and timm's own pooled embedding."""
        if self._channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        if layer is not None:
            return self._hidden(pixels, layer)
        out = self.model.forward_features(pixels)
        pooled = self.model.forward_head(out, pre_logits=True)
        tokens = self._as_tokens(out)
        return Features(tokens, cls=tokens[:, 0] if self._has_cls else None, pooler=pooled)

    def hidden_states(self, pixels: Tensor) -> tuple[Sequence[Tensor], Features]:
        """Return the tokens after each block, and the end, for which timm runs anew; there is no layer 0."""
        return [self._tokens_of(state) for state in self._states(pixels)], self.features(pixels, None)

    def _hidden(self, pixels: Tensor, layer: int) -> Features:
        tokens = self._tokens_of(block_state(self._states(pixels), layer))
        return Features(tokens, cls=tokens[:, 0] if self._has_cls else None)

    def _states(self, pixels: Tensor) -> list[Any]:
        if not hasattr(self.model, "forward_intermediates"):
            raise LayersMissingError("this architecture of timm gives no hidden layers")
        extra = {"return_prefix_tokens": True} if self.special else {}
        states: list[Any] = self.model.forward_intermediates(
            pixels, intermediates_only=True, norm=False, output_fmt="NCHW", **extra
        )
        return states

    def _tokens_of(self, state: Any) -> Tensor:
        if not self.special:
            return state.flatten(2).transpose(1, 2)  # type: ignore[no-any-return]
        places, front = state
        return torch.cat([front, places.flatten(2).transpose(1, 2)], dim=1)

    @property
    def _has_cls(self) -> bool:
        return self.special > 0 and bool(getattr(self.model, "has_class_token", True))

    def _as_tokens(self, out: Tensor) -> Tensor:
        if out.ndim == 3:
            return out
        if out.ndim != 4:
            raise ModelError(f"this model of timm gives features {tuple(out.shape)}: no patches")
        channels_first = out.shape[1] == self.model.num_features
        return out.flatten(2).transpose(1, 2) if channels_first else out.flatten(1, 2)


def is_convolutional(model: Any) -> bool:
    """Whether a model convolves beyond its patch embedding: channels_last is then 2 to 3 times faster."""
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    return any(m.kernel_size != m.stride and m.kernel_size != (1, 1) for m in convolutions)


def load(
    located: Located, config: Mapping[str, Any], options: Options, device: str, precision: Precision
) -> TimmTower:
    """Load a model of timm by its architecture's name and a checkpoint.

    Raises:
        ModelError: timm can't build it, its configuration asks for more than a network's shape, or the
            checkpoint lacks weights of it.
    """
    import timm
    from timm.data.config import resolve_model_data_config
    from timm.data.transforms_factory import create_transform

    name = str(config["architecture"])
    if ":" in name or not timm.is_model(name):
        raise ModelError(f"{located.source}: {name[:80]!r} is no architecture of timm")
    arguments = checked_arguments(config, located.source)
    with guarded(located.source, "timm can't load it"):
        model = timm.create_model(name, pretrained=False, num_classes=0, **arguments)
    fill(model, read_tensors(located.weights), located.source, name)
    model = model.eval().to(torch_dtype(precision.weights))
    if is_convolutional(model):
        model = model.to(memory_format=torch.channels_last)
    how = resolve_model_data_config(model)
    prepare = TransformPrepare(
        create_transform(**how, is_training=False),
        options.fit,
        how["input_size"][1:],
        how["mean"],
        how["std"],
    )
    return TimmTower(place(model, device), prepare)


def checked_arguments(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what a config.json of timm gives to `create_model`.

    Raises:
        ModelError: it would give more than the shape of a network.
    """
    given, pixels = config.get("model_args") or {}, config.get("pretrained_cfg") or {}
    if not isinstance(given, dict) or not isinstance(pixels, dict):
        raise ModelError(f"{where}: model_args and pretrained_cfg in config.json must be objects")
    # The classifier is left out here, whatever its width.
    arguments = {key: value for key, value in given.items() if key != "num_classes"}
    for key, value in arguments.items():
        parts = value if isinstance(value, list) else [value]
        if key not in _SHAPE.split() or not all(isinstance(part, _PLAIN) for part in parts):
            raise ModelError(
                f"{where}: model_args in config.json has {key[:80]!r}, which is not taken from a file; "
                f"build the model yourself and register an object with embed(images)"
            )
    how = {key: value for key, value in pixels.items() if key in _PIXELS.split()}
    return {**arguments, "pretrained_cfg": how} if how else arguments
