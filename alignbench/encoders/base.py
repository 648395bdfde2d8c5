"""`Encoder`: the handle of a vision encoder. Cheap until it is loaded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from alignbench.encoders.families import FITS, Family, family_of
from alignbench.encoders.input_size import check_input_size
from alignbench.errors import ModelError
from alignbench.weights.digest import preprocessing_digest
from alignbench.weights.guard import guards
from alignbench.weights.handle import Handle
from alignbench.weights.vectors import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from alignbench.encoders.tower import Tower
    from alignbench.types import Weights
    from alignbench.weights.precision import Precision
    from alignbench.weights.source import Located, Source

_PIXELS = "its processor fails on an image"
_PASS = "its forward pass fails"
_TEXTS = "its text tower fails"

Fit = Literal["native", "pad", "squash"]


@dataclass(frozen=True, slots=True)
class Options:
    """What shapes an encoder's vectors beside its weights.

    Args:
        pooling: "cls", "pooler", "mean", "projected"; None for the family's default.
        fit: how an image gets to the model's size: as its processor does ("native": may crop), padded to a
            square with white, or squashed.
        layer: a hidden layer, from 0 (the input embeddings) up or from -1 (the last) down; None: the end.
        l2: whether `embed` gives rows of unit length.
    """

    pooling: str | None = None
    fit: Fit = "native"
    layer: int | None = None
    l2: bool = True

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise ModelError(f"expected a fit of {', '.join(FITS)}, got {self.fit!r}")

    def asked(self) -> list[str]:
        """Return the options, but for l2, that are not at their default."""
        given = {
            "--align-pooling": self.pooling is not None,
            "--align-fit": self.fit != "native",
            "--align-layer": self.layer is not None,
        }
        return [option for option, is_given in given.items() if is_given]


class Encoder(Handle):
    """A vision encoder: images in, one vector (or one a patch) out.

    Args:
        name: the alias in tables and test ids.
        source: where its weights come from.
        options: pooling, fit, layer, l2.
        family: where it is known without a look at config.json.
        weights: what kind of weights they are.
        stand_in_for: the asked-for model that this one stands in for.

    Raises:
        ModelError: the family, where it is known already, lacks the pooling.
    """

    side: ClassVar[Literal["vision"]] = "vision"

    def __init__(
        self,
        name: str,
        source: Source,
        options: Options,
        *,
        family: Family | None = None,
        weights: Weights = "pretrained",
        stand_in_for: str | None = None,
    ) -> None:
        super().__init__(name, source, weights=weights, stand_in_for=stand_in_for)
        self.options = options
        self._family = family
        self._tower: Tower | None = None
        if family is not None:
            family.pooling(options.pooling, options.layer, name)

    @property
    def family(self) -> Family | None:
        """The family, or None while the configuration is not at hand."""
        if self._family is None and (config := self.source.config()) is not None:
            self._family = family_of(config, self.name)
        return self._family

    @property
    def pooling(self) -> str | None:
        """The pooling in effect; what was asked for while the family is not known."""
        if self.family is None:
            return self.options.pooling
        return self.family.pooling(self.options.pooling, self.options.layer, self.name)

    def fingerprint(self, *, patches: bool = False) -> dict[str, Any]:
        """Return what the vectors depend on, but for the dtype: the cache's key. No torch is imported.

        Args:
            patches: of `patches`, not of `forward`.

        Raises:
            WeightsMissingError: the revision can't be known without the weights or the Hub.
            ModelError: the pooling or the layer does not exist.
        """
        located = self._located or self.locate()
        family = self._known_family()
        layer = "final" if self.options.layer is None else f"layer {self.options.layer}"
        return {
            "side": self.side,
            "source": located.source,
            "revision": located.revision,
            "adapter": f"{family.name}/{family.version}",
            "output": f"{layer}:{self.pooling}{':patches' if patches else ''}",
            "preprocessing": preprocessing_digest(located.folder, family.packages, fit=self.options.fit),
        }

    @guards(_PIXELS)
    def preprocess(self, image: Image.Image) -> Any:
        """Return the model's input for one image. May be called from several threads.

        Raises:
            ModelError: the model is not loaded.
        """
        return self._loaded_tower().prepare(image)

    @guards(_PASS)
    def forward(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Return one vector per preprocessed image, before L2: float32 [b, d]."""
        tower, (device, precision) = self._loaded_tower(), self._running()
        return tower.run(
            batch, device, precision, lambda f: tower.pooled(f, str(self.pooling)), self.options.layer
        )

    @guards(_PASS)
    def forward_patches(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Return one vector per patch of each preprocessed image, row by row: float32 [b, p, d]."""
        tower, (device, precision) = self._loaded_tower(), self._running()
        return tower.run(
            batch, device, precision, lambda f: tower.patches(f, str(self.pooling)), self.options.layer
        )

    @guards(_PASS)
    def forward_layers(self, batch: Sequence[Any]) -> NDArray[np.float32]:
        """Return every hidden layer and the final output of each preprocessed image, in one pass, before L2.

        float32 [b, (l + 1) · q, d]: `first_layer` first, the output last, each by its q `layer_poolings`.

        Raises:
            LayersMissingError: the model gives no layers, or layers of several widths.
        """
        tower, (device, precision) = self._loaded_tower(), self._running()
        found = tower.run_pixels(
            batch, device, precision, lambda p: {"": tower.pooled_layers(p, self.layer_poolings)}
        )[""]
        return found.reshape(len(found), -1, found.shape[-1])

    @property
    def first_layer(self) -> int:
        """The number of the first layer of `forward_layers`: 0, or 1 where there are no embeddings."""
        return self._known_family().first_layer

    @property
    def layer_poolings(self) -> tuple[str, ...]:
        """The poolings that `forward_layers` gives of each layer."""
        return self._known_family().layer_poolings

    def embed(self, images: Sequence[Image.Image], batch_size: int = 32) -> NDArray[np.float32]:
        """Return one vector per image: float32 [n, d], of unit length unless `l2` is off."""
        return self._finished(self._batched(images, self.forward, batch_size))

    def patches(self, images: Sequence[Image.Image], batch_size: int = 32) -> NDArray[np.float32]:
        """Return the patch features, without CLS and register tokens: float32 [n, p, d]."""
        return self._batched(images, self.forward_patches, batch_size)

    @guards(_PASS)
    def image_embed(self, images: Sequence[Image.Image], batch_size: int = 32) -> NDArray[np.float32]:
        """Return the images in the space that they share with the texts: float32 [n, d].

        Raises:
            ModelError: the family has no text tower.
        """
        self._load_if_needed()
        self._loaded_tower().check_text(self.name)

        def shared(batch: Sequence[Any]) -> NDArray[np.float32]:
            tower, (device, precision) = self._loaded_tower(), self._running()
            return tower.run(batch, device, precision, lambda f: tower.pooled(f, "projected"), None)

        return self._finished(self._batched(images, shared, batch_size))

    def varied(self, **changes: Any) -> Encoder:
        """Return a handle of the same weights with other options; it is not loaded.

        Raises:
            ModelError: the family has no such pooling.
        """
        return Encoder(
            self.name,
            self.source,
            replace(self.options, **changes),
            family=self._family,
            weights=self._weights,
            stand_in_for=self._stand_in_for,
        )

    @guards(_PASS)
    def attention(
        self, images: Sequence[Image.Image], kind: str | None = None, batch_size: int = 32
    ) -> NDArray[np.float32]:
        """Return the model's own attention to its patches, row by row, in the last layer: float32 [n, p].

        Args:
            images: of any size.
            kind: "cls" or "pooling" (of a pooling head); None for what the family has.
            batch_size: images a pass.

        Raises:
            ModelError: the family has no such attention.
        """
        self._known_family().check_attention(kind, self.name)
        self._load_if_needed()

        def attend(batch: Sequence[Any]) -> NDArray[np.float32]:
            tower, (device, precision) = self._loaded_tower(), self._running()
            return tower.run_pixels(batch, device, precision, lambda p: {"": tower.attention(p)})[""]

        return self._batched(images, attend, batch_size)

    @guards(_PASS)
    def shared_patches(
        self, images: Sequence[Image.Image], batch_size: int = 32
    ) -> dict[str, NDArray[np.float32]]:
        """Return the patches in the space of `text_embed`, at unit length, by method: float32 [n, p, d].

        "value" is by the last layer's value path, "raw" by what projects the whole image.

        Raises:
            ModelError: the family has no text tower, or no way from its patches to the texts.
        """
        if not self._known_family().locates:
            raise ModelError(
                f"{self.name}: {self._family_name()} encoders have no patches in a space of texts"
            )
        self._load_if_needed()
        tower, (device, precision) = self._loaded_tower(), self._running()
        tower.check_text(self.name)
        parts = [
            tower.run_pixels(
                [self.preprocess(image) for image in images[start : start + batch_size]],
                device,
                precision,
                tower.shared_patches,
            )
            for start in range(0, len(images), batch_size)
        ]
        found = {method: np.concatenate([part[method] for part in parts]) for method in parts[0]}
        return {method: unit_rows(values) for method, values in found.items()}

    @property
    def map_size(self) -> tuple[int, int]:
        """Height and width of the pixels that the model sees; a map's patches share their ratio."""
        height, width = self._loaded_tower().prepare.size  # type: ignore[attr-defined]
        return int(height), int(width)

    @guards(_TEXTS)
    def text_embed(self, texts: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """Return the texts in the space that they share with the images: float32 [n, d].

        Raises:
            ModelError: the family has no text tower.
        """
        self._load_if_needed()
        tower, (device, precision) = self._loaded_tower(), self._running()
        tower.check_text(self.name)
        parts = [
            tower.run_texts(list(texts[start : start + batch_size]), device, precision)
            for start in range(0, len(texts), batch_size)
        ]
        return self._finished(np.concatenate(parts))

    @property
    def has_text(self) -> bool:
        """Whether `text_embed` and `image_embed` work. Known once the model is loaded."""
        return self._tower is not None and self._tower.has_text

    def _batched(
        self,
        images: Sequence[Image.Image],
        forward: Callable[[Sequence[Any]], NDArray[np.float32]],
        batch_size: int,
    ) -> NDArray[np.float32]:
        self._load_if_needed()
        starts = range(0, len(images), batch_size)
        return np.concatenate(
            [
                forward([self.preprocess(image) for image in images[start : start + batch_size]])
                for start in starts
            ]
        )

    def _finished(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return unit_rows(values) if self.options.l2 else values

    def _load_if_needed(self) -> None:
        if not self.loaded:
            self.load()

    def _loaded_tower(self) -> Tower:
        if self._tower is None:
            raise ModelError(f"{self.name} is not loaded; call load(device, dtype) first")
        return self._tower

    def _known_family(self) -> Family:
        if self.family is None:
            raise ModelError(
                f"{self.name}: no config.json at hand that would name the family; call locate() first"
            )
        return self.family

    def _family_name(self) -> str:
        return self.family.name if self.family else "other"

    def _params(self) -> dict[str, Any]:
        options = self.options
        return {"pooling": self.pooling, "fit": options.fit, "layer": options.layer, "l2": options.l2}

    def _check(self, located: Located) -> None:
        self._known_family().pooling(self.options.pooling, self.options.layer, self.name)

    def _sides(self, config: Mapping[str, Any]) -> tuple[Literal["vision", "text"], ...]:
        # The texts of a family that has a space shared with them take its text tower, too.
        whole = config.get("model_cfg") or config
        reads_all = self._known_family().wanted is None
        has_text = reads_all and bool(whole.get("text_config") or whole.get("text_cfg"))
        return ("vision", "text") if has_text else ("vision",)

    def _check_files(self, located: Located) -> None:
        super()._check_files(located)
        config = self.source.config() or {}
        check_input_size(located.folder, config, self._known_family().takes, located.source)

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """Prefixes of the checkpoint's keys that are needed; None for all."""
        return self.family.wanted if self.family else None

    def _load(self, located: Located, device: str, precision: Precision, *, spread: bool) -> None:
        module, _, function = self._known_family().adapter.partition(":")
        load = getattr(importlib.import_module(module), function)
        self._tower = load(located, self.source.config() or {}, self.options, device, precision)

    def _unload(self) -> None:
        self._tower = None

    def _module(self) -> Any:
        return self._loaded_tower().model
