"""open_clip's models: the projected embedding, patches, and the text tower."""

from __future__ import annotations

import contextlib
import logging
import math
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from alignbench.encoders.networks import gives_intermediates
from alignbench.encoders.pixels import of_library
from alignbench.encoders.preprocess import TransformPrepare
from alignbench.encoders.tower import Features, Tower
from alignbench.errors import LayersMissingError, ModelError
from alignbench.weights.guard import guarded
from alignbench.weights.keys import check_keys
from alignbench.weights.loading import place, read_pickle, read_tensors, rehearsal, rehearsing, torch_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import torch
    from torch import Tensor

    from alignbench.encoders.networks import OpenClipModel
    from alignbench.encoders.options import EncoderOptions
    from alignbench.weights.request import LoadRequest


class OpenClipTower(Tower):
    """A model of open_clip.

    Args:
        model: in evaluation mode, on its device.
        name: as open_clip knows it, or `local-dir:<folder>`; names the tokenizer, too.
        prepare: a function from image to pixels.
        device: the device of the texts.
    """

    has_text = True

    def __init__(self, model: OpenClipModel, name: str, prepare: TransformPrepare, device: str) -> None:
        super().__init__(prepare, special=0)
        self.model: OpenClipModel = model
        # Without spatial features, there is no mean over them.
        self.lacks = () if gives_intermediates(model.visual) else ("mean",)
        self._name = name
        self._device = device

    def features(self, pixels: Tensor, layer: int | None) -> Features:
        """Return the patches of the last or another block, and the projected embedding."""
        visual = self.model.visual
        if not gives_intermediates(visual):
            if layer is not None:
                raise LayersMissingError(
                    f"{self._name}: this architecture of open_clip gives no hidden layers"
                )
            projected = visual(pixels)
            return Features(projected.unsqueeze(1), projected=projected)
        out = visual.forward_intermediates(pixels, output_fmt="NLC")
        return Features(
            block_state(out["image_intermediates"], -1 if layer is None else layer),
            projected=out["image_features"] if layer is None else None,
        )

    def hidden_states(self, pixels: Tensor) -> tuple[Sequence[Tensor], Features]:
        """Return the patches after each block, and the final output; there is no layer 0."""
        visual = self.model.visual
        if not gives_intermediates(visual):
            raise LayersMissingError(f"{self._name}: this architecture of open_clip gives no hidden layers")
        out = visual.forward_intermediates(pixels, output_fmt="NLC")
        states: Sequence[Tensor] = out["image_intermediates"]
        return states, Features(states[-1])

    def texts(self, texts: list[str]) -> Tensor:
        """Return the projected embedding of each text."""
        embeds: Tensor = self.model.encode_text(self._tokenizer(texts).to(self._device))
        return embeds

    @cached_property
    def _tokenizer(self) -> Any:
        import open_clip

        with guarded(self._name, "its tokenizer can't be had"):
            # A folder's own configuration sets the tokenizer's arguments, including permission to run code.
            config = open_clip.get_model_config(self._name) or {}
            with_code = (
                {"trust_remote_code": False} if config.get("text_cfg", {}).get("hf_tokenizer_name") else {}
            )
            return open_clip.get_tokenizer(self._name, **with_code)


def block_state(states: list[Tensor], layer: int) -> Tensor:
    """Return the output of a block: 1 is the first, -1 the last; the libraries return no layer 0.

    Raises:
        ModelError: there is no such layer.
    """
    if layer == 0 or not -len(states) <= layer <= len(states):
        raise ModelError(f"layer {layer}: this model has layers 1 to {len(states)}, or -1 to {-len(states)}")
    return states[layer - 1 if layer > 0 else layer]


