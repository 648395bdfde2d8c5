"""The parts of a vision-language model (VLM): its tower, its image tokens, its LLM. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from alignbench.errors import ModelError
from alignbench.weights.source import RelabelledSource, Source
from alignbench.weights.text import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    # The beginning of a checkpoint's keys -> the beginning of the part's own.
    Prefixes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Vlm:
    """One kind of VLM: where its parts are in a checkpoint, in its older and newer layouts, and in the model.

    Args:
        name: the name in scores.
        vision: the keys of the vision tower.
        projector: the keys of the projector; none if the tower contains it.
        text: the keys of the LLM without its head.
        vision_module: the tower's name in transformers' model.
        text_module: the LLM's name there.
        projector_module: the projector's name there; "" if the tower contains it.
        single: parameters of the model itself that the projected tokens need.
        head: the keys of the LLM's head.
        tower: the tower's model_type; "" if the configuration says it.
        inputs: what transformers' `get_image_features` takes of the processor's output.
        whole: the position, among a processor's views of an image, of the one that shows all of it.
        fp16_safe: whether the LLM's activations stay below float16's 65,504.
        no_patches: why the patches of a part can't be compared between images, by part.
        notes: what a reader of the scores of a part has to know, by part.
    """

    name: str
    vision: Prefixes
    projector: Prefixes
    text: Prefixes
    vision_module: str = "vision_tower"
    text_module: str = "language_model"
    projector_module: str = "multi_modal_projector"
    single: Prefixes = field(default_factory=dict)
    head: Prefixes = field(
        default_factory=lambda: {"lm_head.": "lm_head.", "language_model.lm_head.": "lm_head."}
    )
    tower: str = ""
    inputs: tuple[str, ...] = ("pixel_values",)
    whole: int = 0
    fp16_safe: bool = True
    no_patches: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    def keys_of(self, part: str) -> tuple[str, ...]:
        """Return the prefixes of the checkpoint's keys that a part needs."""
        if part == "text":
            return (*self.text, *self.head)
        return (*self.vision, *self.projector, *self.single) if part == "projected" else (*self.vision,)

    def tower_of(self, config: Mapping[str, Any]) -> str:
        """Return the model_type of the vision tower."""
        vision = config.get("vision_config")
        return self.tower or str(vision.get("model_type") if isinstance(vision, dict) else None)


_UNEVEN = {"projected": "images of different shapes have different numbers of image tokens"}


def _both(module: str) -> dict[str, str]:
    """Return the keys of a module as older and newer versions of transformers write them."""
    return {f"model.{module}.": "", f"{module}.": ""}


def _llava(name: str, **more: Any) -> Vlm:
    text = {"model.language_model.": "", "language_model.model.": ""}
    return Vlm(name, _both("vision_tower"), _both("multi_modal_projector"), text, **more)


def _idefics(name: str) -> Vlm:
    return Vlm(
        name,
        _both("vision_model"),
        _both("connector"),
        _both("text_model"),
        "vision_model",
        "text_model",
        "connector",
        tower="idefics3_vision",
        inputs=("pixel_values", "pixel_attention_mask"),
        whole=-1,
        no_patches=_UNEVEN,
    )


def _qwen(name: str, tower: str, **more: Any) -> Vlm:
    own = {f"model.{module}.": f"{module}." for module in ("layers", "embed_tokens", "norm")}
    return Vlm(
        name,
        _both("visual"),
        {},
        {"model.language_model.": "", **own},
        "visual",
        projector_module="",
        tower=tower,
        inputs=("pixel_values", "image_grid_thw"),
        no_patches=_UNEVEN | {"vision": "they are ordered by the blocks that the tower merges"},
        **more,
    )


