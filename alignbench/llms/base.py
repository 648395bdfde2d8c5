"""`LLM`: the handle of a language model. Cheap until it is loaded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from alignbench.errors import DataError, ModelError
from alignbench.llms.families import Family, family_of
from alignbench.weights.config_tensors import check_padding
from alignbench.weights.digest import preprocessing_digest
from alignbench.weights.guard import guards
from alignbench.weights.handle import Handle
from alignbench.weights.vectors import unit_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.llms.causal import CausalDecoder
    from alignbench.llms.decoder import Decoder
    from alignbench.types import Weights
    from alignbench.weights.precision import Precision
    from alignbench.weights.source import Located, Source

_TOKENS = "its tokenizer fails on these texts"
_PASS = "its forward pass fails"

Quantization = Literal["4bit", "8bit"]


@dataclass(frozen=True, slots=True)
class Options:
    """What shapes an LLM's vectors beside its weights.

    Args:
        layer: a hidden layer, from 0 (the input embeddings) up or from -1 (the last, after the norm) down.
        max_length: tokens of a text that are read; the rest is cut off.
        l2: whether `embed` gives rows of unit length.
        quantization: "4bit" or "8bit" weights, on CUDA.
    """

    layer: int = -1
    max_length: int = 128
    l2: bool = True
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ModelError(f"expected a max_length of at least 1 token, got {self.max_length}")
        if self.quantization not in (None, "4bit", "8bit"):
            raise ModelError(f"expected a quantization of 4bit or 8bit, got {self.quantization!r}")

    def asked(self) -> list[str]:
        """Return the options, but for l2, that are not at their default."""
        given = {
            "--align-llm-layer": self.layer != -1,
            "--align-quantize": self.quantization is not None,
            "max_length": self.max_length != 128,
        }
        return [option for option, is_given in given.items() if is_given]


class LLM(Handle):
    """A language model without its head: texts in, the mean of a hidden layer's tokens out.

    Args:
        name: the alias in tables and test ids.
        source: where its weights come from.
        options: layer, max_length, l2, quantization.
        family: where it is known without a look at config.json.
        weights: what kind of weights they are.
        stand_in_for: the asked-for model that this one stands in for.
    """

    side: ClassVar[Literal["text"]] = "text"

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
        self._decoder: Decoder | None = None

    @property
    def family(self) -> Family | None:
        """The family, or None while the configuration is not at hand."""
        if self._family is None and (config := self.source.config()) is not None:
            self._family = family_of(config, self.name)
        return self._family

    def fingerprint(self) -> dict[str, Any]:
        """Return what the vectors depend on, but for the dtype: the cache's key. No torch is imported.

        Raises:
            WeightsMissingError: the revision can't be known without the weights or the Hub.
        """
        located = self._located or self.locate()
        family = self.known_family()
        options = self.options
        return {
            "side": self.side,
            "source": located.source,
            "revision": located.revision,
            "adapter": f"{family.name}/{family.version}",
            "output": f"layer {options.layer}:mean",
            "max_length": options.max_length,
            "quantization": options.quantization,
            "preprocessing": preprocessing_digest(located.folder, ("tokenizers",)),
        }

    def varied(self, **changes: Any) -> LLM:
        """Return a handle of the same weights with other options; it is not loaded."""
        return LLM(
            self.name,
            self.source,
            replace(self.options, **changes),
            family=self._family,
            weights=self._weights,
            stand_in_for=self._stand_in_for,
        )

    def with_head(self) -> CausalLM:
        """Return a handle on the same weights that also loads the head: it tells the next token."""
        return CausalLM(
            self.name,
            self.source,
            self.options,
            family=self._family,
            weights=self._weights,
            stand_in_for=self._stand_in_for,
        )

    @guards(_TOKENS)
    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, with the model's own special tokens, at most `max_length`.

        Raises:
            ModelError: the model is not loaded, or its tokenizer knows more tokens than it has vectors for.
        """
        decoder = self._loaded_decoder()
        lists = decoder.tokenize(texts, self.options.max_length)
        check_ids(lists, decoder.words, self.name)
        return lists

    @guards(_PASS)
    def forward(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return one vector per list of token ids, before L2: float32 [b, d].

        v = Σ_t m_t h_t / Σ_t m_t over the tokens t of the layer's states h, by mask m and in float32.
        """
        _, precision = self._running()
        return self._loaded_decoder().mean_states(batch, self.options.layer, precision)

    @guards(_PASS)
    def forward_layers(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the mean state of each list of token ids at every layer, in one pass: float32 [b, l, d].

        Layer 0 is the input embeddings; the last is after the norm, as `forward` has it.
        """
        _, precision = self._running()
        return self._loaded_decoder().mean_layers(batch, precision)

    @property
    def layer_poolings(self) -> tuple[str, ...]:
        """The poolings that `forward_layers` gives of each layer."""
        return ("mean",)

    def embed(self, texts: Sequence[str], batch_size: int = 32) -> NDArray[np.float32]:
        """Return one vector per text: float32 [n, d], of unit length unless `l2` is off.

        Texts of like length go together, so that little is padded; the rows are in the order of `texts`.

        Raises:
            DataError: a text has no token.
        """
        if not self.loaded:
            self.load()
        ids = self.tokenize(texts)
        if empty := [i for i, of in enumerate(ids) if not of]:
            raise DataError(f"{self.name} makes no token of text {empty[0]} ({texts[empty[0]]!r})")
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]), reverse=True)
        parts = [
            self.forward([ids[i] for i in order[start : start + batch_size]])
            for start in range(0, len(order), batch_size)
        ]
        values = np.empty((len(ids), parts[0].shape[1] if parts else 0), dtype=np.float32)
        values[order] = np.concatenate(parts) if parts else values
        return unit_rows(values) if self.options.l2 else values

    @guards(_TOKENS)
    def truncated(self, texts: Sequence[str]) -> int:
        """Return how many of the texts have more than `max_length` tokens."""
        decoder, longest = self._loaded_decoder(), self.options.max_length
        return sum(len(ids) > longest for ids in decoder.tokenize(texts, longest + 1))

    def _loaded_decoder(self) -> Decoder:
        if self._decoder is None:
            raise ModelError(f"{self.name} is not loaded; call load(device, dtype) first")
        return self._decoder

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
        return {
            "pooling": "mean",
            "layer": options.layer,
            "max_length": options.max_length,
            "l2": options.l2,
            "quantization": options.quantization,
        }

    def _check(self, located: Located) -> None:
        self.known_family()

    def _sides(self, config: Mapping[str, Any]) -> tuple[Literal["vision", "text"], ...]:
        return ("text",)

    def _check_files(self, located: Located) -> None:
        super()._check_files(located)
        check_padding(self.source.config() or {}, located.source)

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """Prefixes of the checkpoint's keys that are needed; None for all."""
        return self.family.wanted if self.family else None

    def _fp16_safe(self) -> bool:
        return self.known_family().fp16_safe

    def _load(self, located: Located, device: str, precision: Precision, *, spread: bool) -> None:
        self._decoder = self._read(located, device, precision, spread=spread)

    def _read(
        self, located: Located, device: str, precision: Precision, *, spread: bool, head: bool = False
    ) -> Decoder:
        module, _, function = self.known_family().adapter.partition(":")
        load = getattr(importlib.import_module(module), function)
        # Only a GPU is spread over: on a CPU there is one place.
        everywhere = spread and device.startswith("cuda")
        decoder: Decoder = load(
            located, self.source.config() or {}, self.options, device, precision, spread=everywhere, head=head
        )
        return decoder

    def _rehearse(self, located: Located, precision: Precision) -> None:
        self._read(located, "meta", precision, spread=False).check_layer(self.options.layer)

    def _unload(self) -> None:
        self._decoder = None

    def _module(self) -> Any:
        return self._loaded_decoder().model


