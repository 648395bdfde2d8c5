"""The encoders by name, and `resolve`: from a user's spec to a handle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.encoders import families
from alignbench.encoders.base import Encoder
from alignbench.encoders.control import control_revision
from alignbench.encoders.library import open_clip_source, timm_source
from alignbench.encoders.options import EncoderOptions, Fit
from alignbench.encoders.packaged import packaged_source
from alignbench.encoders.pixels import parse_pixels
from alignbench.errors import ConfigError
from alignbench.registry import Registry
from alignbench.weights.catalog import Catalog
from alignbench.weights.files import PROCESSORS
from alignbench.weights.recipe import CatalogEntry, embedded
from alignbench.weights.source import NoSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.weights.custom import Custom

ENCODERS: Registry[object] = Registry("encoder", "alignbench.encoders")
for _name, _recipe in {
    "clip": CatalogEntry("clip", stand_in="mini-clip"),
    "siglip": CatalogEntry("siglip", stand_in="mini-siglip"),
    "dinov2": CatalogEntry("dinov2", stand_in="mini-dinov2"),
    "internvit": CatalogEntry("internvit"),
    "paligemma": CatalogEntry("paligemma"),
    "siglip2": CatalogEntry("siglip", stand_in="mini-siglip"),
    "siglip2-so400m": CatalogEntry("siglip", stand_in="mini-siglip"),
    "dinov3": CatalogEntry("dinov2", stand_in="mini-dinov2"),
    "aimv2": CatalogEntry("timm"),
    "pe-core": CatalogEntry("timm"),
    "metaclip2": CatalogEntry("clip", stand_in="mini-clip"),
    "eva02": CatalogEntry("timm"),
    "internvit-2.5": CatalogEntry("internvit"),
    "efficientnet-lite0": CatalogEntry("timm"),
    "mini-clip": embedded("mini-clip", "clip"),
    "mini-siglip": embedded("mini-siglip", "siglip"),
    "mini-dinov2": embedded("mini-dinov2", "dinov2"),
    "random-vit": CatalogEntry("random-vit", "random", lambda: NoSource(find_revision=control_revision)),
}.items():
    ENCODERS.add(_name, _recipe)

CATALOG = Catalog(
    Encoder,
    "encoder",
    ENCODERS,
    {
        family.name: family
        for family in (
            families.CLIP,
            families.SIGLIP,
            families.DINOV2,
            families.INTERNVIT,
            families.PALIGEMMA,
            families.RANDOM_VIT,
            families.TIMM,
        )
    },
    {
        "open_clip": lambda spec, pickle: (families.OPEN_CLIP, open_clip_source(spec, allow_pickle=pickle)),
        "timm": lambda spec, pickle: (families.TIMM, timm_source(spec, allow_pickle=pickle)),
        "pip": packaged_source,
    },
    PROCESSORS,
    "vision_encoders",
    "--llms",
)


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
            `timm:name[@checkpoint]`, `pip:package` or `npy:file.npy`; a repository or folder of a VLM takes
            `#vision` or `#projected` at its end. After a model of timm or open_clip, `+mean=`, `+std=`,
            `+crop=` and `+interpolation=` correct how an image becomes pixels if the library has it wrong.
        pooling: "cls", "pooler", "mean" or "projected"; None for the family's default.
        fit: "native" (as its processor does; may crop), "pad" or "squash".
        layer: a hidden layer (0: embeddings; -1: last); None for the final output.
        l2: whether `embed` returns rows of unit length.
        standins: whether the built-in toy model of the family may run if the weights are not available.
        allow_pickle: whether weights may be a pickle (read with `weights_only=True`).
        sources: name -> Hub repository or folder; None for those of the configuration.

    Raises:
        UnknownNameError: nothing has that name.
        ConfigError: the alias or the form of the spec is invalid.
        ModelError: the family lacks that pooling, or has no built-in stand-in; or a registered object or an
            array was given a pooling, fit or layer.
        WeightsMissingError: the folder or file does not exist.
    """
    parsed = CATALOG.parse(spec, sources)
    pixels = parse_pixels(parsed.pixels, spec)
    if parsed.kind == "open_clip" and "crop" in pixels:
        raise ConfigError(f"{spec}: open_clip crops the whole square in the middle; leave out +crop")
    return CATALOG.resolve(
        parsed,
        EncoderOptions(pooling, fit, layer, pixels, l2=l2),
        standins=standins,
        allow_pickle=allow_pickle,
        sources=sources,
    )
