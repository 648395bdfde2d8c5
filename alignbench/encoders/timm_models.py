"""timm's models: vision transformers and convolutional networks."""

from __future__ import annotations

import difflib
import importlib.metadata
import inspect
import re
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import torch

from alignbench.encoders.networks import gives_intermediates
from alignbench.encoders.open_clip_models import block_state
from alignbench.encoders.pixels import crop_text, of_library
from alignbench.encoders.preprocess import TransformPrepare
from alignbench.encoders.tower import Features, Tower
from alignbench.errors import LayersMissingError, ModelError
from alignbench.weights.guard import guarded
from alignbench.weights.loading import fill, place, read_tensors, rehearsing, torch_dtype
from alignbench.weights.text import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from alignbench.encoders.networks import HasParts, TimmModel
    from alignbench.encoders.options import EncoderOptions
    from alignbench.encoders.pixels import Pixels
    from alignbench.weights.request import LoadRequest


# A config.json may not choose where weights come from and where files go, code, or what a model returns.
# timm's own builders have such parameters; all others determine the shape of a network.
_REFUSED = ("features_only", "feature_cls", "out_indices")
_LEADING = ("_path", "_file", "_dir", "_url", "_id", "_fn")
_ALONE = ("url", "file", "path", "hf_hub_id", "state_dict")
PIXELS = (
    "input_size",
    "min_input_size",
    "fixed_input_size",
    "test_input_size",
    "interpolation",
    "crop_pct",
    "test_crop_pct",
    "crop_mode",
    "mean",
    "std",
)
# Entries that a spec names differently from timm.
OURS = {"crop": "crop_pct"}
# The name under which transformers' TimmWrapperModel holds the model.
_WRAPPER = "timm_model."


class TimmTower(Tower):
    """A model of timm without its classifier.

    Args:
        model: in evaluation mode, on its device.
        prepare: a function from image to pixels.
    """

    def __init__(self, model: TimmModel, prepare: TransformPrepare) -> None:
        super().__init__(prepare, special=int(getattr(model, "num_prefix_tokens", 0)))
        self.model: TimmModel = model
        self.lacks = () if self._has_cls else ("cls",)
        self._channels_last = is_convolutional(model)

    def features(self, pixels: Tensor, layer: int | None) -> Features:
        """Return the tokens (or positions of the feature map), and timm's own pooled embedding."""
        if self._channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        if layer is not None:
            return self._hidden(pixels, layer)
        out = self.model.forward_features(pixels)
        pooled = self.model.forward_head(out, pre_logits=True)
        tokens = self._as_tokens(out)
        return Features(tokens, cls=tokens[:, 0] if self._has_cls else None, pooler=pooled)

    def hidden_states(self, pixels: Tensor) -> tuple[Sequence[Tensor], Features]:
        """Return the tokens after each block, and the final output from another pass; there is no layer 0."""
        return [self._tokens_of(state) for state in self._states(pixels)], self.features(pixels, None)

    def _hidden(self, pixels: Tensor, layer: int) -> Features:
        tokens = self._tokens_of(block_state(self._states(pixels), layer))
        return Features(tokens, cls=tokens[:, 0] if self._has_cls else None)

    def _states(self, pixels: Tensor) -> list[Any]:
        if not gives_intermediates(self.model):
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


def is_convolutional(model: HasParts) -> bool:
    """Whether a model convolves beyond its patch embedding: channels_last is then 2 to 3 times faster."""
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    return any(m.kernel_size != m.stride and m.kernel_size != (1, 1) for m in convolutions)


