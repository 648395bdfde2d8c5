"""`Encoder`: the handle of a vision encoder. Cheap until it is loaded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from alignbench.encoders.control import control_pixels
from alignbench.encoders.families import FITS, Family, family_of
from alignbench.encoders.input_size import check_input_size
from alignbench.encoders.pixels import of_processor
from alignbench.errors import LayersMissingError, ModelError
from alignbench.weights.digest import preprocessing_digest
from alignbench.weights.files import read_json
from alignbench.weights.guard import guards
from alignbench.weights.handle import Handle
from alignbench.weights.vectors import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from alignbench.encoders.pixels import Pixels
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
        pixels: "mean", "std", "crop", "interpolation", where they are not what the library has for the model.
    """

    pooling: str | None = None
    fit: Fit = "native"
    layer: int | None = None
    l2: bool = True
    pixels: Mapping[str, Any] = field(default_factory=dict)

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


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a model itself says of what it can give.

    Args:
        lacks: the poolings of its family that it does not have.
        pixels: how an image becomes pixels.
        no_layers: why it gives no hidden layers; "" where it does, or nobody asked.
    """

    lacks: tuple[str, ...]
    pixels: Pixels | None
    no_layers: str = ""


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
        self._learnt: Learnt | None = None
        self._tower: Tower | None = None
        if family is not None:
            family.pooling(options.pooling, options.layer, name)

    @property
    def family(self) -> Family | None:
        """The family as this model has it, or None while the configuration is not at hand.

        Where a family's poolings differ from model to model, `own_family` asks the model first.
        """
        if self._family is None and (config := self.source.config()) is not None:
            self._family = family_of(config, self.name)
        if self._family is None or self._learnt is None:
            return self._family
        return self._family.without(self._learnt.lacks)

    def own_family(self) -> Family:
        """Return the family as this model has it; where need be, the model is asked, which imports torch.

        Raises:
            ModelError: see `examine`.
        """
        if self.known_family().varies and self._learnt is None:
            self.examine()
        return self.known_family()

    @property
    def poolings(self) -> tuple[str, ...]:
        """The poolings of this model's output."""
        return self.own_family().poolings

    @property
    def pixels(self) -> Pixels | None:
        """How an image becomes pixels; None where only a load can tell."""
        if self._weights == "random":
            return control_pixels(self.options.fit)
        if self._learnt is None and self.family is not None and self.family.varies:
            self.examine()
        if self._learnt is not None:
            return self._learnt.pixels
        folder = (self._located or self.locate()).folder
        file = None if folder is None else folder / "preprocessor_config.json"
        if file is None or not file.is_file():
            return None
        return of_processor(read_json(file), self.options.fit)

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
        family = self.known_family()
        layer = "final" if self.options.layer is None else f"layer {self.options.layer}"
        return {
            "side": self.side,
            "source": located.source,
            "revision": located.revision,
            "adapter": f"{family.name}/{family.version}",
            "output": f"{layer}:{self.pooling}{':patches' if patches else ''}",
            "preprocessing": preprocessing_digest(
                located.folder, family.packages, fit=self.options.fit, **self.options.pixels
            ),
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
            LayersMissingError: the model gives no layers.
        """
        tower, (device, precision) = self._loaded_tower(), self._running()
        found = tower.run_pixels(
            batch, device, precision, lambda p: {"": tower.pooled_layers(p, self.layer_poolings)}
        )[""]
        return found.reshape(len(found), -1, found.shape[-1])

    @property
    def first_layer(self) -> int:
        """The number of the first layer of `forward_layers`: 0, or 1 where there are no embeddings."""
        return self.known_family().first_layer

    @property
    def layer_poolings(self) -> tuple[str, ...]:
        """The poolings that `forward_layers` gives of each layer."""
        return self.own_family().layer_poolings

    @property
    def layer_pooling(self) -> str:
        """The pooling of a hidden layer: the one that was asked for, or the default where layers lack it."""
        family, asked = self.own_family(), self.options.pooling
        return family.pooling(asked if asked in family.layer_poolings else None, 0, self.info.label)

    def check_layers(self) -> None:
        """Raise if the model is known to give no hidden layers; nothing is loaded.

        Raises:
            LayersMissingError: it is.
        """
        self.own_family()
        if self._learnt is not None and self._learnt.no_layers:
            raise LayersMissingError(self._learnt.no_layers)

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
        other = Encoder(
            self.name,
            self.source,
            replace(self.options, **changes),
            family=self.family,
            weights=self._weights,
            stand_in_for=self._stand_in_for,
        )
        if self._learnt is not None and "fit" not in changes:
            other._learnt = self._learnt
        return other

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
        self.known_family().check_attention(kind, self.name)
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
        if not self.known_family().locates:
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
        return self._loaded_tower().prepare.size

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

    def known_family(self) -> Family:
        """Return the family.

        Raises:
            ModelError: its name is not known before the model is located.
        """
        if self.family is None:
            raise ModelError(
                f"{self.name}: no config.json at hand that would name the family; call locate() first"
            )
        return self.family

    def _family_name(self) -> str:
        return self.family.name if self.family else "other"

    def _params(self) -> dict[str, Any]:
        options = self.options
        chosen = {"pixels": dict(options.pixels)} if options.pixels else {}
        return {
            "pooling": self.pooling,
            "fit": options.fit,
            "layer": options.layer,
            "l2": options.l2,
            **chosen,
        }

    def _check(self, located: Located) -> None:
        self.known_family().pooling(self.options.pooling, self.options.layer, self.name)

    def _sides(self, config: Mapping[str, Any]) -> tuple[Literal["vision", "text"], ...]:
        # The texts of a family that has a space shared with them take its text tower, too.
        whole = config.get("model_cfg") or config
        reads_all = self.known_family().wanted is None
        has_text = reads_all and bool(whole.get("text_config") or whole.get("text_cfg"))
        return ("vision", "text") if has_text else ("vision",)

    def _check_files(self, located: Located) -> None:
        super()._check_files(located)
        config = self.source.config() or {}
        check_input_size(located.folder, config, self.known_family().takes, located.source)

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """Prefixes of the checkpoint's keys that are needed; None for all."""
        return self.family.wanted if self.family else None

    def _load(self, located: Located, device: str, precision: Precision, *, spread: bool) -> None:
        tower = self._read(located, device, precision)
        if self._learnt is None:
            self._learnt = Learnt(tower.lacks, tower.prepare.pixels)
        self._check(located)
        self._tower = tower

    def _read(self, located: Located, device: str, precision: Precision) -> Tower:
        module, _, function = self.known_family().adapter.partition(":")
        load = getattr(importlib.import_module(module), function)
        tower: Tower = load(located, self.source.config() or {}, self.options, device, precision)
        return tower

    def _rehearse(self, located: Located, precision: Precision) -> None:
        tower = self._read(located, "meta", precision)
        self._learnt = Learnt(tower.lacks, tower.prepare.pixels)
        self._check(located)
        no_layers = tower.rehearse(self.options.layer)
        self._learnt = replace(self._learnt, no_layers=no_layers and f"{self.name}: {no_layers}")

    def _can_be_examined(self, located: Located) -> bool:
        # A library builds a model by its name alone, before its weights are there.
        config = self.source.config() or {}
        return super()._can_be_examined(located) or bool({"architecture", "open_clip_model"} & config.keys())

    def _unload(self) -> None:
        self._tower = None

    def _module(self) -> Any:
        return self._loaded_tower().model