def load(request: LoadRequest[EncoderOptions]) -> OpenClipTower:
    """Load a model of open_clip from a folder with open_clip_config.json, or by its name and a file.

    Raises:
        ModelError: open_clip can't build it, or the checkpoint lacks some of its weights.
    """
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    located, config, options = request.located, request.config, request.options
    name = str(config.get("open_clip_model") or f"local-dir:{located.path}")
    check_names_of_config(config, located.source)
    if len(located.weights) > 1 or (not located.weights and not rehearsing()):
        raise ModelError(f"{located.source}: open_clip reads one file of weights, not {len(located.weights)}")
    for file in located.weights:
        if file.suffix != ".safetensors":
            read_pickle(file)  # raises where it holds more than tensors, in our words
    settings = open_clip.get_pretrained_cfg(name, str(config.get("open_clip_tag", "")))
    chosen = {**{key: settings[key] for key in _PREPROCESSING if key in settings}, **options.pixels}
    with _without_its_log(), guarded(located.source, "open_clip can't load it"):
        # Without weights: otherwise it would look for a file in the folder itself, and take another one.
        model = open_clip.create_model(
            name,
            load_weights=False,
            force_quick_gelu=bool(settings.get("quick_gelu", False)),
            force_preprocess_cfg=chosen,
            pretrained_text=False,
            # Elsewhere, it is moved once it has its weights.
            device="meta" if rehearsing() else "cpu",
        )
        missing, mismatched, unexpected = _filled(model, located.weights)
    check_keys(
        located.source,
        name,
        missing=missing,
        mismatched=mismatched,
        unexpected=unexpected,
        own=set(model.state_dict()),
        whole=True,
    )
    how = model.visual.preprocess_cfg
    size = how["size"] if isinstance(how["size"], tuple | list) else (how["size"], how["size"])
    resized = _RESIZED.get(how["resize_mode"], how["resize_mode"])
    pixels = of_library(size, how["mean"], how["std"], resized, how["interpolation"], options.fit)
    prepare = TransformPrepare(image_transform_v2(PreprocessCfg(**how), is_train=False), options.fit, pixels)
    model = place(model.eval().to(torch_dtype(request.precision.weights)), request.device)
    return OpenClipTower(model, name, prepare, request.device)


def _filled(
    model: torch.nn.Module, weights: Sequence[Path]
) -> tuple[Sequence[str], Sequence[Any], Sequence[str]]:
    """Load the model's weights; return the keys that are missing, of another shape, and left over."""
    import open_clip
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    if not weights:
        return (), (), ()
    # It loads a file, never tensors, and reports differing shapes in many lines: so they are compared first.
    with rehearsal():
        tensors = convert_state_dict(model, read_tensors(weights))
    # Those of its conversions that change a name.
    own = model.state_dict()
    if "positional_embedding" in tensors and "positional_embedding" not in own:
        tensors = convert_to_custom_text_state_dict(tensors)
    mismatched = [
        (key, tensor.shape, own[key].shape)
        for key, tensor in tensors.items()
        if key in own and not _can_be_fitted(key, tensor.shape, own[key].shape)
    ]
    if not (mismatched or rehearsing()):
        loaded = open_clip.load_checkpoint(model, str(weights[0]), strict=False, weights_only=True)
        return loaded.missing_keys, (), loaded.unexpected_keys
    missing = sorted(set(own) - set(tensors) - {"logit_bias"})
    return missing, mismatched, sorted(set(tensors) - set(own) - {_POSITIONS})


def _can_be_fitted(key: str, given: Sequence[int], needed: Sequence[int]) -> bool:
    """Whether open_clip accepts a weight of that shape: it resizes positions, and scalars may be rows."""
    if key in _POSITIONAL:
        return len(given) == len(needed) and given[1:] == needed[1:]
    return given == needed or (key in _SCALARS and math.prod(given) == math.prod(needed))


_POSITIONS = "text.transformer.embeddings.position_ids"
_POSITIONAL = ("visual.positional_embedding", "positional_embedding", "text.positional_embedding")
_SCALARS = ("logit_scale", "logit_bias")
_RESIZED = {"shortest": "centre crop", "squash": "squashed", "longest": "padded"}
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")


# open_clip's configuration may name a model of another library, built from files of its own.
_NAMES = (("vision_cfg", "timm_model_name"), ("text_cfg", "hf_tokenizer_name"))
_PLAIN = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def check_names_of_config(config: Mapping[str, Any], where: str) -> None:
    """Raise if an open_clip_config.json names anything other than models by their plain names.

    Raises:
        ModelError: a name in it is a path or an address.
    """
    parts = config.get("model_cfg")
    for part, key in _NAMES:
        said = parts.get(part) if isinstance(parts, dict) else None
        value = said.get(key) if isinstance(said, dict) else None
        if value is not None and not (isinstance(value, str) and (not value or _PLAIN.fullmatch(value))):
            raise ModelError(
                f"{where}: {key} in open_clip_config.json is {str(value)[:80]!r}; expected a model's "
                f"plain name, so it is refused"
            )


@contextlib.contextmanager
def _without_its_log() -> Iterator[None]:
    # It warns on the root logger that a model without weights is random, which is true only briefly.
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
