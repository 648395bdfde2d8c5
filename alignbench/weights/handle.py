"""`Handle`: an encoder or an LLM by name. Cheap until it is loaded."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from alignbench.errors import ModelError
from alignbench.rows import unit_vectors
from alignbench.types import ModelInfo
from alignbench.weights.config_tensors import check_tensors
from alignbench.weights.config_values import check_values
from alignbench.weights.digest import parameter_count, tensor_names
from alignbench.weights.family import UNTESTED, ModelFamily, ModelOptions
from alignbench.weights.files import check_leads_nowhere, is_gguf
from alignbench.weights.footprint import Batch, Footprint, WeightsRead
from alignbench.weights.guard import guarded, wants_numbers
from alignbench.weights.keys import check_names
from alignbench.weights.precision import Precision, resolve_device, resolve_precision
from alignbench.weights.request import LoadedModel, LoadRequest
from alignbench.weights.sizes import ModelSize, size_of
from alignbench.weights.text import shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.types import Weights
    from alignbench.weights.protocols import HasModule
    from alignbench.weights.source import Location, Source

SMALL_MODEL = 20_000_000  # parameters: 80 MB
_AGAIN = "copy the model again, or take another one"
_OF_THE_PACKAGE = ("embedded", "stand-in", "random")

F = TypeVar("F", bound=ModelFamily)
O = TypeVar("O", bound=ModelOptions)  # noqa: E741
L = TypeVar("L", bound="HasModule")
H = TypeVar("H")


class Handle(ABC, Generic[F, O, L]):
    """A model by name: of a family F, with options O, and of type L once it is loaded.

    The constructor, `locate` and `fingerprint` import no torch.

    Args:
        name: the alias in tables and test ids.
        source: the place of its files.
        options: the options, besides the weights, that shape its vectors.
        family: the family, if it is known without reading config.json.
        weights: the kind of weights.
        stand_in_for: the requested model that this one replaces.
    """

    side: ClassVar[Literal["vision", "text"]]
    # Prefixes of the checkpoint's keys that are left in its files.
    left_out: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        name: str,
        source: Source,
        options: O,
        *,
        family: F | None = None,
        weights: Weights = "pretrained",
        stand_in_for: str | None = None,
    ) -> None:
        self.name = name
        self.source = source
        self.options = options
        self._family = family
        self._weights: Weights = weights
        self._stand_in_for = stand_in_for
        self._located: Location | None = None
        self._loaded: LoadedModel[L] | None = None
        if family is not None:
            self._check(family)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, source={self.source.label!r})"

    @property
    def info(self) -> ModelInfo:
        """What scores say about this model. A repository's family is known once its configuration is here."""
        located = self._located
        params = self._params()
        if self._loaded is not None:
            params["dtype"] = self._loaded.precision.name
        return ModelInfo(
            name=self.name,
            side=self.side,
            family=self.family.name if self.family else "other",
            source=self.source.label,
            weights=self._weights,
            revision=located.revision if located else None,
            stand_in_for=self._stand_in_for,
            params=params,
        )

    @property
    def family(self) -> F | None:
        """The family, or None while the configuration is not available."""
        if self._family is None and (config := self.source.config()) is not None:
            self._family = self._family_of(config)
        return self._family

    def known_family(self) -> F:
        """Return the family.

        Raises:
            ModelError: it is not known before the model is located.
        """
        if (family := self.family) is None:
            raise ModelError(
                f"{self.name}: no config.json at hand that would name the family; call locate() first"
            )
        return family

    def varied(self, **changes: Any) -> Self:
        """Return an unloaded handle of the same weights with other options.

        Raises:
            ModelError: the family has no such pooling.
        """
        return self._as(type(self), replace(self.options, **changes))

    def fingerprint(self) -> dict[str, Any]:
        """Return everything that the vectors depend on but the dtype: the cache's key. It imports no torch.

        Raises:
            WeightsMissingError: the revision can't be determined without the weights or the Hub.
            ModelError: the pooling or the layer does not exist.
        """
        located, family = self._located or self.locate(), self.known_family()
        return {
            "side": self.side,
            "source": located.source,
            "revision": located.revision,
            "adapter": f"{family.name}/{family.version}",
            **self._shaped_by(located, family),
        }

    def locate(self) -> Location:
        """Find the weights, or what it would take to download them (`Location.download`, in bytes).

        Raises:
            WeightsMissingError: one line, with the way out.
            ModelError: the family lacks the pooling or layer, the family is unknown, or the files show that
                they can't be loaded, are quantized, or are an adapter.
        """
        # The configuration often names the family beforehand; then only the files that it needs are touched.
        wanted = self.wanted
        located = self.source.locate(wanted)
        self._check(self.known_family())
        if self.wanted != wanted:
            located = self.source.locate(self.wanted)
        self._check_files(located)
        self._located = located
        return located

    def size(self) -> ModelSize:
        """Return the size of the model without loading it."""
        return size_of(self._located or self.locate(), self.source.config(), self.side)

    def footprint(self, device: str, dtype: str, batch: int = 0) -> Footprint:
        """Return about how many bytes `load(device, dtype)` and a pass of a batch take on the device.

        Args:
            device: as for `load`.
            dtype: as for `load`.
            batch: the images of a batch, or the tokens of one of texts; 0 for the weights alone.
        """
        located, precision = self._located or self.locate(), self.precision(device, dtype)
        config, quantization = self.source.config() or {}, getattr(self.options, "quantization", None)
        read = WeightsRead(self.side, config, located, self.wanted, self.left_out, quantization)
        width = self.size().width if batch else None
        added = 0 if width is None else self._batch(batch).bytes_in(precision, resolve_device(device), width)
        return Footprint(read.bytes_in(precision), added)

    def gpus(self, device: str, dtype: str) -> int:
        """Return over how many GPUs `load(device, dtype)` distributes the model; 1 for no distribution."""
        return 1

    def examine(self) -> None:
        """Build the model from names and shapes, without numbers, and run all checks of a load.

        This imports torch, but reads only the headers of the files. Built-in models are not checked, and
        neither are GGUF files, whose tensor names are known only after conversion.

        Raises:
            WeightsMissingError: one line, with the way out.
            ModelError: the architecture is unknown, the weights are not of it, or it lacks the pooling or
                layer.
        """
        located = self._located or self.locate()
        if self._weights in _OF_THE_PACKAGE or not self._can_be_examined(located):
            return
        from alignbench.weights.loading import rehearsal

        try:
            with rehearsal(), guarded(located.source, "it can't be loaded", _AGAIN):
                self._rehearse(self._request(located, "meta", Precision("float32")))
        except ModelError as error:
            # An architecture that needs numbers while it is built: only its load can tell.
            if wants_numbers(error):
                return
            if self.name not in str(error):
                error.args = (f"{self.name}: {error}",)
            raise

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its scores has to know about the model; the plan and the report say it."""
        return tuple(f"{self.name}: {note}" for note in (*self.source.notes, *self._own_notes()))

    @property
    def untested(self) -> bool:
        """Whether it is of a family that our tests do not cover."""
        return self.family is not None and not self.family.tested

    def _own_notes(self) -> Iterator[str]:
        """Yield what its family and its configuration say to a reader of its scores."""
        if self.untested:
            model_type = shortened(str((self.source.config() or {}).get("model_type")), 60)
            yield (
                f"model_type {model_type!r} is not covered by alignbench's tests, so its scores are flagged "
                f"{UNTESTED}; it runs as transformers' own class, and its vectors are checked when it is "
                "loaded"
            )

    def precision(self, device: str, dtype: str) -> Precision:
        """Return the arithmetic that `load(device, dtype)` will use, determined without torch.

        Raises:
            ModelError: the dtype would give wrong numbers here.
        """
        located = self._located or self.locate()
        return resolve_precision(
            device,
            dtype,
            parameter_count(located.weights),
            fp16_safe=self.known_family().fp16_safe,
            where=self.name,
        )

    def effective_dtype(self, device: str = "auto", dtype: str = "auto") -> str:
        """Return the name of that arithmetic for caches and scores: `bfloat16-autocast`, `float32`."""
        return self.precision(device, dtype).name

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """Prefixes of the checkpoint's keys that are needed; None for all keys."""
        return self.family.wanted if self.family else None

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._loaded is not None

    @property
    def weight_bytes(self) -> int:
        """The bytes that its weights take in memory; 0 while it is not loaded."""
        if self._loaded is None:
            return 0
        weights = self._loaded.model.model.parameters()
        return sum(weight.numel() * weight.element_size() for weight in weights)

    def load(self, device: str = "auto", dtype: str = "auto") -> None:
        """Load the model into memory, downloading it if necessary.

        Args:
            device: "auto", "cpu", "cuda", "cuda:1", "mps".
            dtype: "auto", "float32", "bfloat16" or "float16".

        Raises:
            WeightsMissingError: one line, with the way out.
            ModelError: weights are missing from the checkpoint, or it can't be used as requested.
        """
        self.unload()
        before = self.locate()
        self._located = located = self.source.fetch(self.wanted)
        if located != before:
            self._check_files(located)
        precision = self.precision(device, dtype)
        large = parameter_count(located.weights) > SMALL_MODEL
        with guarded(located.source, "it can't be loaded", _AGAIN):
            spread = self.gpus(device, dtype) > 1
            model = self._load(self._request(located, resolve_device(device), precision, spread=spread))
        self._loaded = LoadedModel(model, resolve_device(device), precision, large)

    def unload(self) -> None:
        """Free the model's memory; the handle stays usable."""
        if self._loaded is None:
            return
        device, large, self._loaded = self._loaded.device, self._loaded.large, None
        # Models hold reference cycles; without a collection, two models would be in memory at once. It takes
        # .2 s, so small models wait for Python's own collection.
        if large:
            gc.collect()
        if device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    def _check_files(self, located: Location) -> None:
        """Raise an error for anything that configuration and headers of the weights show to be wrong."""
        config = self.source.config()
        if config is not None:
            check_leads_nowhere(config, "config.json", self.name)
            check_values(config, located.source)
            check_tensors(config, located.weights, self._sides(config), located.source)
        check_names(self.name, tensor_names(located.weights))

    def running(self) -> LoadedModel[L]:
        """Return the model in memory.

        Raises:
            ModelError: it is not loaded.
        """
        if self._loaded is None:
            raise ModelError(f"{self.name} is not loaded; call load(device, dtype) first")
        return self._loaded

    def _load_if_needed(self) -> None:
        if not self.loaded:
            self.load()

    def _finished(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return unit_vectors(values) if self.options.l2 else values

    def _request(
        self, located: Location, device: str, precision: Precision, *, spread: bool = False
    ) -> LoadRequest[O]:
        return LoadRequest(located, self.source.config() or {}, self.options, device, precision, spread)

    def _as(self, cls: Callable[..., H], options: O) -> H:
        """Return another handle of the same weights."""
        return cls(
            self.name,
            self.source,
            options,
            family=self.family,
            weights=self._weights,
            stand_in_for=self._stand_in_for,
        )

    @abstractmethod
    def _batch(self, size: int) -> Batch:
        """Return the size of a batch of that many images, or of texts with that many tokens."""

    @abstractmethod
    def _family_of(self, config: Mapping[str, Any]) -> F:
        """Return the family that a configuration names."""

    @abstractmethod
    def _params(self) -> dict[str, Any]:
        """Return the options as scores record them."""

    @abstractmethod
    def _shaped_by(self, located: Location, family: F) -> dict[str, Any]:
        """Return what shapes the vectors besides the weights and their adapter."""

    def _check(self, family: F) -> None:
        """Raise if the family lacks what the options request."""

    @abstractmethod
    def _sides(self, config: Mapping[str, Any]) -> tuple[Literal["vision", "text"], ...]:
        """Return the sides of the checkpoint that are used."""

    @abstractmethod
    def _load(self, request: LoadRequest[O]) -> L:
        """Return the model on a device, or distributed over all GPUs."""

    @abstractmethod
    def _rehearse(self, request: LoadRequest[O]) -> None:
        """Load the model on torch's device "meta", and check what was requested of it."""

    def _can_be_examined(self, located: Location) -> bool:
        return bool(located.weights) and not any(map(is_gguf, located.weights))
