"""Which models the collected tests need: from items, or from the bare ids that an xdist controller gets."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest

AXES = ("encoder", "llm", "compared_llm", "vision_pair", "text_pair")
JOIN = "+"
TIMED = ("timed_encoder", "timed_llm")
_WHOLE_SELECTION = {"encoders", "llms", "embeddings"}
_SIDES = {
    "encoder": "vision",
    "vision_pair": "vision",
    "llm": "text",
    "compared_llm": "text",
    "text_pair": "text",
}


@dataclass(frozen=True, slots=True)
class Needed:
    """The names of the models that the collected tests use, in the order of their first use."""

    vision: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.vision or self.text)


def needed_by_items(items: Iterable[pytest.Item], vision: Sequence[str], text: Sequence[str]) -> Needed:
    """Return the models that the tests' parameters name; a test over the whole selection needs all of them.

    Args:
        items: the collected tests.
        vision: all selected encoders.
        text: all selected LLMs.
    """
    found: dict[str, dict[str, None]] = {"vision": {}, "text": {}}
    for item in items:
        if item.get_closest_marker("skip"):
            continue
        if _WHOLE_SELECTION & set(getattr(item, "fixturenames", ())):
            return Needed(tuple(vision), tuple(text))
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        for axis in AXES:
            for name in str(parameters[axis]).split(JOIN) if axis in parameters else ():
                found[_SIDES[axis]][name] = None
    return Needed(tuple(found["vision"]), tuple(found["text"]))


def timings_of(items: Iterable[pytest.Item]) -> dict[str, int]:
    """Return name of a model -> by how many of these tests it is timed."""
    found: Counter[str] = Counter()
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        for fixture in set(TIMED) & set(getattr(item, "fixturenames", ())):
            found[str(parameters.get(fixture.removeprefix("timed_")))] += 1
    return found


def needed_by_ids(ids: Iterable[str], vision: Sequence[str], text: Sequence[str]) -> Needed:
    """Return the models that the test ids name: longest names first, so that `mini-clip` is not `clip`."""
    brackets = {match.group(1) for node in ids if (match := re.search(r"\[(.*)\]$", node))}
    found = dict.fromkeys((*vision, *text), False)
    for bracket in brackets:
        rest = bracket
        for name in sorted(found, key=len, reverse=True):
            rest, hits = re.subn(rf"(?<![\w.]){re.escape(name)}(?![\w.])", "\0", rest)
            found[name] |= hits > 0
    return Needed(tuple(n for n in vision if found[n]), tuple(n for n in text if found[n]))
