"""The families of vision encoders and their capabilities. No torch here; the adapters have it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError
from alignbench.weights.family import ModelFamily
from alignbench.weights.parts import check_no_vlm, vlm_of
from alignbench.weights.text import shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from alignbench.encoders.input_size import Takes

POOLINGS = ("cls", "pooler", "mean", "projected")
FITS = ("native", "pad", "squash")
# Which attention belongs to which pooling.
_POOLED_BY = {"cls": "cls", "pooling": "pooler"}


@dataclass(frozen=True, slots=True)
class EncoderFamily(ModelFamily):
    """One kind of vision encoder; its adapter returns a `Tower`.

    Args:
        default: the pooling of its final output.
        poolings: the available poolings.
        cls: whether a CLS token stands in front of the patches.
        packages: the packages whose code turns an image into pixels; part of the cache's key.
        attends: whose attention to the patches is available: "cls", "pooling" (of a pooling head), or None.
        locates: whether its patches can be mapped to the space of its texts.
        first_layer: the number of the first hidden layer that it returns.
        takes: the image sizes that its models accept besides the configured one.
        varies: whether its poolings differ from model to model, so that the model itself has to be asked.
        no_patches: why its patches can't be compared between images; "" if they can.
        sized: whether its configuration's sizes have the meanings that can be checked without a load.
        whose: what has the poolings, for errors, if it is a single model; "" for all encoders of the family.
    """

    default: str
    poolings: tuple[str, ...]
    cls: bool = True
    packages: tuple[str, ...] = ("pillow", "torchvision")
    attends: str | None = None
    locates: bool = False
    first_layer: int = 0
    takes: Takes = "any"
    varies: bool = False
    no_patches: str = ""
    sized: bool = True
    whose: str = ""

    def without(self, lacks: Collection[str]) -> EncoderFamily:
        """Return the family as one of its models has it.

        Args:
            lacks: the poolings of the family that the model does not have.
        """
        if not set(lacks) & set(self.poolings):
            return self
        return replace(
            self,
            poolings=tuple(name for name in self.poolings if name not in lacks),
            cls=self.cls and "cls" not in lacks,
            attends=None if _POOLED_BY.get(str(self.attends)) in lacks else self.attends,
            whose=f"this {self.name} model",
        )

    @property
    def layer_poolings(self) -> tuple[str, ...]:
        """The poolings of a hidden layer."""
        return tuple(name for name in self.poolings if name == "mean" or (name == "cls" and self.cls))

    def check_attention(self, kind: str | None, where: str) -> str:
        """Return whose attention it is: `kind` if the family has it; None gives the available one.

        Raises:
            ModelError: the family has no such attention.
        """
        if self.attends is not None and kind in (None, self.attends):
            return self.attends
        why = "their library does not give it"
        if not self.cls and self.name != "open_clip":
            why = "they have no CLS token" + ("" if self.attends else " and no pooling head")
        elif self.attends:
            why = f"they have no {kind} attention"
        instead = f"; take that of their {self.attends} head" if self.attends == "pooling" else ""
        raise ModelError(
            f"{where}: there is no {kind or 'own'} attention map of {self.name} encoders: {why}{instead}"
        )

    def pooling(self, asked: str | None, layer: int | None, where: str) -> str:
        """Return the pooling to use.

        Args:
            asked: the requested pooling; None for the family's default.
            layer: a hidden layer, or None for the final output.
            where: the model's name, for errors.

        Raises:
            ModelError: the family, or a hidden layer of it, lacks that pooling.
        """
        available = self.poolings if layer is None else self.layer_poolings
        if asked is None:
            return self.default if self.default in available else available[0]
        if asked in available:
            return asked
        place = self.whose or f"{self.name} encoders"
        have = "has" if self.whose and layer is None else "have"
        place = place if layer is None else f"hidden layers of {place}"
        why = " (there is no CLS token)" if asked == "cls" and not self.cls else ""
        raise ModelError(
            f"{where}: {place} {have} no {asked!r} pooling{why}; available: {', '.join(available)}"
        )


def _here(module: str) -> str:
    return f"alignbench.encoders.{module}:load"


def _library(name: str) -> tuple[str, ...]:
    return ("pillow", "torchvision", name)


CLIP = EncoderFamily("clip", _here("clip"), "cls", POOLINGS, attends="cls", locates=True, takes="size")
SIGLIP = EncoderFamily(
    "siglip",
    _here("siglip"),
    "pooler",
    ("pooler", "mean"),
    cls=False,
    attends="pooling",
    locates=True,
    takes="patches",
)
NAFLEX = EncoderFamily(
    "siglip2", _here("siglip2"), "pooler", ("pooler", "mean"), cls=False, attends="pooling"
)
DINOV2 = EncoderFamily("dinov2", _here("vit"), "cls", ("cls", "pooler", "mean"), attends="cls")
VIT = EncoderFamily("vit", _here("vit"), "cls", ("cls", "mean"), attends="cls", takes="size")
INTERNVIT = EncoderFamily("internvit", _here("internvit"), "mean", ("cls", "mean"), attends="cls")
PALIGEMMA = EncoderFamily(
    "paligemma",
    _here("paligemma"),
    "projected",
    ("mean", "projected"),
    cls=False,
    wanted=("vision_tower.", "model.vision_tower.", "multi_modal_projector.", "model.multi_modal_projector."),
    takes="patches",
)
OPEN_CLIP = EncoderFamily(
    "open_clip",
    _here("open_clip_models"),
    "projected",
    ("projected", "mean"),
    cls=False,
    packages=_library("open_clip_torch"),
    version=2,
    first_layer=1,
    varies=True,
)
TIMM = EncoderFamily(
    "timm",
    _here("timm_models"),
    "pooler",
    ("pooler", "mean", "cls"),
    packages=_library("timm"),
    version=3,
    first_layer=1,
    varies=True,
)
RANDOM_VIT = EncoderFamily("random-vit", _here("random_vit"), "cls", ("cls", "mean"), attends="cls")

# Architectures without an adapter whose outputs the tests compare with those of transformers.
COMPARED = (
    "aimv2_vision_model",
    "chinese_clip",
    "dinov3_convnext",
    "ijepa",
    "mlcd_vision_model",
    "resnet",
    "sam_vision_model",
    "swin",
    "vit_mae",
)
# The entries of a configuration of which a model that sees images has at least one.
_OF_IMAGES = ("image_size", "patch_size", "num_channels", "vision_config")

BY_MODEL_TYPE: Mapping[str, EncoderFamily] = {
    "clip": CLIP,
    "clip_vision_model": CLIP,
    "metaclip_2": CLIP,
    "siglip": SIGLIP,
    "siglip_vision_model": SIGLIP,
    "siglip2": NAFLEX,
    "siglip2_vision_model": NAFLEX,
    "dinov2": DINOV2,
    "dinov2_with_registers": DINOV2,
    "dinov3_vit": DINOV2,
    "vit": VIT,
    "deit": VIT,
    "intern_vit_6b": INTERNVIT,
    "internvl_vision": INTERNVIT,
    "paligemma": PALIGEMMA,
}


def built_by_transformers(model_type: str) -> EncoderFamily:
    """Return the family of an architecture without an adapter; each of its models is asked what it has.

    Args:
        model_type: its name in config.json.
    """
    return EncoderFamily(
        shortened(model_type, 40),
        _here("any_vision"),
        "cls",
        POOLINGS,
        packages=_library("transformers"),
        attends="cls",
        varies=True,
        sized=False,
        tested=model_type in COMPARED,
    )


def _reads_only_texts(config: Mapping[str, Any]) -> bool:
    return "vocab_size" in config and not any(name in config for name in _OF_IMAGES)


def _lacks(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the poolings that, by its configuration, a model lacks although its family has them."""
    vision = config.get("vision_config")
    of_vision = vision if isinstance(vision, dict) else config
    headless = ("pooler",) if of_vision.get("vision_use_head") is False else ()
    # The vision tower of a CLIP that was saved alone has no projection.
    alone = ("projected",) if config.get("architectures") == ["CLIPVisionModel"] else ()
    return (*headless, *alone)


