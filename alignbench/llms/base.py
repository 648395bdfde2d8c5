"""`LLM`: the handle of a language model. Cheap until it is loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast

import numpy as np

from alignbench.errors import DataError, ModelError
from alignbench.llms.families import family_of, text_part_family
from alignbench.llms.options import LLMOptions
from alignbench.weights.config_tensors import check_padding
from alignbench.weights.digest import preprocessing_digest
from alignbench.weights.family import ModelFamily
from alignbench.weights.footprint import Batch
from alignbench.weights.guard import guarded, guards
from alignbench.weights.handle import Handle
from alignbench.weights.placement import is_spread, visible_gpus
from alignbench.weights.precision import Precision, resolve_device

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.llms.causal import CausalDecoder
    from alignbench.llms.decoder import Decoder
    from alignbench.llms.networks import CausalNetwork
    from alignbench.weights.protocols import HasModule
    from alignbench.weights.request import LoadRequest
    from alignbench.weights.source import Location

_TOKENS = "its tokenizer fails on these texts"
_PASS = "its forward pass fails"

L = TypeVar("L", bound="HasModule")


class TextHandle(Handle[ModelFamily, LLMOptions, L]):
    """A language model by name, whichever parts of it are loaded."""

    side: ClassVar[Literal["text"]] = "text"

    def gpus(self, device: str, dtype: str) -> int:
        """Return over how many GPUs `load(device, dtype)` distributes the model: all if one is too small."""
        if not resolve_device(device).startswith("cuda"):
            return 1
        gpus = visible_gpus()
        return len(gpus) if is_spread(self.footprint(device, dtype).total, gpus, device) else 1

    def _batch(self, size: int) -> Batch:
        return Batch("text", self.source.config() or {}, size)

    def _family_of(self, config: Mapping[str, Any]) -> ModelFamily:
        return (text_part_family if self.source.part else family_of)(config, self.name)

    def _shaped_by(self, located: Location, family: ModelFamily) -> dict[str, Any]:
        options = self.options
        return {
            "output": f"layer {options.layer}:mean",
            "max_length": options.max_length,
            "quantization": options.quantization,
            "preprocessing": preprocessing_digest(located.folder, ("tokenizers",)),
        }

    def _params(self) -> dict[str, Any]:
        options = self.options
        return {
            "pooling": "mean",
            "layer": options.layer,
            "max_length": options.max_length,
            "l2": options.l2,
            "quantization": options.quantization,
        }

    def _sides(self, config: Mapping[str, Any]) -> tuple[Literal["vision", "text"], ...]:
        return ("text",)

    def _check_files(self, located: Location) -> None:
        super()._check_files(located)
        check_padding(self.source.config() or {}, located.source)

    def _read(self, request: LoadRequest[LLMOptions]) -> Decoder:
        decoder: Decoder = self.known_family().load(request)
        return decoder

    @property
    def reads_both_ways(self) -> bool:
        """Whether its configuration has a decoder read a text in both directions."""
        if self.source.part:  # the LLM of a VLM reads in one, as it answers
            return False
        config = self.source.config() or {}
        parts = (config, config.get("text_config") or {})
        return any(part.get("use_bidirectional_attention") is True for part in parts)

    def _own_notes(self) -> Iterator[str]:
        yield from super()._own_notes()
        if self.reads_both_ways:
            yield (
                "it reads a text in both directions, as embedding models do; its vectors are the mean of its "
                "last layer, without the layers, prompts and norms that sentence-transformers adds"
            )

    def _rehearse(self, request: LoadRequest[LLMOptions]) -> None:
        self._read(request).check_layer(self.options.layer)


class LLM(TextHandle["Decoder"]):
    """A language model without its head: it turns texts into the mean of a hidden layer's tokens.

    Its arguments are a `Handle`'s.
    """

    left_out: ClassVar[tuple[str, ...]] = ("lm_head.",)

    def with_head(self) -> CausalLM:
        """Return a handle of the same weights that also loads the head, which predicts the next token."""
        return self._as(CausalLM, self.options)

    @guards(_TOKENS)
    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, with the model's own special tokens, at most `max_length`.

        Raises:
            ModelError: the model is not loaded, or its tokenizer knows more tokens than it has vectors for.
        """
        decoder = self.running().model
        lists = decoder.tokenize(texts, self.options.max_length)
        check_ids(lists, decoder.words, self.name)
        return lists

    @guards(_PASS)
    def forward(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return one vector per list of token ids, before L2: float32 [b, d].

        v = Σ_t m_t h_t / Σ_t m_t over the tokens t of the layer's states h, by mask m and in float32.
        """
        running = self.running()
        return running.model.mean_states(batch, self.options.layer, running.precision)

    @guards(_PASS)
    def forward_layers(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the mean state of each list of token ids at every layer, in one pass: float32 [b, l, d].

        Layer 0 is the input embeddings; the last layer is after the norm, as in `forward`.
        """
        running = self.running()
        return running.model.mean_layers(batch, running.precision)

    @property
    def layer_poolings(self) -> tuple[str, ...]:
        """The poolings that `forward_layers` returns for each layer."""
        return ("mean",)

    def embed(self, texts: Sequence[str], batch_size: int = 32) -> NDArray[np.float32]:
        """Return one vector per text: float32 [n, d], of unit length unless `l2` is off.

        Texts of similar length form a batch, so that there is little padding; rows are in the order of
        `texts`.

        Raises:
            DataError: a text has no token.
        """
        self._load_if_needed()
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
        return self._finished(values)

    @guards(_TOKENS)
    def truncated(self, texts: Sequence[str]) -> int:
        """Return how many of the texts have more than `max_length` tokens."""
        decoder, longest = self.running().model, self.options.max_length
        return sum(len(ids) > longest for ids in decoder.tokenize(texts, longest + 1))

    def count_cut(self, texts: Sequence[str]) -> int | None:
        """Return how many of the texts have more than `max_length` tokens, without reading large weights.

        Nothing is downloaded.

        Returns:
            None if the model is not on this machine, or its tokenizer is known only once it is loaded.

        Raises:
            ModelError: the model can't be used, or its tokenizer fails on these texts.
        """
        from alignbench.weights.loading import rehearsal

        located = self.source.local(self.wanted)
        if located is None or not self._can_be_examined(located):
            return None
        longest = self.options.max_length
        with rehearsal(), guarded(self.name, _TOKENS):
            decoder = self._read(self._request(located, "meta", Precision("float32")))
            return sum(len(ids) > longest for ids in decoder.tokenize(texts, longest + 1))

    def _load(self, request: LoadRequest[LLMOptions]) -> Decoder:
        decoder = self._read(request)
        # transformers may read in both directions only what is not padded.
        if self.untested or self.reads_both_ways:
            from alignbench.llms.probe import check_batches

            check_batches(decoder, self.options.layer, request.precision, self.name)
        return decoder


def check_ids(lists: Sequence[Sequence[int]], words: int, where: str) -> None:
    """Raise if a text has a token that the model has no vector for.

    Args:
        lists: the lists of token ids of the texts.
        words: the number of vectors.
        where: the model, for errors.

    Raises:
        ModelError: a text has such a token.
    """
    if wrong := next((token for ids in lists for token in ids if not 0 <= token < words), None):
        raise ModelError(
            f"{where}: its tokenizer gives a text token {wrong}, and its weights have vectors for {words} "
            f"tokens; tokenizer and weights are not of one model: copy both again"
        )


class CausalLM(TextHandle["CausalDecoder"]):
    """A language model with its head: frozen, it reads vectors in place of tokens and continues in words.

    Its arguments are a `Handle`'s, and it returns no embeddings.
    """

    @property
    def decoder(self) -> CausalDecoder:
        """The model in memory.

        Raises:
            ModelError: it is not loaded.
        """
        return self.running().model

    def _load(self, request: LoadRequest[LLMOptions]) -> CausalDecoder:
        from alignbench.llms.causal import CausalDecoder

        decoder = self._read(replace(request, head=True))
        network = cast("CausalNetwork", decoder.model)
        causal = CausalDecoder(network, decoder.tokenizer, request.precision, self.name)
        causal.check_vectors()
        return causal
