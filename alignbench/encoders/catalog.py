"""The encoders by name, and `resolve`: from what a user wrote to a handle."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from alignbench.encoders import families
from alignbench.encoders.base import Encoder, Fit, Options
from alignbench.encoders.control import control_revision
from alignbench.encoders.library import open_clip_source, timm_source
from alignbench.encoders.pixels import parse_pixels
from alignbench.errors import ConfigError, ModelError
from alignbench.registry import Registry
from alignbench.weights.arrays import arrays
from alignbench.weights.custom import Custom, adopt
from alignbench.weights.files import PROCESSORS
from alignbench.weights.recipe import Recipe, at_hand, embedded_source, folder_source, plain_source
from alignbench.weights.source import FolderSource, HubSource, NoSource
from alignbench.weights.spec import Spec, parse_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.weights.source import Source

# An entry is a Recipe (ours), or what has embed(images): an object, or a class or function that makes one.
ENCODERS: Registry[Any] = Registry("encoder", "alignbench.encoders")
for _name, _recipe in {
    "clip": Recipe("clip", stand_in="mini-clip"),
    "siglip": Recipe("siglip", stand_in="mini-siglip"),
    "dinov2": Recipe("dinov2", stand_in="mini-dinov2"),
    "internvit": Recipe("internvit"),
    "paligemma": Recipe("paligemma"),
    "mini-clip": Recipe("clip", "embedded", embedded="mini-clip"),
    "mini-siglip": Recipe("siglip", "embedded", embedded="mini-siglip"),
    "mini-dinov2": Recipe("dinov2", "embedded", embedded="mini-dinov2"),
    "random-vit": Recipe("random-vit", "random"),
}.items():
    ENCODERS.add(_name, _recipe)

_BY_NAME = {
    family.name: family
    for family in (
        families.CLIP,
        families.SIGLIP,
        families.DINOV2,
        families.INTERNVIT,
        families.PALIGEMMA,
        families.RANDOM_VIT,
    )
}


def resolve(
    spec: str,
    *,
    pooling: str | None = None,
    fit: Fit = "native",
    layer: int | None = None,
    l2: bool = True,
    standins: bool = False,
    allow_pickle: bool = False,
    sources: Mapping[str, str] | None = None,
) -> Encoder | Custom:
    """Return the encoder that `spec` names, as a handle that has loaded nothing yet.

    Args:
        spec: `[alias=]`, then a name, `hf:org/name[@revision]`, a folder, `open_clip:model/tag`,
            `timm:name[@checkpoint]` or `npy:file.npy`. After a model of timm or open_clip, `+mean=`, `+std=`,
            `+crop=` and `+interpolation=` say how an image becomes pixels where the library has it wrong.
        pooling: "cls", "pooler", "mean" or "projected"; None for the family's default.
        fit: "native" (as its processor does; may crop), "pad" or "squash".
        layer: a hidden layer (0: embeddings; -1: last); None for the final output.
        l2: whether `embed` gives rows of unit length.
        standins: whether the built-in toy model of the same family may run where the weights are not at hand.
        allow_pickle: whether weights may be a pickle (read with `weights_only=True`).
        sources: name -> Hub repository or folder; None for the configuration's.

    Raises:
        UnknownNameError: nobody knows that name.
        ConfigError: the alias or the form of the spec is wrong.
        ModelError: the family lacks that pooling, or has no embedded stand-in; or a registered object, or
            arrays, are asked for a pooling, fit or layer.
        WeightsMissingError: the folder or file is not there.
    """
    known = _configured() if sources is None else sources
    parsed = parse_spec(spec, "encoder", [*ENCODERS.names(), *known])
    pixels = parse_pixels(parsed.pixels, spec)
    if parsed.kind == "open_clip" and "crop" in pixels:
        raise ConfigError(f"{spec}: open_clip crops the whole square in the middle; leave out +crop")
    options = Options(pooling, fit, layer, l2, pixels)
    if parsed.kind == "npy":
        return arrays(parsed, "vision", l2=l2, asked=options.asked())
    if parsed.kind != "name":
        family, source = _from_spec(parsed, allow_pickle=allow_pickle)
        return Encoder(parsed.alias, source, options, family=family)
    entry = ENCODERS.get(parsed.target) if parsed.target in ENCODERS else Recipe("")
    if not isinstance(entry, Recipe):
        made = entry() if inspect.isclass(entry) or inspect.isfunction(entry) else entry
        return adopt(made, parsed.alias, l2=l2, asked=options.asked())
    handle = _from_recipe(parsed, entry, options, known, allow_pickle=allow_pickle)
    if not standins or entry.weights != "pretrained" or at_hand(handle.source, handle.wanted):
        return handle
    if entry.stand_in is None:
        raise ModelError(
            f"{parsed.alias}: there is no built-in toy model of its family that could stand in for it"
        )
    stand_in = ENCODERS.get(entry.stand_in)
    return Encoder(
        entry.stand_in,
        embedded_source(stand_in.embedded),
        options,
        family=_BY_NAME[stand_in.family],
        weights="stand-in",
        stand_in_for=parsed.alias,
    )


def _from_recipe(
    parsed: Spec, recipe: Recipe, options: Options, sources: Mapping[str, str], *, allow_pickle: bool
) -> Encoder:
    source: Source
    if recipe.embedded is not None:
        source = embedded_source(recipe.embedded)
    elif recipe.weights == "random":
        source = NoSource(find_revision=control_revision)
    else:
        if parsed.target not in sources:
            raise ModelError(
                f"{parsed.target}: the configuration names no repository for it (vision_encoders:)"
            )
        source = plain_source(
            sources[parsed.target],
            name=parsed.alias,
            stand_in=recipe.stand_in,
            allow_pickle=allow_pickle,
            needs=PROCESSORS,
        )
    # A folder says itself what it is, whatever the name that the configuration gave it.
    family = (
        None if isinstance(source, FolderSource) and recipe.embedded is None else _BY_NAME.get(recipe.family)
    )
    return Encoder(parsed.alias, source, options, family=family, weights=recipe.weights)


def _from_spec(parsed: Spec, *, allow_pickle: bool) -> tuple[families.Family | None, Source]:
    if parsed.kind == "hf":
        return None, HubSource(
            parsed.target, parsed.detail, parsed.alias, allow_pickle=allow_pickle, needs=PROCESSORS
        )
    if parsed.kind == "folder":
        return None, folder_source(parsed.target, allow_pickle=allow_pickle)
    if parsed.kind == "open_clip":
        return families.OPEN_CLIP, open_clip_source(parsed, allow_pickle=allow_pickle)
    if parsed.kind == "timm":
        return families.TIMM, timm_source(parsed, allow_pickle=allow_pickle)
    raise ModelError(f"{parsed.alias}: a {parsed.kind} file is no encoder; give it to --llms")


def _configured() -> Mapping[str, str]:
    from alignbench.config import load_config

    return load_config().encoders
