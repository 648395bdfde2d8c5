"""Which models the collected tests need: from items, or from the bare ids that an xdist controller gets."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.experiments.shared import needed_by

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    import pytest
    from _pytest.mark import ParameterSet

AXES = ("encoder", "llm", "compared_llm", "vision_pair", "text_pair")
JOIN = "+"
_PATCH_PROJECTOR = "cross_attention"
_OF_ONE_PROJECTOR = ("projector", "elas_projector")  # parameters of tests that are made for every projector
_USES_PATCHES = re.compile(rf"{_PATCH_PROJECTOR}|patch")  # in a test's id, where that is all there is
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
    """The names of the models that the collected tests use, in the order of their first use.

    Args:
        vision: encoders.
        text: LLMs.
        patches: those of the encoders whose patches are used, too.
    """

    vision: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.vision or self.text)


def needed_by_items(items: Iterable[pytest.Item], vision: Sequence[str], text: Sequence[str]) -> Needed:
    """Return the models that the tests' parameters name; a test over the whole selection needs all of them.

    Args:
        items: the collected tests.
        vision: all selected encoders.
        text: all selected LLMs.
    """
    found: dict[str, dict[str, None]] = {"vision": {}, "text": {}, "patches": {}}
    for item in items:
        if item.get_closest_marker("skip"):
            continue
        fixtures = set(getattr(item, "fixturenames", ()))
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if _WHOLE_SELECTION & fixtures:
            found["vision"], found["text"] = dict.fromkeys(vision), dict.fromkeys(text)
        for axis in AXES:
            for name in str(parameters[axis]).split(JOIN) if axis in parameters else ():
                found[_SIDES[axis]][name] = None
        # Of a test that is made for every projector, only one looks at patches.
        chosen = [parameters[name] for name in _OF_ONE_PROJECTOR if name in parameters]
        of_patches = not chosen or _PATCH_PROJECTOR in chosen
        if "patches" in fixtures and "encoder" in parameters and of_patches:
            found["patches"][str(parameters["encoder"])] = None
    return Needed(*(tuple(found[side]) for side in ("vision", "text", "patches")))


def experiment_of(item: pytest.Item, experiments: Container[str]) -> str:
    """Return the experiment that the test's scores are filed under; "custom" where it has no such marker.

    The marker that is farthest out counts, which is the file's: what stands at a test or a parameter adds the
    test to another experiment, whose figures need its score.
    """
    marks = (mark.name for node in item.listchain() for mark in node.own_markers)
    return next((name for name in marks if name in experiments), "custom")


def shared(experiment: str, metrics: Iterable[str]) -> list[ParameterSet]:
    """Return the metrics as parameters of a test, each with the markers of other experiments that need it.

    Args:
        experiment: that the test's scores are filed under.
        metrics: their names.
    """
    import pytest

    return [
        pytest.param(metric, marks=[getattr(pytest.mark, name) for name in needed_by(experiment, metric)])
        for metric in metrics
    ]


def timings_of(items: Iterable[pytest.Item]) -> dict[str, int]:
    """Return name of a model -> by how many of these tests it is timed."""
    found: Counter[str] = Counter()
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        for fixture in set(TIMED) & set(getattr(item, "fixturenames", ())):
            found[str(parameters.get(fixture.removeprefix("timed_")))] += 1
    return found


def needed_by_ids(ids: Iterable[str], vision: Sequence[str], text: Sequence[str]) -> Needed:
    """Return the models that the test ids name: longest names first, so that `mini-clip` is not `clip`.

    Tests that use patches are known by their ids alone, too: they say "patch" or name the patches' projector.
    """
    nodes = set(ids)
    used = named_in(nodes, (*vision, *text))
    patched = named_in({node for node in nodes if _USES_PATCHES.search(node.partition("::")[2])}, vision)
    return Needed(
        tuple(n for n in vision if n in used),
        tuple(n for n in text if n in used),
        tuple(n for n in vision if n in patched),
    )


def named_in(ids: Iterable[str], names: Sequence[str]) -> set[str]:
    """Return those of the names that the parameters of tests hold: the longest where one holds another."""
    brackets = {match.group(1) for node in ids if (match := re.search(r"\[(.*)\]$", node))}
    found = set()
    for bracket in brackets:
        rest = bracket
        for name in sorted(names, key=len, reverse=True):
            rest, hits = re.subn(rf"(?<![\w.]){re.escape(name)}(?![\w.])", "\0", rest)
            if hits:
                found.add(name)
    return found
