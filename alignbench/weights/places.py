"""What a tensor's key says of its role, and whether a mapping by order contradicts the keys."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_ROLES = {
    "weight": "weight",
    "kernel": "weight",
    "gamma": "weight",
    "scale": "weight",
    "bias": "bias",
    "beta": "bias",
    "offset": "bias",
    "running_mean": "mean",
    "moving_mean": "mean",
    "running_var": "variance",
    "moving_variance": "variance",
}
# At the top of a model: inside a block, `fc` is a layer of it.
_HEAD = re.compile(r"_?(head|heads|head_dist|fc|classifier|logits|last_linear)\..+")
_ATTENTION = re.compile(r"(?:^|[._])(q|k|v|query|key|value)(?=$|[._])")
_NUMBER = re.compile(r"\d+")


def role(key: str) -> str:
    """Return the role that a key ends with: "weight", "bias", "mean" or "variance"; "" for another one."""
    return _ROLES.get(key.rpartition(".")[2].lower(), "")


def is_head(key: str) -> bool:
    """Whether a key is that of a classifier at the top of a model."""
    return _HEAD.fullmatch(key) is not None


def contradictions(
    prefix: str, listed: Sequence[str], pairs: Sequence[tuple[str, str]], own: Collection[str]
) -> list[str]:
    """Return what shows that the order of a file's keys is not that of the architecture.

    Args:
        prefix: the prefix of the file's keys.
        listed: the file's keys, in its order.
        pairs: key in the file and key in the architecture of what was placed by order, in the latter's order.
        own: all keys of the architecture.
    """
    if not pairs:
        return []
    keys = [key.removeprefix(prefix) for key in listed]
    if keys == sorted(keys):
        # safetensors sorts its tensors, and construction puts a weight before its bias.
        return [f"the keys are sorted by name ({keys[0]}, ..., {keys[-1]}); take the original file"]
    return _numbers_falling(keys) or _order_changed(listed, pairs) or _names_against(prefix, pairs, own)


def _numbers_falling(keys: Sequence[str]) -> list[str]:
    """Return keys that differ only in their numbers, such as those of blocks, and come in a falling order."""
    last: dict[str, tuple[tuple[int, ...], str]] = {}
    for key in keys:
        form, numbers = _NUMBER.sub("#", key), tuple(map(int, _NUMBER.findall(key)))
        if form in last and last[form][0] > numbers:
            return [f"{last[form][1]} comes before {key}"]
        last[form] = numbers, key
    return []


def _order_changed(listed: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return two pairs of one role whose order differs between file and architecture."""
    position = {key: i for i, key in enumerate(listed)}
    of_role: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in pairs:
        of_role[role(pair[1])].append(pair)
    for group in of_role.values():
        for (key, name), (later_key, later_name) in itertools.pairwise(group):
            if position[key] > position[later_key]:
                return [f"{name} comes before {later_name}, but {key} after {later_key}"]
    return []


def _names_against(prefix: str, pairs: Sequence[tuple[str, str]], own: Collection[str]) -> list[str]:
    """Return the pairs whose names say that they do not belong together, or that nothing tells."""
    found = []
    for key, name in pairs:
        short = key.removeprefix(prefix)
        if short in own and short != name:
            found.append(f"{key} would become {name}, but {short} is another one")
        elif _attention(short) != _attention(name):
            found.append(f"{key} or one of its neighbours of that shape could be {name}")
    return found


def _attention(key: str) -> str:
    """Return which of "q", "k" and "v" a key names; "" for none."""
    words = _ATTENTION.findall(key)
    return words[-1][0] if words else ""
