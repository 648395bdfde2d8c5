"""The texts of the tiny models, and tokenizers that were made of them."""

from __future__ import annotations

from typing import Any

import transformers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    "a bar chart with five red bars",
    "pie",
    "the table lists three rows and four columns of numbers, the largest of them is ninety",
    "a document with an introduction",
    "line chart",
]


def tokenizer(size: int = 150) -> Any:
    """Return a byte-pair tokenizer of these texts, with a beginning-of-text token and no padding token."""
    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+"), "removed")
    inner.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False),
    )
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def text_tower_tokenizer(length: int) -> Any:
    """Return a tokenizer as text towers have: it ends a text with `</s>` and can pad."""
    made = tokenizer()
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    made.pad_token = "</s>"
    made.model_max_length = length
    return made