def without_wrapper(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a checkpoint under timm's own names, even if transformers saved the model in its wrapper."""
    return {key.removeprefix(_WRAPPER): tensor for key, tensor in tensors.items()}


def load(
    request: LoadRequest[EncoderOptions],
    named: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = without_wrapper,
) -> TimmTower:
    """Load a model of timm by its architecture's name and a checkpoint.

    Args:
        request: the checkpoint, its configuration, and how it is loaded.
        named: the checkpoint's tensors -> the same under timm's keys.

    Raises:
        ModelError: timm can't build it, its configuration sets more than a network's shape, or the checkpoint
            lacks some of its weights.
    """
    import timm
    from timm.data.config import resolve_model_data_config
    from timm.data.transforms_factory import create_transform

    located, options = request.located, request.options
    name = str(request.config["architecture"])
    check_architecture(name, located.source)
    arguments = checked_arguments(request.config, located.source)
    with guarded(located.source, "timm can't load it"):
        model = timm.create_model(name, pretrained=False, num_classes=0, **arguments)
    # A rehearsal may come before the weights are available.
    if located.weights or not rehearsing():
        fill(model, named(read_tensors(located.weights)), located.source, name)
    model = model.eval().to(torch_dtype(request.precision.weights))
    if is_convolutional(model):
        model = model.to(memory_format=torch.channels_last)
    chosen = {OURS.get(key, key): value for key, value in options.pixels.items()}
    how = {**resolve_model_data_config(model), **chosen}
    transform = create_transform(**how, is_training=False)
    prepare = TransformPrepare(transform, options.fit, pixels_of(how, options.fit))
    return TimmTower(cast("TimmModel", place(model, request.device)), prepare)


def pixels_of(how: Mapping[str, Any], fit: str) -> Pixels:
    """Return how timm makes pixels.

    Args:
        how: timm's entries of the preprocessing.
        fit: see `Prepare`.
    """
    resized = "squashed" if how["crop_mode"] == "squash" else crop_text(how["crop_pct"])
    return of_library(how["input_size"][1:], how["mean"], how["std"], resized, how["interpolation"], fit)


def check_architecture(name: str, where: str) -> None:
    """Raise unless timm builds a model of that name.

    Args:
        name: the architecture's name, without a tag.
        where: the model, for errors.

    Raises:
        ModelError: it does not; the message has the closest names.
    """
    import timm

    if ":" in name or not timm.is_model(name):
        raise ModelError(
            f"{where}: {shortened(name, 80)!r} is no architecture of timm{closest(name, timm.list_models())}"
        )


def closest(name: str, known: Sequence[str]) -> str:
    """Return the names, among very many, that are closest to an unknown one."""
    stem = re.split(r"[\W_]", name)[0]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    near = near or [other for other in known if stem and other.startswith(stem)][:3]
    hint = f". Did you mean {near[0]!r}?" if near else ""
    others = f" Others like it: {', '.join(near[1:])}." if near[1:] else ""
    return f"{hint or '.'}{others} timm {timm_version()} has {len(known):,}: timm.list_models() lists them"


def timm_version() -> str:
    """Return timm's version."""
    return importlib.metadata.version("timm")


def checked_arguments(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the arguments for `create_model` from a config.json of timm.

    Raises:
        ModelError: it sets more than the shape of a network, or a number of colours other than 3.
    """
    given, pixels = config.get("model_args") or {}, config.get("pretrained_cfg") or {}
    if not isinstance(given, dict) or not isinstance(pixels, dict):
        raise ModelError(f"{where}: model_args and pretrained_cfg in config.json must be objects")
    # The classifier is left out, whatever its width.
    arguments = {key: value for key, value in given.items() if key != "num_classes"}
    for key, value in arguments.items():
        if _is_refused(key) or not _is_plain(value):
            raise ModelError(
                f"{where}: model_args in config.json has {key[:80]!r}, which is not taken from a file; "
                f"build the model yourself and register an object with embed(images)"
            )
    if (colours := arguments.get("in_chans")) not in (None, 3):
        raise ModelError(
            f"{where}: model_args in config.json has in_chans = {colours!r}, and images have 3 colours; "
            f"take a model of 3"
        )
    how = {key: value for key, value in pixels.items() if key in PIXELS}
    return {**arguments, "pretrained_cfg": how} if how else arguments


@cache
def _of_the_builders() -> frozenset[str]:
    """Return the parameters of timm's builders, including those for weights, files and classes."""
    import timm
    from timm.models import build_model_with_cfg

    return frozenset(
        name
        for make in (timm.create_model, build_model_with_cfg)
        for name in inspect.signature(make).parameters
    )


def _is_refused(key: str) -> bool:
    return key in {*_REFUSED, *_ALONE, *_of_the_builders()} or key.endswith(_LEADING)


def _is_plain(value: Any) -> bool:
    """Whether a value consists of numbers and plain words; a slash or colon could make a word a place."""
    if isinstance(value, dict):
        return all(not _is_refused(str(key)) and _is_plain(part) for key, part in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not isinstance(value, str) or not set(value) & set("/\\:")