# The default and the other poolings of a VLM's tower, by its model_type; towers without CLS have the mean.
_TOWERS: Mapping[str, tuple[str, ...]] = {
    "clip_vision_model": ("cls", "pooler", "mean"),
    "internvl_vision": ("mean", "cls"),
}
_MEANS = (
    "siglip_vision_model",
    "idefics3_vision",
    "llama4_vision_model",
    "qwen2_5_vl_vision",
    "qwen3_vl_vision",
)


def part_family(config: Mapping[str, Any], part: str, where: str) -> EncoderFamily:
    """Return the family of one part of the VLM that a config.json names.

    Args:
        config: the content of config.json.
        part: "vision" or "projected".
        where: the model's name, for errors.

    Raises:
        ModelError: it is no VLM that is known here, or its tower is unknown.
    """
    vlm = vlm_of(config, part, where)
    tower = vlm.tower_of(config)
    if tower not in _TOWERS and tower not in _MEANS:
        raise ModelError(
            f"{where}: the tower of this {vlm.name} model is a {shortened(repr(tower), 60)}, which is not "
            f"known here; known: {', '.join((*_TOWERS, *_MEANS))}"
        )
    poolings = _TOWERS.get(tower, ("mean",)) if part == "vision" else ("mean",)
    return EncoderFamily(
        vlm.name,
        f"alignbench.encoders.vlm:load_{part}",
        poolings[0],
        poolings,
        cls="cls" in poolings,
        wanted=vlm.keys_of(part),
        attends="cls" if "cls" in poolings else None,
        takes="patches" if vlm.inputs == ("pixel_values",) else "any",
        no_patches=vlm.no_patches.get(part, ""),
    )


def family_of(config: Mapping[str, Any], where: str) -> EncoderFamily:
    """Return the family that a config.json (or open_clip_config.json) names.

    Raises:
        ModelError: its model_type is unknown, or that of a whole VLM.
    """
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in BY_MODEL_TYPE:
        return BY_MODEL_TYPE[model_type].without(_lacks(config))
    if "architecture" in config:
        return TIMM
    if "model_cfg" in config:
        return OPEN_CLIP
    check_no_vlm(config, "vision", where)
    if isinstance(model_type, str) and not _reads_only_texts(config):
        return built_by_transformers(model_type)
    raise ModelError(
        f"{where}: model_type {shortened(repr(model_type), 60)} in config.json is no vision encoder that is "
        f"known here; known: {', '.join(BY_MODEL_TYPE)}; or register an object with embed(images)"
    )