_NEWLINE = {"model.image_newline": "image_newline", "image_newline": "image_newline"}
_TILED: dict[str, Any] = {
    "single": _NEWLINE,
    "inputs": ("pixel_values", "image_sizes"),
    "no_patches": _UNEVEN,
}
_DEEPSTACK = {
    "projected": "its LLM also takes DeepStack features of the tower in its first layers, beside these tokens"
}
_PREFIX = {
    "text": "the VLM reads prompts in both directions and answers in one; here, texts are read as answers are"
}
VLMS: Mapping[str, Vlm] = {
    "llava": _llava("llava"),
    "llava_next": _llava("llava-next", **_TILED),
    "llava_onevision": _llava("llava-onevision", **_TILED),
    "internvl": _llava("internvl", tower="internvl_vision", whole=-1),
    "paligemma": _llava("paligemma", tower="siglip_vision_model", notes=_PREFIX),
    "gemma3": _llava("gemma3", tower="siglip_vision_model", fp16_safe=False),
    "idefics3": _idefics("idefics3"),
    "smolvlm": _idefics("smolvlm"),
    "llama4": Vlm(
        "llama4",
        _both("vision_model"),
        _both("multi_modal_projector"),
        {"language_model.model.": "", "model.language_model.": ""},
        "vision_model",
        tower="llama4_vision_model",
        whole=-1,
        no_patches=_UNEVEN,
    ),
    "qwen2_5_vl": _qwen("qwen2.5-vl", "qwen2_5_vl_vision"),
    "qwen3_vl": _qwen("qwen3-vl", "qwen3_vl_vision", notes=_DEEPSTACK),
}


_LLAVA_HF = "its conversion in a repository llava-hf/..."
# Repositories that bring their own code, and where the same weights are without it.
_ORIGINALS = {
    "internvl_chat": "the repository whose name ends in -hf",
    **dict.fromkeys(("llava_llama", "llava_mistral", "llava_qwen"), _LLAVA_HF),
}


def vlm_of(config: Mapping[str, Any], part: str, where: str) -> Vlm:
    """Return the kind of VLM that a config.json names.

    Args:
        config: the content of config.json.
        part: the part that was asked for.
        where: the model's name, for errors.

    Raises:
        ModelError: it is no VLM that is known here.
    """
    model_type = str(config.get("model_type"))
    if model_type in VLMS:
        return VLMS[model_type]
    if model_type in _ORIGINALS:
        raise ModelError(
            f"{where}: model_type {model_type!r} is the layout of the VLM's own code; take "
            f"{_ORIGINALS[model_type]}, the same weights in the layout of transformers"
        )
    raise ModelError(
        f"{where}: model_type {shortened(repr(model_type), 60)} in config.json is no VLM that is known here, "
        f"so there is no #{part} of it; known: {', '.join(VLMS)}; name a model of one side without a part"
    )


def check_no_vlm(config: Mapping[str, Any], side: Literal["vision", "text"], where: str) -> None:
    """Raise if a model of one side was expected, and a config.json names a whole VLM.

    Raises:
        ModelError: it does; the message says how to name the part.
    """
    if (model_type := str(config.get("model_type"))) in VLMS:
        parts = (
            "#vision (its tower) or #projected (its image tokens)" if side == "vision" else "#text (its LLM)"
        )
        raise ModelError(
            f"{where}: model_type {model_type!r} in config.json is a whole VLM; name the part that is meant, "
            f"with {parts} at the end of the spec"
        )


@dataclass(frozen=True)
class PartSource(RelabelledSource):
    """One part of a VLM's files.

    Args:
        inner: the place of the VLM's files.
        which: "vision", "projected" or "text".
    """

    inner: Source
    which: str

    @property
    def label(self) -> str:  # type: ignore[override]
        """Its name in scores, which is part of the cache's key."""
        return f"{self.inner.label}#{self.which}"

    @property
    def part(self) -> str:
        """The part."""
        return self.which

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know about the part."""
        return (*self.inner.notes, *self._own_notes())

    def config(self) -> dict[str, Any] | None:
        """Return the configuration of the whole VLM."""
        return self.inner.config()

    def _own_notes(self) -> tuple[str, ...]:
        config = self.config() or {}
        layer, vlm = config.get("vision_feature_layer"), VLMS.get(str(config.get("model_type")))
        if self.which == "vision" and type(layer) is int and layer != -1:
            return (f"the VLM's projector reads hidden layer {layer} of this tower (--align-layer {layer})",)
        note = vlm and vlm.notes.get(self.which)
        return (note,) if note else ()


def part_source(inner: Source, part: str) -> Source:
    """Return the source of one part of a VLM; `inner` itself for no part."""
    return PartSource(inner, part) if part else inner
