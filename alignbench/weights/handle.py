"""`Handle`: an encoder or an LLM by name. Cheap until it is loaded."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from alignbench.errors import ModelError
from alignbench.rows import unit_vectors
from alignbench.types import ModelInfo
from alignbench.weights.config_tensors import check_tensors
from alignbench.weights.config_values import check_values
from alignbench.weights.digest import parameter_count, tensor_names
from alignbench.weights.family import ModelFamily, ModelOptions
from alignbench.weights.files import check_leads_nowhere
from alignbench.weights.guard import guarded
from alignbench.weights.keys import check_names
from alignbench.weights.precision import Precision, resolve_device, resolve_precision
from alignbench.weights.sizes import ModelSize, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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


@dataclass(frozen=True, slots=True)
class LoadedModel(Generic[L]):
    """A model in memory.

    Args:
        model: what its family's adapter gave.
        device: where it is: "cpu", "cuda:0", ...
        precision: its arithmetic.
        large: whether it is worth a collection of garbage when it is freed.
    """

    model: L
    device: str
    precision: Precision
    large: bool


class Handle(ABC, Generic[F, O, L]):
    """A model by name: of a family F, with options O, once loaded an L.

    Constructing it, `locate` and `fingerprint` import no torch.

    Args:
        name: the alias in tables and test ids.
        source: where its files come from.
        options: what shapes its vectors beside its weights.
        family: where it is known without a look at config.json.
        weights: what kind of weights they are.
        stand_in_for: the asked-for model that this one stands in for.
    """

    side: ClassVar[Literal["vision", "text"]]

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
        """What a score says of this model. The family of a repository is known once its config is at hand."""
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
        """The family, or None while the configuration is not at hand."""
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
        """Return a handle of the same weights with other options; it is not loaded.

        Raises:
            ModelError: the family has no such pooling.
        """
        return self._as(type(self), replace(self.options, **changes))

    def fingerprint(self) -> dict[str, Any]:
        """Return what the vectors depend on, but for the dtype: the cache's key. No torch is imported.

        Raises:
            WeightsMissingError: the revision can't be known without the weights or the Hub.
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
            ModelError: the family has no such pooling or layer, nobody knows the family, or the files show
                that they can't be loaded, or are those of quantized weights or of an adapter.
        """
        located = self.source.locate()
        self._check(self.known_family())
        if self.wanted is not None:
            located = self.source.locate(self.wanted)
        self._check_files(located)
        self._located = located
        return located

    def size(self) -> ModelSize:
        """Return how large the model is, without loading it."""
        return size_of(self._located or self.locate(), self.source.config(), self.side)

    def examine(self) -> None:
        """Load the model without a number of its weights: names and shapes alone, and all checks of a load.

        Imports torch, but reads no more than the heads of the files. What comes with the package is taken as
        it is, and so is a GGUF file, whose names are known after its conversion only.

        Raises:
            WeightsMissingError: one line, with the way out.
            ModelError: nobody knows the architecture, the weights are not of it, or it has no such pooling or
                layer.
        """
        located = self._located or self.locate()
        if self._weights in _OF_THE_PACKAGE or not self._can_be_examined(located):
            return
        from alignbench.weights.loading import rehearsal

        try:
            with rehearsal(), guarded(located.source, "it can't be loaded", _AGAIN):
                self._rehearse(located, Precision("float32"))
        except ModelError as error:
            # An architecture that wants numbers while it is built: its load will tell.
            if _wants_numbers(error):
                return
            if self.name not in str(error):
                error.args = (f"{self.name}: {error}",)
            raise

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its scores has to know of the model: the plan and the report say it."""
        return tuple(f"{self.name}: {note}" for note in self.source.notes)

    def precision(self, device: str, dtype: str) -> Precision:
        """Return the arithmetic that `load(device, dtype)` will use, found without torch.

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
        """Return that arithmetic's name, as caches and scores carry it: `bfloat16-autocast`, `float32`."""
        return self.precision(device, dtype).name

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """Prefixes of the checkpoint's keys that are needed; None for all."""
        return self.family.wanted if self.family else None

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._loaded is not None

    @property
    def weight_bytes(self) -> int:
        """How many bytes its weights take in memory; 0 while it is not loaded."""
        if self._loaded is None:
            return 0
        weights = self._loaded.model.model.parameters()
        return sum(weight.numel() * weight.element_size() for weight in weights)

    def load(self, device: str = "auto", dtype: str = "auto") -> None:
        """Bring the model into memory, downloading it if need be.

        Args:
            device: "auto", "cpu", "cuda", "cuda:1", "mps".
            dtype: "auto", "float32", "bfloat16" or "float16".

        Raises:
            WeightsMissingError: one line, with the way out.
            ModelError: weights are missing from the checkpoint, or it can't be used as asked.
        """
        self.unload()
        before = self.locate()
        self._located = located = self.source.fetch(self.wanted)
        if located != before:
            self._check_files(located)
        precision = self.precision(device, dtype)
        large = parameter_count(located.weights) > SMALL_MODEL
        with guarded(located.source, "it can't be loaded", _AGAIN):
            model = self._load(located, resolve_device(device), precision, spread=device == "auto")
        self._loaded = LoadedModel(model, resolve_device(device), precision, large)

    def unload(self) -> None:
        """Free the model's memory; the handle stays usable."""
        if self._loaded is None:
            return
        device, large, self._loaded = self._loaded.device, self._loaded.large, None
        # Models hold cycles; without this the next one would stand beside the last one in memory. It takes
        # .2 s, so what a small one leaves waits for Python's own collection.
        if large:
            gc.collect()
        if device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    def _check_files(self, located: Location) -> None:
        """Raise what the configuration and the headers of the weights show to be wrong."""
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
    def _family_of(self, config: Mapping[str, Any]) -> F:
        """Return the family that a configuration names."""

    @abstractmethod
    def _params(self) -> dict[str, Any]:
        """Return what a score says of the options."""

    @abstractmethod
    def _shaped_by(self, located: Location, family: F) -> dict[str, Any]:
        """Return what shapes the vectors beside the weights and their adapter."""

    def _check(self, family: F) -> None:
        """Raise if the family lacks what the options ask for."""

    @abstractmethod
    def _sides(self, config: Mapping[str, Any]) -> tuple[Literal["vision", "text"], ...]:
        """Return the sides of the checkpoint that are used."""

    @abstractmethod
    def _load(self, located: Location, device: str, precision: Precision, *, spread: bool) -> L:
        """Return the model on a device, or spread over all GPUs."""

    @abstractmethod
    def _rehearse(self, located: Location, precision: Precision) -> None:
        """Load the model on torch's device "meta", and check what was asked of it."""

    def _can_be_examined(self, located: Location) -> bool:
        return bool(located.weights) and all(path.suffix != ".gguf" for path in located.weights)


def _wants_numbers(error: BaseException | None) -> bool:
    """Whether an error comes of tensors that have a shape and no numbers."""
    while error is not None:
        if isinstance(error, NotImplementedError | RuntimeError) and "meta tensor" in str(error):
            return True
        error = error.__cause__
    return False
