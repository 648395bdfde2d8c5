"""What encoders and LLMs have in common: a cheap handle that knows what it stands for."""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from alignbench.errors import ModelError
from alignbench.types import ModelInfo
from alignbench.weights.config_tensors import check_tensors
from alignbench.weights.config_values import check_values
from alignbench.weights.digest import parameter_count, tensor_names
from alignbench.weights.files import check_leads_nowhere
from alignbench.weights.guard import guarded
from alignbench.weights.keys import check_names
from alignbench.weights.precision import Precision, resolve_device, resolve_precision
from alignbench.weights.sizes import Size, size_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.types import Weights
    from alignbench.weights.source import Located, Source

SMALL_MODEL = 20_000_000  # parameters: 80 MB
_AGAIN = "copy the model again, or take another one"
_OF_THE_PACKAGE = ("embedded", "stand-in", "random")


class Handle(ABC):
    """A model by name. Constructing it, `locate` and `fingerprint` import no torch.

    Args:
        name: the alias.
        source: where its files come from.
        weights: what kind of weights they are.
        stand_in_for: the asked-for model that this one stands in for.
    """

    side: ClassVar[Literal["vision", "text"]]

    def __init__(
        self, name: str, source: Source, *, weights: Weights = "pretrained", stand_in_for: str | None = None
    ) -> None:
        self.name = name
        self.source = source
        self._weights: Weights = weights
        self._stand_in_for = stand_in_for
        self._located: Located | None = None
        self._loaded: tuple[str, Precision] | None = None
        self._large = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, source={self.source.label!r})"

    @property
    def info(self) -> ModelInfo:
        """What a score says of this model. The family of a repository is known once its config is at hand."""
        located = self._located
        params = self._params()
        if self._loaded is not None:
            params["dtype"] = self._loaded[1].name
        return ModelInfo(
            name=self.name,
            side=self.side,
            family=self._family_name(),
            source=self.source.label,
            weights=self._weights,
            revision=located.revision if located else None,
            stand_in_for=self._stand_in_for,
            params=params,
        )

    def locate(self) -> Located:
        """Find the weights, or what it would take to download them (`Located.download`, bytes).

        Raises:
            WeightsMissingError: one line, with the way out.
            ModelError: the family has no such pooling or layer, nobody knows the family, or the files show
                that they can't be loaded, or are those of quantized weights or of an adapter.
        """
        located = self.source.locate()
        self._check(located)
        if self.wanted is not None:
            located = self.source.locate(self.wanted)
        self._check_files(located)
        self._located = located
        return located

    def size(self) -> Size:
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
            device, dtype, parameter_count(located.weights), fp16_safe=self._fp16_safe(), where=self.name
        )

    def effective_dtype(self, device: str = "auto", dtype: str = "auto") -> str:
        """Return that arithmetic's name, as caches and scores carry it: `bfloat16-autocast`, `float32`."""
        return self.precision(device, dtype).name

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """Prefixes of the checkpoint's keys that are needed; None for all."""
        return None

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._loaded is not None

    @property
    def weight_bytes(self) -> int:
        """How many bytes its weights take in memory; 0 while it is not loaded."""
        if self._loaded is None:
            return 0
        return sum(weight.numel() * weight.element_size() for weight in self._module().parameters())

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
        with guarded(located.source, "it can't be loaded", _AGAIN):
            self._load(located, resolve_device(device), precision, spread=device == "auto")
        self._loaded = (resolve_device(device), precision)
        self._large = parameter_count(located.weights) > SMALL_MODEL

    def unload(self) -> None:
        """Free the model's memory; the handle stays usable."""
        if self._loaded is None:
            return
        device, self._loaded = self._loaded[0], None
        self._unload()
        # Models hold cycles; without this the next one would stand beside the last one in memory. It takes
        # .2 s, so what a small one leaves waits for Python's own collection.
        if self._large:
            gc.collect()
        if device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    def _check_files(self, located: Located) -> None:
        """Raise what the configuration and the headers of the weights show to be wrong."""
        config = self.source.config()
        if config is not None:
            check_leads_nowhere(config, "config.json", self.name)
            check_values(config, located.source)
            check_tensors(config, located.weights, self._sides(config), located.source)
        check_names(self.name, tensor_names(located.weights))

    def _running(self) -> tuple[str, Precision]:
        if self._loaded is None:
            raise ModelError(f"{self.name} is not loaded; call load(device, dtype) first")
        return self._loaded

    @abstractmethod
    def _family_name(self) -> str: ...

    @abstractmethod
    def _params(self) -> dict[str, Any]: ...

    @abstractmethod
    def _check(self, located: Located) -> None: ...

    @abstractmethod
    def _sides(self, config: Mapping[str, Any]) -> tuple[Literal["vision", "text"], ...]:
        """Return the sides of the checkpoint that are used."""

    @abstractmethod
    def _load(self, located: Located, device: str, precision: Precision, *, spread: bool) -> None: ...

    @abstractmethod
    def _unload(self) -> None: ...

    @abstractmethod
    def _module(self) -> Any:
        """Return the loaded model's own module."""

    @abstractmethod
    def _rehearse(self, located: Located, precision: Precision) -> None:
        """Load the model on torch's device "meta", and check what was asked of it."""

    def _can_be_examined(self, located: Located) -> bool:
        return bool(located.weights) and all(path.suffix != ".gguf" for path in located.weights)

    def _fp16_safe(self) -> bool:
        return True


def _wants_numbers(error: BaseException | None) -> bool:
    """Whether an error comes of tensors that have a shape and no numbers."""
    while error is not None:
        if isinstance(error, NotImplementedError | RuntimeError) and "meta tensor" in str(error):
            return True
        error = error.__cause__
    return False
