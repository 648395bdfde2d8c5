"""Vision models that have no adapter here: transformers builds them, and each is asked what it gives."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from PIL import Image

from alignbench.encoders.layout import Layout, as_tokens, layout_of, order_of
from alignbench.encoders.maps import cls_attention
from alignbench.encoders.preprocess import load_prepare
from alignbench.encoders.same_alone import check_same_alone, noise_images
from alignbench.encoders.tower import Features, ToPixels, Tower
from alignbench.errors import LayersMissingError, ModelError
from alignbench.weights.guard import guarded
from alignbench.weights.loading import (
    auto_config,
    computing,
    hidden_layer,
    load_model,
    place,
    quiet,
    read_tensors,
)
from alignbench.weights.protocols import ProjectsBoth
from alignbench.weights.text import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor
    from transformers import PreTrainedModel

    from alignbench.encoders.networks import AnyVision
    from alignbench.encoders.options import EncoderOptions
    from alignbench.weights.precision import Precision
    from alignbench.weights.protocols import ProjectsImages
    from alignbench.weights.request import LoadRequest
    from alignbench.weights.source import Location

_OTHER = "take another model, or register an object with embed(images)"
_SLACK = 1_000_000  # parameters that a class may have beyond those of a checkpoint, such as a pooler
# A model that hides patches at random while it is trained would hide them here, too.
_SHOW_EVERYTHING = {"mask_ratio": 0.0}


class AnyVisionTower(Tower):
    """A vision model of transformers, or the vision side of a model that also embeds texts.

    Args:
        model: in evaluation mode, on its device.
        whole: the model with both sides; None if there is one.
        prepare: a function from image to pixels.
        precision: the arithmetic in which the model is asked what it gives.
        device: the model's device.

    Raises:
        ModelError: its output has no part that could be an image's vector.
    """

    def __init__(
        self,
        model: AnyVision,
        whole: ProjectsImages | None,
        prepare: ToPixels,
        precision: Precision,
        device: str,
    ) -> None:
        super().__init__(prepare, special=0)
        self.model: AnyVision = model
        self._project = getattr(whole, "visual_projection", None)
        self._masks = "noise" in inspect.signature(model.forward).parameters
        self.layout = Layout()
        self._out_of_order = ""
        height, width = prepare.size
        alone = guarded(self._named, f"it does not take an image of {height} x {width} alone", _OTHER)
        with torch.inference_mode() if device == "meta" else computing(precision, device), alone:
            asked = self._run(self._sample(precision, device)[:1])
        if getattr(asked, "last_hidden_state", None) is None and _pooler(asked) is None:
            raise ModelError(f"{self._named} gives neither tokens nor a pooled vector; {_OTHER}")
        self.layout = layout_of(model, asked, prepare.size)
        self.special = self.layout.front
        has = {
            "cls": self.layout.cls,
            "mean": self.layout.grid is not None,
            "pooler": _pooler(asked) is not None,
            "projected": self._project is not None,
        }
        if not any(has.values()):
            raise ModelError(
                f"{self._named} gives {tuple(asked.last_hidden_state.shape[1:])} for an image of "
                f"{height} x {width}, and which of it are patches can't be told; {_OTHER}"
            )
        self.lacks = tuple(name for name, there in has.items() if not there)

    def features(self, pixels: Tensor, layer: int | None) -> Features:
        """Return the tokens as the model outputs them, or a hidden layer's."""
        out = self._call(pixels, output_hidden_states=layer is not None)
        if layer is not None:
            return self._hidden(hidden_layer(self._states(out), layer))
        return self._end(out)

    def hidden_states(self, pixels: Tensor) -> tuple[Sequence[Tensor], Features]:
        """Return the tokens of every hidden layer as the model returns them, and the final output."""
        out = self._run(pixels)
        return [self._hidden(state).tokens for state in self._states(out)], self._end(out)

    def attention(self, pixels: Tensor) -> Tensor:
        """Return the attention of CLS to each patch in the last layer."""
        self._check_order()
        return cls_attention(self.model, self._call, pixels, self.special)

    def patches(self, features: Features, pooling: str) -> Tensor:
        """Return one vector per patch, row by row, [b, p, d]."""
        self._check_order()
        return super().patches(features, pooling)

    def check(self, precision: Precision, device: str, whole: ProjectsImages | None) -> None:
        """Check with numbers what names and shapes have told.

        Raises:
            ModelError: the tokens in front of the patches are others, the projection is not the one that the
                model applies, or an image's vector depends on the images beside it.
        """
        pixels = self._sample(precision, device)
        with computing(precision, device), guarded(self._named, "it fails on two images at once", _OTHER):
            out = self._run(pixels)
            self._out_of_order = order_of(self._run, self.layout, pixels, self._named)
            if self.layout.pooled_in_front and not _near(out.last_hidden_state[:, 0], _pooler(out)):
                raise ModelError(f"{self._named}: the token in front of its patches is not its pooled vector")
            if self._project is not None and whole is not None:
                theirs = _pooler(whole.get_image_features(pixel_values=pixels))
                if theirs is None or not _near(self._end(out).projected, theirs):
                    raise ModelError(
                        f"{self._named}: its projection is not what its image features go through"
                    )
            poolings = [name for name in ("cls", "mean", "pooler", "projected") if name not in self.lacks]
            check_same_alone(
                lambda some: {name: self.pooled(self.features(some, None), name) for name in poolings},
                pixels,
                precision,
                self._named,
            )

    @property
    def _named(self) -> str:
        return f"transformers' {type(self.model).__name__}"

    def _sample(self, precision: Precision, device: str) -> Tensor:
        pixels = noise_images(self.prepare.size, device)
        return pixels if precision.autocast else pixels.to(getattr(torch, precision.weights))

    def _run(self, pixels: Tensor) -> Any:
        return self._call(pixels, output_hidden_states=True)

    def _call(self, pixels: Tensor, **how: bool) -> Any:
        if self._masks:  # the order in which patches would be hidden: here, that in which they stand
            places = (pixels.shape[2] * pixels.shape[3]) // self._area_of_a_patch
            how["noise"] = torch.arange(places, device=pixels.device).expand(len(pixels), -1)  # type: ignore[assignment]
        return self.model(pixel_values=pixels, return_dict=True, **how)

    @property
    def _area_of_a_patch(self) -> int:
        size = self.model.config.patch_size
        height, width = size if isinstance(size, list | tuple) else (size, size)
        return int(height * width)

    def _states(self, out: Any) -> Sequence[Tensor]:
        states: Sequence[Tensor] | None = getattr(out, "hidden_states", None)
        if not states or self.layout.layer_channels is None:
            raise LayersMissingError(f"{self._named} gives no hidden layers whose patches can be told")
        return states

    def _hidden(self, state: Tensor) -> Features:
        return self._of_tokens(as_tokens(state, self.layout.layer_channels or 1))

    def _of_tokens(self, tokens: Tensor) -> Features:
        return Features(tokens, cls=tokens[:, 0] if self.layout.cls else None)

    def _end(self, out: Any) -> Features:
        pooler = _pooler(out)
        projected = None if self._project is None or pooler is None else self._project(pooler)
        tokens = getattr(out, "last_hidden_state", None)
        if tokens is None or self.layout.grid is None:
            kept = projected if pooler is None else pooler
            assert kept is not None
            return Features(kept[:, None], pooler=pooler, projected=projected)
        found = as_tokens(tokens, self.layout.channels)
        if self.layout.pooled_in_front:
            found = found[:, 1:]
        return replace(self._of_tokens(found), pooler=pooler, projected=projected)

    def _check_order(self) -> None:
        if self._out_of_order or self.layout.grid is None:
            raise ModelError(self._out_of_order or f"{self._named} has no patches that can be told apart")


