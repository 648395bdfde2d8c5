"""Checks a checkpoint's keys against a model's: none may be missing, none left over that would change it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError
from alignbench.weights.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

# Parts of a key which show that the weights beside it can't be used as they are: quantization parameters and
# adapter weights. No architecture gives its own parameters such names.
_OTHER_ARITHMETIC = re.compile(
    r"""qweight | qzeros | qscales? | g_idx | scb | (nested_)?absmax | (nested_)?quant_(map|state.*) | qdata
        | (weight|input|output|activation|[qkv])_(scales?|scale_inv|scale_2|zeros?|zero_points?|packed)
        | weight_(shape|g_idx|codebooks?) | codebooks?
        | (lora|dora|ia3|hada|boft|oft)_\w+
    """,
    re.VERBOSE | re.IGNORECASE,
)
# The same, more loosely: architectures also have such parameters, so only leftover keys are judged by this.
_SCALE = re.compile(r".*(scale|zero).*|lora.*", re.IGNORECASE)
# Parameters that turn a cosine into a probability, after the embedding.
_BEHIND = re.compile(r"logit_(scale|bias)")
# Inside a model's modules but without influence on its results: leftovers of training, and tables that are
# recomputed.
_WITHOUT_EFFECT = re.compile(
    r"(.*\.)?(mask_token|position_ids|inv_freq|masked_bias|relative_position_index|attn_mask"
    r"|num_batches_tracked)"
)
# The number of a block, which has its own modules; a layer in a row of layers has only weights.
_BLOCK = re.compile(r"(?<![^.])\d+(?=\.[^.]+\.)")


def check_keys(
    source: str,
    what: str,
    *,
    missing: Iterable[str] = (),
    mismatched: Iterable[Any] = (),
    unexpected: Iterable[str] = (),
    own: Collection[str] = (),
    prefix: str = "",
    whole: bool = False,
) -> None:
    """Raise unless a model got each of its weights, and the checkpoint has none that would change it.

    Keys without a place in the model are ignored if that is intended: a head, another tower, a mask token.
    Keys that imply another computation are refused: in a module or layer that the model has (a bias, a norm,
    a scale), of layers beyond the model's last one, and scales, zero points and adapters anywhere.

    Args:
        source: the checkpoint's source, for errors.
        what: the model's class or architecture.
        missing: keys of the model that the checkpoint lacks.
        mismatched: keys whose shapes differ, alone or with the two shapes.
        unexpected: keys of the checkpoint without a place in the model.
        own: all keys of the model, including buffers.
        prefix: the prefix of the model's keys in a checkpoint with a head, such as "model".
        whole: whether the checkpoint holds this model alone, so that every key must have a place.

    Raises:
        ModelError: a check failed; the message has the number of keys and one of them.
    """
    unexpected, own = sorted(unexpected), set(own)
    for problem, keys in (("missing from", missing), ("of another shape in", mismatched)):
        if found := sorted(_described(key) for key in keys):
            all_of_it = sum(not without_effect(key) for key in own)
            count = f"{len(found)} of the {all_of_it}" if own else str(len(found))
            raise ModelError(
                f"{source}: {count} weights of {what} are {problem} the checkpoint, as {found[0]}"
                f"{_beside(unexpected)}; they would be random, so it is refused"
            )
    places = _Places(own)
    foreign = sorted(
        key for key in unexpected if not without_effect(key) and (whole or places.changed_by(key, prefix))
    )
    if foreign:
        raise ModelError(
            f"{source}: {len(foreign)} weights of the checkpoint have no place in {what}, as "
            f"{_described(foreign[0])}; without them it would be another model, so it is refused"
            f"{_way_out(foreign[0])}"
        )


def check_names(source: str, names: Iterable[str]) -> None:
    """Raise if the names of a checkpoint's tensors show that its weights are not plain numbers.

    This needs only the header of a file, so it comes before any load, and even if cached vectors would do.

    Raises:
        ModelError: there are scales, zero points or parts of an adapter among them.
    """
    if foreign := sorted(name for name in names if _is_other_arithmetic(name)):
        raise ModelError(
            f"{source}: {len(foreign)} of its tensors, as {_described(foreign[0])}, belong to quantized "
            f"weights or to an adapter; without them it would be another model, so it is refused"
            f"{_way_out(foreign[0])}"
        )


def without_effect(key: str) -> bool:
    """Whether a key is that of a counter or a table inside a model that does not change its results."""
    return _WITHOUT_EFFECT.fullmatch(key) is not None


class _Places:
    """The places of a model's weights, by their keys."""

    def __init__(self, own: Collection[str]) -> None:
        self._own = set(own)
        self._owners = {key.rpartition(".")[0] for key in own} - {""}
        self._modules = {
            ".".join(parts[:length])
            for parts in (key.split(".") for key in own)
            for length in range(1, len(parts))
        }
        self._forms = {_BLOCK.sub("#", key) for key in own if _BLOCK.search(key)}

    def changed_by(self, key: str, prefix: str) -> bool:
        """Whether ignoring the weight of a key would give a model other than its checkpoint's."""
        parts = key.split(".")
        if _is_other_arithmetic(key) or any(_SCALE.fullmatch(p) and not _BEHIND.fullmatch(p) for p in parts):
            return True
        spellings = {key, f"{prefix}.{key}", key.removeprefix(f"{prefix}.")} if prefix else {key}
        if not spellings.isdisjoint(self._own):  # a buffer that the model computes itself
            return False
        return any(self._is_inside(spelling) or self._is_beyond(spelling) for spelling in spellings)

    def _is_inside(self, key: str) -> bool:
        parts = key.split(".")
        within = [".".join(parts[:length]) for length in range(1, len(parts))]
        numbered = [module for module in within if module.rpartition(".")[2].isdigit()]
        return any(module in self._owners for module in within) or any(
            module in self._modules for module in numbered
        )

    def _is_beyond(self, key: str) -> bool:
        return _BLOCK.search(key) is not None and _BLOCK.sub("#", key) in self._forms


def _is_other_arithmetic(key: str) -> bool:
    return any(_OTHER_ARITHMETIC.fullmatch(part) for part in key.split("."))


def _way_out(key: str) -> str:
    if not _is_other_arithmetic(key):
        return "; does its configuration belong to these weights?"
    return "; give the checkpoint with plain weights (dequantized; an adapter merged into its model)"


def _beside(unexpected: Sequence[str]) -> str:
    """Return a description of the checkpoint's weights that may be the missing ones."""
    strangers = [key for key in unexpected if not without_effect(key)]
    if not strangers:
        return ""
    return f", and {len(strangers)} of the checkpoint's have no place in it, as {_described(strangers[0])}"


def _described(key: Any) -> str:
    if isinstance(key, str):
        return repr(printable(key)[:120])
    name, *shapes = key
    sizes = " for ".join(str(tuple(shape)) for shape in shapes)
    return f"{printable(str(name))[:120]!r}" + (f" ({sizes})" if sizes else "")
