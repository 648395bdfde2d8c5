"""Tokenizers of the built-in models: byte-level BPE, trained on the texts of the training drawings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from alignbench.zoo.recipes import VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import PreTrainedTokenizerBase

# the tokens around a text, as in the family
FRAMES = {
    "clip": ("<|startoftext|>", "<|endoftext|>"),
    "siglip": (None, "</s>"),
    "llama": ("<s>", None),
    "qwen": (None, None),
}
SPECIAL = ("<pad>", "<unk>")


def special_ids(tokenizer: PreTrainedTokenizerBase) -> dict[str, int | None]:
    """Return the ids of the tokenizer's special tokens as options of a model's configuration."""
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {name: getattr(tokenizer, name) for name in names}


def train_tokenizer(texts: Iterable[str], family: str, max_length: int) -> PreTrainedTokenizerFast:
    """Return a fast tokenizer of 2,048 tokens that frames its texts as `family` does.

    Args:
        texts: the texts that it is trained on.
        family: a key of `FRAMES`.
        max_length: the model's longest text, in tokens.
    """
    begin, end = FRAMES[family]
    marks = [mark for mark in (begin, end, "<|eos|>" if end is None else None) if mark]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[*SPECIAL, *marks],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if begin or end:
        template = " ".join(part for part in (begin, "$A", end) if part)
        inner.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[(mark, inner.token_to_id(mark)) for mark in (begin, end) if mark]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token=begin,
        eos_token=end or "<|eos|>",
        model_max_length=max_length,
        padding_side="right",
        # SigLIP reads padding as text, as in its training
        model_input_names=["input_ids"] if family == "siglip" else ["input_ids", "attention_mask"],
    )
