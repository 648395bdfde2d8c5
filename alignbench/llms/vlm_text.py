"""The LLM of a VLM, without the vision side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.errors import ModelError
from alignbench.llms.decoder import Decoder, load_decoder
from alignbench.weights.loading import auto_config, transformers_class
from alignbench.weights.part_tensors import checked_tensors, renamed
from alignbench.weights.parts import vlm_of
from alignbench.weights.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from alignbench.llms.options import LLMOptions
    from alignbench.weights.request import LoadRequest


def load(request: LoadRequest[LLMOptions]) -> Decoder:
    """Load the LLM of a VLM, reading no other tensor.

    Raises:
        ModelError: see `load_decoder`; or transformers has no class of this LLM with a head.
    """
    located, head = request.located, request.head
    vlm = vlm_of(request.config, "text", located.source)
    whole = auto_config(located.path)
    own = whole.text_config
    # PaliGemma reads its prompts in both directions and its answers in one; texts are read as answers are.
    if getattr(own, "use_bidirectional_attention", None):
        own.use_bidirectional_attention = False
    known = transformers_class("MODEL_FOR_CAUSAL_LM_MAPPING" if head else "MODEL_MAPPING")
    if type(own) not in known:
        raise ModelError(
            f"{located.source}: transformers has no class of this LLM alone with its head "
            f"({type(own).__name__}), so it gives embeddings, but no losses and answers"
        )
    tensors = checked_tensors(located, vlm)
    state = renamed(tensors, vlm.text, located.source)
    if head:
        words = renamed(tensors, vlm.head, located.source)
        # Whether the head is the table of input vectors is the VLM's entry; the one of its LLM is not asked.
        own.tie_word_embeddings = own.tie_word_embeddings or (whole.tie_word_embeddings and not words)
        state = {f"model.{key}": value for key, value in state.items()} | words
    model = load_decoder(request, known[type(own)], own, state=state)
    return Decoder(model, load_tokenizer(located.path))
