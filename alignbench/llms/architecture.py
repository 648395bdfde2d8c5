"""From a configuration to the class of transformers that reads texts, and to its tensors in a checkpoint."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError
from alignbench.weights.digest import tensor_names
from alignbench.weights.loading import auto_config, read_tensors, transformers_class
from alignbench.weights.text import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor
    from transformers import PreTrainedModel

    from alignbench.weights.source import Location

_WORDS = "embed_tokens.weight"
_FIRST = "layers.0."
_HEAD = "lm_head.weight"
_INSIDE = "model."  # where a class with a head has the network; its `base_model_prefix` may be another
_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Architecture:
    """The network that reads texts.

    Args:
        cls: its class in transformers.
        config: its own configuration, which may be a part of the checkpoint's.
        state: its tensors under its own names; None for all tensors of the checkpoint.
        arguments: what its constructor is told besides.
    """

    cls: type[PreTrainedModel]
    config: Any
    state: dict[str, Tensor] | None
    arguments: dict[str, Any]


def architecture(located: Location, model_type: object, *, head: bool) -> Architecture:
    """Return the network that transformers' auto classes know for a checkpoint's configuration.

    A language model with another tower beside it gives its text part alone.

    Args:
        located: the location of its files.
        model_type: what config.json calls it.
        head: whether its head is wanted, which predicts the next token.

    Raises:
        ModelError: transformers knows no network for it that reads texts, or none with a head; or the
            tensors of its text part can't be told from the others.
    """
    import transformers

    if model_type not in transformers_class("CONFIG_MAPPING"):
        raise ModelError(
            f"{located.source}: transformers {transformers.__version__} knows no model_type "
            f"{shortened(repr(model_type), 60)}, which config.json names; a newer one may, "
            f"or register an object with embed(texts)"
        )
    config = auto_config(located.path)
    text = config if config.is_encoder_decoder else config.get_text_config(decoder=True)
    cls = _class(config, text, located.source, head=head)
    # A pooler, which masked language models are saved without, has no part in a token's state.
    pools = "add_pooling_layer" in inspect.signature(cls.__init__).parameters
    state = _own_tensors(config, text, located, head=head)
    if head and state is not None and _HEAD not in state:
        # Where the words are the head, too, either configuration may say so.
        text.tie_word_embeddings = text.tie_word_embeddings or config.tie_word_embeddings
    return Architecture(cls, text, state, {"add_pooling_layer": False} if pools else {})


def _class(config: Any, text: Any, where: str, *, head: bool) -> Any:
    named = f"{where}: model_type {config.model_type!r}"
    if not _knows(config, "CAUSAL_LM", "IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM", "MASKED_LM", "TEXT_ENCODING"):
        raise ModelError(
            f"{named} in config.json is no language model of transformers; name an LLM, or register an "
            f"object with embed(texts)"
        )
    if head:
        check_continues(text, where)
        cls = _named(text, "CAUSAL_LM", f"{named} has no class in transformers that continues its texts")
        # transformers asks the same, and says it in a way that helps only its own developers.
        if "inputs_embeds" not in inspect.signature(cls.prepare_inputs_for_generation).parameters:
            raise ModelError(
                f"{named} can't continue vectors in place of tokens ({cls.__name__} of transformers offers "
                f"no way); name another LLM"
            )
        return cls
    if config.is_encoder_decoder:
        # Its encoder alone reads a text; its decoder would need another text to continue.
        return _named(
            config,
            "TEXT_ENCODING",
            f"{named} is an encoder-decoder whose encoder is no model of its own in transformers",
        )
    return _named(text, "", f"{named} has no class in transformers that gives its texts' hidden states")


def _knows(config: Any, *tasks: str) -> bool:
    import transformers

    # Older versions have fewer of these tables.
    tables = [getattr(transformers, f"MODEL_FOR_{task}_MAPPING", {}) for task in tasks]
    return any(type(config) in table for table in tables)


def _named(config: Any, task: str, problem: str) -> Any:
    known = transformers_class(f"MODEL_FOR_{task}_MAPPING" if task else "MODEL_MAPPING")
    if type(config) not in known:
        raise ModelError(f"{problem}; name another LLM, or register an object with embed(texts)")
    found = known[type(config)]
    return found[0] if isinstance(found, tuple) else found


def check_continues(config: Any, where: str) -> None:
    """Raise if a network reads a text in both directions.

    Raises:
        ModelError: the state of a token depends on those behind it, so it predicts none of them.
    """
    masked = _knows(config, "MASKED_LM", "TEXT_ENCODING") and not getattr(config, "is_decoder", False)
    if masked or getattr(config, "use_bidirectional_attention", False) is True:
        raise ModelError(
            f"{where}: this {config.model_type} model reads a text in both directions, so it can't continue "
            f"one; name an LLM"
        )


def _own_tensors(config: Any, text: Any, located: Location, *, head: bool) -> dict[str, Tensor] | None:
    """Return the tensors of a text part, or those without layers that only predict further tokens."""
    ahead = _ahead(text)
    if text is config and not ahead:
        return None
    if text is config:
        tensors = read_tensors(located.weights)
    else:
        tensors = _of_the_part(located, _INSIDE if head else "", head=head)
    return {key: tensor for key, tensor in tensors.items() if not _is_ahead(key, ahead)}


def _of_the_part(located: Location, prefix: str, *, head: bool) -> dict[str, Tensor]:
    """Return the tensors of a text part under its own names, which begin with `prefix`."""
    names = tensor_names(located.weights) or list(read_tensors(located.weights))
    found = _place(names, located.source)
    heads = sorted((name for name in names if name.endswith(_HEAD)), key=len)[: int(head)]
    tensors = read_tensors(located.weights, (found, *heads))
    own = {
        prefix + key.removeprefix(found): tensor
        for key, tensor in tensors.items()
        if key.startswith(found) and not key.endswith(_HEAD)
    }
    return {**own, _HEAD: tensors[heads[0]]} if heads else own


def _place(names: Iterable[str], where: str) -> str:
    """Return what the names of the text part's tensors begin with: `model.language_model.`, ..."""
    names = list(names)
    begins = {name.removesuffix(_WORDS) for name in names if name.endswith(f".{_WORDS}") or name == _WORDS}
    found = [begin for begin in begins if any(name.startswith(begin + _FIRST) for name in names)]
    if len(found) != 1:
        raise ModelError(
            f"{where}: {len(found) or 'none'} of the parts of its weights have words and layers "
            f"({_WORDS!r}, {_FIRST!r}), where one was expected: its text part; save that alone"
        )
    return found[0]


def _ahead(config: Any) -> range:
    """Return the numbers of the layers that predict tokens after the next one, beyond the last layer."""
    count = getattr(config, "num_nextn_predict_layers", None) or 0
    last = int(config.num_hidden_layers)
    return range(last, last + int(count))


def _is_ahead(key: str, ahead: range) -> bool:
    found = _LAYER.search(key)
    return found is not None and int(found[1]) in ahead