def load(request: LoadRequest[EncoderOptions]) -> AnyVisionTower:
    """Load any vision model that transformers has a class for.

    Raises:
        ModelError: transformers has none, it takes no images, or it fails a check.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    located, precision, device = request.located, request.precision, request.device
    name = shortened(repr(request.config.get("model_type")), 60)
    if request.config.get("model_type") not in CONFIG_MAPPING:
        raise _refused(located, name, "is known neither here nor to the installed transformers")
    settings = auto_config(located.path)
    if type(settings) not in MODEL_MAPPING:
        raise _refused(located, name, "has no class in transformers that gives hidden states")
    classes = MODEL_MAPPING[type(settings)]
    cls = cast("type[PreTrainedModel]", classes[0] if isinstance(classes, tuple) else classes)
    if cls.main_input_name != "pixel_values" and not issubclass(cls, ProjectsBoth):
        raise _refused(located, name, "is no vision encoder: it reads texts, or generates them from images")
    if cls.input_modalities == "video":
        raise _refused(located, name, "takes videos, not images")
    _show_everything(settings)
    tensors = read_tensors(located.weights)
    shell = _described(cls, settings, tensors, located)
    # In many checkpoints, the pooler of a vision transformer is a leftover of training and is missing.
    poolers = [key for key in shell.state_dict() if "pooler" in key.split(".")]
    lacks = bool(poolers) and not any(".pooler." in f".{key}" for key in tensors)
    options_of = {"add_pooling_layer": False} if lacks and _takes_pooling(cls) else {}
    whole = load_model(cls, located, config=settings, precision=precision, state=tensors, **options_of)
    vision = whole
    if cls.main_input_name != "pixel_values":
        vision = getattr(whole, "vision_model", None)
        if vision is None:
            raise _refused(located, name, "has a vision side that can't be found in it")
        whole.text_model = None  # texts are not embedded, and its numbers would take memory
    whole = place(whole, device)
    prepare = load_prepare(located.path, request.options.fit)
    _check_processor(prepare, located)
    two_sided = whole if vision is not whole else None
    tower = AnyVisionTower(vision, two_sided, prepare, precision, device)
    if device != "meta":
        tower.check(precision, device, two_sided)
    return tower


def _described(
    cls: type[PreTrainedModel], settings: Any, tensors: Mapping[str, Tensor], located: Location
) -> torch.nn.Module:
    """Return the model that a configuration describes, without numbers.

    Raises:
        ModelError: it is far larger than the weights, so that building it would fill the memory.
    """
    with torch.device("meta"), quiet(), guarded(located.source, f"{cls.__name__} can't be built"):
        shell: torch.nn.Module = cls(settings)
    described = sum(parameter.numel() for parameter in shell.parameters())
    there = sum(tensor.numel() for tensor in tensors.values())
    if described > 2 * there + _SLACK:
        raise ModelError(
            f"{located.source}: its configuration describes {described:,} parameters, and the weights hold "
            f"{there:,}; configuration and weights are not of one model: copy both again"
        )
    return shell


def _takes_pooling(cls: type[PreTrainedModel]) -> bool:
    return "add_pooling_layer" in inspect.signature(cls.__init__).parameters


def _check_processor(prepare: ToPixels, located: Location) -> None:
    """Raise unless a processor makes pixels of one size from every image."""
    for width, height in ((64, 40), (40, 64)):
        with torch.device("cpu"), guarded(located.source, "its processor fails on an image"):
            shape = tuple(prepare(Image.new("RGB", (width, height))).shape)
        if shape != (3, *prepare.size):
            raise ModelError(
                f"{located.source}: its processor makes {shape} of an image of {height} x {width}, and all "
                f"images must become (3, {prepare.size[0]}, {prepare.size[1]}); try --align-fit pad"
            )


def _show_everything(settings: Any) -> None:
    named = _SHOW_EVERYTHING.keys() & vars(settings).keys()
    settings.update({name: _SHOW_EVERYTHING[name] for name in named})


def _refused(located: Location, model_type: str, why: str) -> ModelError:
    return ModelError(f"{located.source}: model_type {model_type} {why}; {_OTHER}")


def _pooler(out: Any) -> Tensor | None:
    """Return a model's own pooled vectors [b, d]; convolutional networks leave two axes of length 1."""
    pooled: Tensor | None = getattr(out, "pooler_output", None)
    return None if pooled is None else pooled.flatten(1)


def _near(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None or a.shape != b.shape:
        return False
    return bool((a.float() - b.float()).norm() <= 0.02 * b.float().norm())