def check_ids(lists: Sequence[Sequence[int]], words: int, where: str) -> None:
    """Raise if a text has a token that the model has no vector for.

    Args:
        lists: the token ids of each text.
        words: how many vectors there are.
        where: the model, for errors.

    Raises:
        ModelError: it has.
    """
    if wrong := next((token for ids in lists for token in ids if not 0 <= token < words), None):
        raise ModelError(
            f"{where}: its tokenizer gives a text token {wrong}, and its weights have vectors for {words} "
            f"tokens; tokenizer and weights are not of one model: copy both again"
        )


class CausalLM(LLM):
    """A language model with its head: frozen, it reads vectors in the place of tokens and goes on in words.

    It has an LLM's arguments, and gives no embeddings.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._causal: CausalDecoder | None = None

    @property
    def decoder(self) -> CausalDecoder:
        """The model in memory.

        Raises:
            ModelError: it is not loaded.
        """
        self._running()
        assert self._causal is not None
        return self._causal

    def _load(self, located: Located, device: str, precision: Precision, *, spread: bool) -> None:
        from alignbench.llms.causal import CausalDecoder

        decoder = self._read(located, device, precision, spread=spread, head=True)
        self._causal = CausalDecoder(decoder.model, decoder.tokenizer, precision, self.name)

    def _unload(self) -> None:
        self._causal = None

    def _module(self) -> Any:
        return self.decoder.model
