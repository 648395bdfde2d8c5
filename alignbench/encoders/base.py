"""`Encoder`: the handle of a vision encoder. Cheap until it is loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import numpy as np

from alignbench.encoders.control import control_pixels
from alignbench.encoders.families import EncoderFamily, family_of, part_family
from alignbench.encoders.input_size import check_input_size
from alignbench.encoders.options import Capabilities, EncoderOptions
from alignbench.encoders.pixels import of_processor
from alignbench.errors import LayersMissingError, ModelError
from alignbench.rows import unit_vectors
from alignbench.weights.config_tensors import side_of
from alignbench.weights.digest import preprocessing_digest
from alignbench.weights.files import read_json
from alignbench.weights.footprint import Batch
from alignbench.weights.guard import guards
from alignbench.weights.handle import Handle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from alignbench.encoders.pixels import Pixels
    from alignbench.encoders.tower import Tower
    from alignbench.weights.request import LoadRequest
    from alignbench.weights.source import Location

    Vectors = NDArray[np.float32]

T = TypeVar("T")

_PIXELS = "its processor fails on an image"
_PASS = "its forward pass fails"
_TEXTS = "its text tower fails"


class Encoder(Handle[EncoderFamily, EncoderOptions, "Tower"]):
    """A vision encoder: it turns an image into a vector, or one per patch. It has a `Handle`'s arguments.

    Raises:
        ModelError: the family, if it is already known, lacks the pooling.
    """

    side: ClassVar[Literal["vision"]] = "vision"

    _learnt: Capabilities | None = None  # what the model itself said of what it can give

    @property
    def family(self) -> EncoderFamily | None:
        """The family, as far as it is known for this model; None while the configuration is not available."""
        family, learnt = super().family, self._learnt
        return family if family is None or learnt is None else family.without(learnt.lacks)

    def own_family(self) -> EncoderFamily:
        """Return the family as this model has it; if necessary, ask the model, which imports torch.

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
    def no_patches(self) -> str:
        """Why its patches can't be compared between images; "" if they can, or if that is unknown."""
        return self.family.no_patches if self.family is not None else ""

    @property
    def pixels(self) -> Pixels | None:
        """How an image becomes pixels; None if only a load can tell."""
        if self._weights == "random":
            return control_pixels(self.options.fit)
        if self._learnt is None and self.family is not None and self.family.varies:
            self.examine()
        if self._learnt is not None:
            return self._learnt.pixels
        folder = (self._located or self.locate()).folder
        if self.source.part and self.known_family().takes == "any":
            return None  # the image decides about its views
        if folder is None or not (file := folder / "preprocessor_config.json").is_file():
            return None
        return of_processor(read_json(file), self.options.fit)

    @property
    def pooling(self) -> str | None:
        """The pooling in effect; the requested one while the family is unknown."""
        if self.family is None:
            return self.options.pooling
        return self.family.pooling(self.options.pooling, self.options.layer, self.name)

    @guards(_PIXELS)
    def preprocess(self, image: Image.Image) -> Any:
        """Return the model's input for one image, for most float32 [3, h, w]. Several threads may call it.

        Raises:
            ModelError: the model is not loaded.
        """
        return self.running().model.prepare(image)

    @guards(_PASS)
    def staged(self, batch: Sequence[Any]) -> Any:
        """Return preprocessed images as a batch that `forward` takes without delay: on the model's device.

        Another thread may call it while a batch before is computed.
        """
        running = self.running()
        return running.model.staged(batch, running.device)

    @guards(_PASS)
    def forward(self, batch: Sequence[Tensor] | Tensor) -> Vectors:
        """Return one vector per preprocessed image, before L2: float32 [b, d]."""
        pooling, layer = str(self.pooling), self.options.layer
        return self._run(batch, lambda tower, pixels: tower.pooled(tower.features(pixels, layer), pooling))

    @guards(_PASS)
    def forward_patches(self, batch: Sequence[Tensor] | Tensor) -> Vectors:
        """Return one vector per patch of each preprocessed image, row by row: float32 [b, p, d]."""
        pooling, layer = str(self.pooling), self.options.layer
        return self._run(batch, lambda tower, pixels: tower.patches(tower.features(pixels, layer), pooling))

    @guards(_PASS)
    def forward_layers(self, batch: Sequence[Tensor] | Tensor) -> Vectors:
        """Return every hidden layer and the final output of each preprocessed image, in one pass, before L2.

        float32 [b, (l + 1) · q, d]: `first_layer` comes first, the output last, each under its q
        `layer_poolings`.

        Raises:
            LayersMissingError: the model returns no layers.
        """
        poolings = self.layer_poolings
        layers = self._run(batch, lambda tower, pixels: tower.pooled_layers(pixels, poolings))
        return layers.reshape(len(layers), -1, layers.shape[-1])

    @property
    def first_layer(self) -> int:
        """The number of the first layer of `forward_layers`: 0, or 1 where there are no embeddings."""
        return self.known_family().first_layer

    @property
    def layer_poolings(self) -> tuple[str, ...]:
        """The poolings that `forward_layers` returns for each layer."""
        return self.own_family().layer_poolings

    @property
    def layer_pooling(self) -> str:
        """The pooling of a hidden layer: the requested one, or the default if layers lack it."""
        family, asked = self.own_family(), self.options.pooling
        return family.pooling(asked if asked in family.layer_poolings else None, 0, self.info.label)

    def check_layers(self) -> None:
        """Raise if the model is known to return no hidden layers; this loads nothing.

        Raises:
            LayersMissingError: the model is known to return none.
        """
        self.own_family()
        if self._learnt is not None and self._learnt.no_layers:
            raise LayersMissingError(self._learnt.no_layers)

    def embed(self, images: Sequence[Image.Image], batch_size: int = 32) -> Vectors:
        """Return one vector per image: float32 [n, d], of unit length unless `l2` is off."""
        return self._finished(self._batched(images, self.forward, batch_size))

    def patches(self, images: Sequence[Image.Image], batch_size: int = 32) -> Vectors:
        """Return the patch features, without CLS and register tokens: float32 [n, p, d]."""
        return self._batched(images, self.forward_patches, batch_size)

    @guards(_PASS)
    def image_embed(self, images: Sequence[Image.Image], batch_size: int = 32) -> Vectors:
        """Return the images in the space that images and texts share: float32 [n, d].

        Raises:
            ModelError: the family has no text tower.
        """
        self._load_if_needed()
        self.running().model.check_text(self.name)

        def shared(batch: Sequence[Tensor]) -> Vectors:
            return self._run(
                batch, lambda tower, pixels: tower.pooled(tower.features(pixels, None), "projected")
            )

        return self._finished(self._batched(images, shared, batch_size))

    def varied(self, **changes: Any) -> Self:
        """Return an unloaded handle of the same weights with other options.

        Raises:
            ModelError: the family has no such pooling.
        """
        other = super().varied(**changes)
        if "fit" not in changes:
            other._learnt = self._learnt
        return other

    @guards(_PASS)
    def attention(
        self, images: Sequence[Image.Image], kind: str | None = None, batch_size: int = 32
    ) -> Vectors:
        """Return the model's own attention to its patches, row by row, in the last layer: float32 [n, p].

        Args:
            images: of any size.
            kind: "cls" or "pooling" (of a pooling head); None for the one that the family has.
            batch_size: the number of images per pass.

        Raises:
            ModelError: the family has no such attention.
        """
        self.known_family().check_attention(kind, self.name)
        return self._batched(
            images,
            lambda batch: self._run(batch, lambda tower, pixels: tower.attention(pixels)),
            batch_size,
        )

    @guards(_PASS)
    def shared_patches(self, images: Sequence[Image.Image], batch_size: int = 32) -> dict[str, Vectors]:
        """Return the patches in the space of `text_embed`, at unit length, by method: float32 [n, p, d].

        "value" uses the last layer's value path, "raw" the projection of the whole image.

        Raises:
            ModelError: the family has no text tower, or no way to map its patches to the texts' space.
        """
        family = self.known_family()
        if not family.locates:
            raise ModelError(f"{self.name}: {family.name} encoders have no patches in a space of texts")
        self._load_if_needed()
        running = self.running()
        running.model.check_text(self.name)
        parts = [
            running.model.run_pixels(
                [self.preprocess(image) for image in batch],
                running.device,
                running.precision,
                running.model.shared_patches,
            )
            for batch in _batches(images, batch_size)
        ]
        by_method = {method: np.concatenate([part[method] for part in parts]) for method in parts[0]}
        return {method: unit_vectors(values) for method, values in by_method.items()}

    @property
    def map_size(self) -> tuple[int, int]:
        """Height and width of the model's input; the patches of a map have the same aspect ratio."""
        return self.running().model.prepare.size

    @guards(_TEXTS)
    def text_embed(self, texts: Sequence[str], batch_size: int = 64) -> Vectors:
        """Return the texts in the space that images and texts share: float32 [n, d].

        Raises:
            ModelError: the family has no text tower.
        """
        self._load_if_needed()
        running = self.running()
        running.model.check_text(self.name)
        parts = [
            running.model.run_texts(list(batch), running.device, running.precision)
            for batch in _batches(texts, batch_size)
        ]
        return self._finished(np.concatenate(parts))

    @property
    def has_text(self) -> bool:
        """Whether `text_embed` and `image_embed` work. Known once the model is loaded."""
        return self.loaded and self.running().model.has_text

    def _run(self, batch: Sequence[Tensor] | Tensor, output: Callable[[Tower, Tensor], Tensor]) -> Vectors:
        """Return the tower's output for a batch of pixels, float32."""
        running = self.running()
        outputs = running.model.run_pixels(
            batch, running.device, running.precision, lambda pixels: {"": output(running.model, pixels)}
        )
        return outputs[""]

    def _batched(
        self,
        images: Sequence[Image.Image],
        forward: Callable[[Sequence[Tensor]], Vectors],
        batch_size: int,
    ) -> Vectors:
        self._load_if_needed()
        parts = [
            forward([self.preprocess(image) for image in batch]) for batch in _batches(images, batch_size)
        ]
        return np.concatenate(parts)

    def _batch(self, size: int) -> Batch:
        config, pixels = self.source.config() or {}, self.pixels
        height, width = pixels.size if pixels is not None else (0, 0)
        patch = side_of(config, {}, "vision").said("patch")
        patches = (height // patch) * (width // patch) + 1 if patch else 0
        return Batch("vision", config, size * patches, size * 3 * height * width)

    def _family_of(self, config: Mapping[str, Any]) -> EncoderFamily:
        part = self.source.part
        return part_family(config, part, self.name) if part else family_of(config, self.name)

    def _shaped_by(self, located: Location, family: EncoderFamily) -> dict[str, Any]:
        layer = "final" if self.options.layer is None else f"layer {self.options.layer}"
        return {
            "output": f"{layer}:{self.pooling}",
            "preprocessing": preprocessing_digest(
                located.folder, family.packages, fit=self.options.fit, **self.options.pixels
            ),
        }

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

    def _check(self, family: EncoderFamily) -> None:
        family.pooling(self.options.pooling, self.options.layer, self.name)

    def _sides(self, config: Mapping[str, Any]) -> tuple[Literal["vision", "text"], ...]:
        if not self.known_family().sized:
            return ()
        # In a family with a space shared with texts, the text tower tokenizes the texts, too.
        whole = config.get("model_cfg") or config
        reads_all = self.known_family().wanted is None
        has_text = reads_all and bool(whole.get("text_config") or whole.get("text_cfg"))
        return ("vision", "text") if has_text else ("vision",)

    def _check_files(self, located: Location) -> None:
        super()._check_files(located)
        config = self.source.config() or {}
        check_input_size(located.folder, config, self.known_family().takes, located.source)

    def _load(self, request: LoadRequest[EncoderOptions]) -> Tower:
        tower: Tower = self.known_family().load(request)
        self._learnt = self._learnt or Capabilities(tower.lacks, tower.prepare.pixels)
        self._check(self.known_family())
        return tower

    def _rehearse(self, request: LoadRequest[EncoderOptions]) -> None:
        no_layers = self._load(request).rehearse(self.options.layer)
        if self._learnt is not None:
            self._learnt = replace(self._learnt, no_layers=no_layers and f"{self.name}: {no_layers}")

    def _can_be_examined(self, located: Location) -> bool:
        # A library builds a model by its name alone, before its weights are available.
        config = self.source.config() or {}
        return super()._can_be_examined(located) or bool({"architecture", "open_clip_model"} & config.keys())


def _batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
