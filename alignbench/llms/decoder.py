"""A loaded text decoder: from token ids to mean hidden states. For LLaMA, Qwen2 and similar models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from alignbench.errors import ModelError
from alignbench.llms.architecture import architecture
from alignbench.weights.loading import (
    computing,
    hidden_layer,
    load_model,
    place,
    rehearsing,
    transformers_class,
)
from alignbench.weights.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel

    from alignbench.llms.networks import TextNetwork
    from alignbench.llms.options import LLMOptions
    from alignbench.weights.precision import Precision
    from alignbench.weights.processors import Tokenizer
    from alignbench.weights.request import LoadRequest


class Decoder:
    """A transformers decoder and its tokenizer; the head, if requested, is for `CausalDecoder`.

    Args:
        model: a model in evaluation mode, on its device.
        tokenizer: the model's tokenizer.
        padding_side: the side on which short texts are padded; the result does not depend on it.

    Attributes:
        pads: whether texts of different lengths share a forward pass; `check_batches` turns it off for a
            network that padding disturbs.
    """

    def __init__(self, model: TextNetwork, tokenizer: Tokenizer, padding_side: str = "right") -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.padding_side = padding_side
        self.pads = True

    @property
    def words(self) -> int:
        """The number of tokens for which the model has vectors."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    def check_layer(self, layer: int) -> None:
        """Raise unless the model has that layer.

        Raises:
            ModelError: it does not; the message has its layers.
        """
        hidden_layer(range(int(self.model.config.num_hidden_layers) + 1), layer)

    def tokenize(self, texts: Sequence[str], max_length: int) -> list[list[int]]:
        """Return at most `max_length` token ids of each text."""
        if not texts:
            return []
        lists: list[list[int]] = self.tokenizer(list(texts), truncation=True, max_length=max_length)[
            "input_ids"
        ]
        return lists

    def mean_states(
        self, batch: Sequence[Sequence[int]], layer: int, precision: Precision
    ) -> NDArray[np.float32]:
        """Return the mean state of each text's tokens at a layer: float32 [b, d]."""
        return self._means(
            batch,
            precision,
            layer != -1,
            lambda out: [out.last_hidden_state if layer == -1 else hidden_layer(out.hidden_states, layer)],
        )[:, 0]

    def mean_layers(self, batch: Sequence[Sequence[int]], precision: Precision) -> NDArray[np.float32]:
        """Return the mean state of each text's tokens at every layer: float32 [b, l, d]."""
        return self._means(
            batch, precision, True, lambda out: [*out.hidden_states[:-1], out.last_hidden_state]
        )

    def _means(
        self,
        batch: Sequence[Sequence[int]],
        precision: Precision,
        hidden: bool,
        chosen: Callable[[Any], Sequence[Tensor]],
    ) -> NDArray[np.float32]:
        if not self.pads and len(lengths := {len(ids) for ids in batch}) > 1:
            return self._by_length(batch, sorted(lengths), precision, hidden, chosen)
        ids, mask = self._padded(batch)
        device = str(self.model.device)
        with computing(precision, device):
            out = self.model(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                output_hidden_states=hidden,
                use_cache=False,
            )
            if hidden and out.hidden_states is None:
                raise ModelError(f"{type(self.model).__name__} gives no layer but its last one (-1)")
            # A model distributed over several GPUs has its layers on several devices.
            means = [masked_mean(states, mask.to(states.device)).cpu() for states in chosen(out)]
        array: NDArray[np.float32] = torch.stack(means, dim=1).numpy()
        return array

    def _by_length(
        self,
        batch: Sequence[Sequence[int]],
        lengths: Sequence[int],
        precision: Precision,
        hidden: bool,
        chosen: Callable[[Any], Sequence[Tensor]],
    ) -> NDArray[np.float32]:
        """Return the means of texts, of which only those of one length share a forward pass."""
        rows = [[row for row, ids in enumerate(batch) if len(ids) == length] for length in lengths]
        parts = [self._means([batch[row] for row in of], precision, hidden, chosen) for of in rows]
        order = np.argsort(np.concatenate(rows))
        means: NDArray[np.float32] = np.concatenate(parts)[order]
        return means

    def _padded(self, batch: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        longest = max(len(ids) for ids in batch)
        ids = torch.full((len(batch), longest), self._filler(), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(batch):
            place_ = (
                slice(0, len(tokens))
                if self.padding_side == "right"
                else slice(longest - len(tokens), longest)
            )
            ids[row, place_] = torch.tensor(list(tokens), dtype=torch.long)
            mask[row, place_] = 1
        return ids, mask

    def _filler(self) -> int:
        # Any token with a vector will do: the mask, never the id, marks padding. A token that was added to
        # the tokenizer alone has no vector.
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, self.tokenizer.bos_token_id):
            if token is not None and 0 <= token < self.words:
                return int(token)
        return 0


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Return Σ_t m_t h_t / Σ_t m_t in float32: [b, t, d] and [b, t] to [b, d].

    Raises:
        ModelError: there is not one state for each token.
    """
    if states.shape[:-1] != mask.shape:
        raise ModelError(
            f"this layer has states of shape {tuple(states.shape)} where {tuple(mask.shape)} tokens have one "
            f"each; take the last layer (-1)"
        )
    weights = mask.unsqueeze(-1).float()
    # `where` instead of a product: values at padded positions may be inf or nan.
    kept = torch.where(weights > 0, states.float(), 0.0)
    return kept.sum(dim=1) / weights.sum(dim=1)


def load_decoder(
    request: LoadRequest[LLMOptions], cls: type[PreTrainedModel], config: Any, **arguments: Any
) -> Any:
    """Return a decoder model on its device, or distributed over all GPUs, or quantized.

    Raises:
        ModelError: weights are missing, or quantization is not available here.
    """
    located, device = request.located, request.device
    quantization = None if rehearsing() else request.options.quantization
    if quantization is not None:
        arguments["quantization_config"] = quantization_config(quantization, device, located.source)
    if request.spread or quantization is not None:
        arguments["device_map"] = "auto" if request.spread else {"": device}
    model = load_model(cls, located, config=config, precision=request.precision, **arguments)
    return model if "device_map" in arguments else place(model, device)


def quantization_config(quantization: str, device: str, where: str) -> Any:
    """Return the configuration of 4- or 8-bit weights.

    Raises:
        ModelError: it does not run on CUDA, or bitsandbytes is not installed.
    """
    import importlib.util

    if not device.startswith("cuda"):
        raise ModelError(f"{where}: {quantization} weights need a CUDA GPU, and this runs on {device}")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(
            f'{where}: {quantization} weights need bitsandbytes: pip install "alignbench[quant]"'
        )
    make = transformers_class("BitsAndBytesConfig")
    if quantization == "8bit":
        return make(load_in_8bit=True)
    return make(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)


def load(request: LoadRequest[LLMOptions]) -> Decoder:
    """Load a language model that transformers' auto classes know, with its head if requested."""
    found = architecture(request.located, request.config.get("model_type"), head=request.head)
    model = load_decoder(request, found.cls, found.config, state=found.state, **found.arguments)
    return Decoder(model, load_tokenizer(request.located.path))
