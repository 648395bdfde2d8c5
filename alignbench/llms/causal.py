"""A frozen decoder with its head: token losses after a prefix of vectors, and greedy answers."""

from __future__ import annotations

import contextlib
import itertools
from functools import cached_property, partial
from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.modeling_layers import GradientCheckpointingLayer

from alignbench.errors import ModelError
from alignbench.weights.guard import guards
from alignbench.weights.loading import torch_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from alignbench.llms.networks import CausalNetwork
    from alignbench.weights.precision import Precision
    from alignbench.weights.processors import Tokenizer

_IGNORED = -100
# Up to this size, several trainings on one thread each are faster than one after the other on all.
_SMALL = 50_000_000


class _AtEnd(StoppingCriteria):
    """Stop each row at the first token that ends an answer."""

    def __init__(self, ends: Callable[[int], bool]) -> None:
        self.ends = ends

    def __call__(self, input_ids: Tensor, scores: object, **_: object) -> Tensor:
        return torch.tensor(
            [self.ends(token) for token in input_ids[:, -1].tolist()], device=input_ids.device
        )


class CausalDecoder:
    """A transformers causal language model with frozen weights, and its tokenizer.

    Args:
        model: a model in evaluation mode, on its device; its parameters are frozen here.
        tokenizer: the model's tokenizer.
        precision: the arithmetic.
        name: the model's alias, for errors.
    """

    def __init__(
        self, model: CausalNetwork, tokenizer: Tokenizer, precision: Precision, name: str = "LLM"
    ) -> None:
        self.name = name
        self.model = model.requires_grad_(False)
        self.tokenizer = tokenizer
        # Chat models come with sampling and penalties, which would change the answers.
        end = tokenizer.eos_token_id
        self.model.generation_config = GenerationConfig(
            do_sample=False, eos_token_id=end, pad_token_id=0 if end is None else end
        )
        self.precision = precision

    @property
    def device(self) -> torch.device:
        """The device of its input."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return device

    @property
    def width(self) -> int:
        """The width of an input vector."""
        return int(self.model.get_input_embeddings().weight.shape[1])

    @property
    def is_small(self) -> bool:
        """Whether it is so small that one thread is enough for it."""
        return bool(sum(p.numel() for p in self.model.parameters()) <= _SMALL)

    @cached_property
    def scale(self) -> float:
        """The root mean square of the entries of the tokens' vectors, as the first layer receives them."""
        count = min(4096, int(self.model.get_input_embeddings().weight.shape[0]))
        with torch.no_grad():
            vectors = self.vectors(list(range(count)))
            return float(vectors.float().square().mean().sqrt())

    @cached_property
    def start(self) -> list[int]:
        """The ids that the tokenizer puts in front of every text."""
        with_start = self.tokenizer(["a"])["input_ids"][0]
        bos = self.tokenizer.bos_token_id
        return [int(bos)] if bos is not None and with_start[:1] == [bos] else []

    @guards("its tokenizer fails on these texts")
    def ids(self, text: str, most: int | None = None) -> list[int]:
        """Return the token ids of a text, at most `most`, without special tokens."""
        found: list[int] = self.tokenizer([text], add_special_tokens=False)["input_ids"][0]
        return found[:most]

    @guards("it can't read vectors in place of tokens", "name another LLM")
    def check_vectors(self) -> None:
        """Check that the network reads vectors in place of tokens, and needs nothing else of a token.

        Raises:
            ModelError: it does not: some have further vectors of each token for every layer.
        """
        ids = list(range(min(4, int(self.model.get_input_embeddings().weight.shape[0]))))
        vectors = self.vectors(ids)[None]
        with torch.no_grad(), self.arithmetic():
            tokens = torch.tensor([ids], device=self.device)
            told = self.model(input_ids=tokens, use_cache=False).logits.float()
            read = self.model(inputs_embeds=vectors, use_cache=False).logits.float()
            # Some look for the token of each vector, and find none for an image's.
            self.model(inputs_embeds=(vectors + vectors.flip(1)) / 2 + self.scale, use_cache=False)
        if not torch.allclose(told, read, rtol=0, atol=1e-2 * float(told.abs().max())):
            raise ModelError(
                f"{self.name}: it reads more of a token than its vector (it continues the vectors of tokens "
                f"in another way than the tokens), so it can't read an image's vectors; name another LLM"
            )

    @guards("its tokens have no vectors")
    def vectors(self, ids: Sequence[int]) -> Tensor:
        """Return the input vectors of tokens [t, d]."""
        return self._embedded(torch.tensor(list(ids), dtype=torch.long))

    def _embedded(self, ids: Tensor) -> Tensor:
        found: Tensor = self.model.get_input_embeddings()(ids.to(self.device))
        return found

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Compute in the arithmetic that the model was loaded for, with or without gradients."""
        dtype = None if self.precision.autocast is None else torch_dtype(self.precision.autocast)
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            yield

    @contextlib.contextmanager
    def sparing_memory(self) -> Iterator[None]:
        """Recompute activations in the backward pass instead of storing them, for large models on a GPU."""
        # transformers would do the same, but only in training mode, in which layers drop out at random.
        layers = [part for part in self.model.modules() if isinstance(part, GradientCheckpointingLayer)]
        forwards = [layer.forward for layer in layers]
        for layer in layers:
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
        try:
            yield
        finally:
            for layer, forward in zip(layers, forwards, strict=True):
                layer.forward = forward

    @guards("its forward pass fails")
    def losses(self, prefix: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """Return each text's summed -log p of its tokens after its prefix: float32 [b].

        The loss covers only the targets, each read from left to right.

        Args:
            prefix: input vectors [b, t, d], where t is at least 1.
            targets: b lists of token ids, none of them empty.
        """
        inputs, wanted = self._joined(prefix, targets)
        with self.arithmetic():
            out = self.model(inputs_embeds=inputs, use_cache=False, logits_to_keep=wanted.shape[1] + 1)
        logits = out.logits[:, :-1].float()
        wanted = wanted.to(logits.device)
        losses = functional.cross_entropy(
            logits.transpose(1, 2), wanted, ignore_index=_IGNORED, reduction="none"
        )
        return losses.sum(dim=1)

    @guards("it gives no states of its layers")
    @torch.no_grad()
    def states(self, prefix: Tensor, texts: Sequence[Sequence[int]]) -> list[Tensor]:
        """Return the states after each layer of prefixes and the texts behind them: float32 [b, t + u, d].

        Args:
            prefix: input vectors [b, t, d].
            texts: b lists of token ids, the longest of u tokens; what follows a shorter one is padding.

        Raises:
            ModelError: the network gives no layer but its last one.
        """
        inputs, _ = self._joined(prefix, texts)
        with self.arithmetic():
            out = self.model(
                inputs_embeds=inputs, use_cache=False, output_hidden_states=True, logits_to_keep=1
            )
        if out.hidden_states is None:
            raise ModelError(f"{self.name}: it gives no layer but its last one")
        return [states.float().cpu() for states in out.hidden_states[1:]]

    def _joined(self, prefix: Tensor, texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Return input vectors of prefixes and texts, and the texts' ids with padding marked as ignored."""
        longest = max(len(of) for of in texts)
        ids = torch.zeros((len(texts), longest), dtype=torch.long)
        wanted = torch.full_like(ids, _IGNORED)
        for row, of in enumerate(texts):
            ids[row, : len(of)] = wanted[row, : len(of)] = torch.tensor(list(of))
        text = self._embedded(ids)
        # Padding is on the right, where no token of the text attends: it needs no mask.
        return torch.cat([prefix.to(text.dtype), text], dim=1), wanted

    @guards("it fails while it answers")
    @torch.inference_mode()
    def answers(self, prompts: Sequence[Tensor], most: int) -> list[str]:
        """Return the model's continuation of each prompt, always the likeliest token, up to a line's end.

        Args:
            prompts: input vectors, [t_i, d] each.
            most: the largest number of tokens in an answer.
        """
        longest = max(len(prompt) for prompt in prompts)
        shape = (len(prompts), longest)
        # Padded on the left, so that all answers begin at the same position.
        inputs = torch.zeros((*shape, self.width), dtype=prompts[0].dtype, device=self.device)
        mask = torch.zeros(shape, dtype=torch.long, device=self.device)
        for row, prompt in enumerate(prompts):
            inputs[row, longest - len(prompt) :] = prompt
            mask[row, longest - len(prompt) :] = 1
        with self.arithmetic():
            rows = self.model.generate(
                inputs_embeds=inputs,
                attention_mask=mask,
                max_new_tokens=most,
                stopping_criteria=StoppingCriteriaList([_AtEnd(self._ends)]),
            ).tolist()
        return [
            self._text(list(itertools.takewhile(lambda token: not self._ends(token), row))) for row in rows
        ]

    def _ends(self, token: int) -> bool:
        return token == self.tokenizer.eos_token_id or "\n" in self._text([token])

    def _text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)) if ids else ""
