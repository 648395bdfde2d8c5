"""Mutations of bytes and of JSON values, such as tools, failing disks and attackers cause."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random

DEEP: Final = 100_000
# Values that a program is least likely to expect.
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, -1, 0, 10**6, 10**18, 10**400, 0.5, float("nan"), float("inf")),
    *("", "x", "\ud800", "\x00", "x" * 5000, "../../../../etc/passwd"),
    *([], [[]], {}, {"x": None}, [0] * 1000),
)
_SPLICES: Final = (
    *(
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\r\n",
        b"\n",
        b'"',
        b"{",
        b"[",
        b"}",
        b":",
        b",",
        b"=",
        b"..",
        b"/",
        b"~",
    ),
    *(
        b"nan",
        b"1e999",
        b"-0",
        b"\xe2\x80\xae",
        b"\\ud800",
        b"&a *a",
        b"!!python/object:os.system",
        b"[" * DEEP,
    ),
)


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return `data` after one to four cuts, repetitions, flipped bits and splices."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        length = min(len(data) - at, int(rng.expovariate(1 / 8)) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            data = data[:at] + data[at + length :]
        elif kind == 1:
            data = data[:at] + data[at : at + length] * rng.choice((2, 3, 50)) + data[at + length :]
        elif kind == 2:
            data = data[:at]
        elif kind == 3 and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif kind == 4:
            data = data[:at] + rng.choice(_SPLICES) + data[at:]
        else:
            data = data[:at] + rng.randbytes(length) + data[at + length :]
    return data


def mutated_json(value: Any, rng: random.Random) -> str:
    """Return the JSON text of `value` after replacing one to three of its values or keys."""
    changed = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(changed))
        if not places:
            break
        holder, key = rng.choice(places)
        kind = rng.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[rng.choice(("", "x", "\ud800", "__class__", "0"))] = holder.pop(key)
        elif kind == 2:
            holder[key] = [holder[key]]
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    text = json.dumps(changed)
    if rng.random() < 0.02:
        return "[" * DEEP + "]" * DEEP
    return text


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every holder and key of `value`, however deep."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    return found
