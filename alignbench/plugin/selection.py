"""Which models and experiments the collected tests need, by their parameters, fixtures and markers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from alignbench.experiments.shared import needed_by
from alignbench.session.selection import JOIN, PATCH_PROJECTOR, Needed

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    import pytest
    from _pytest.mark import ParameterSet

AXES = ("encoder", "llm", "compared_llm", "vision_pair", "text_pair")
_OF_ONE_PROJECTOR = ("projector", "elas_projector")  # parameters of tests that are made for every projector
TIMED = ("timed_encoder", "timed_llm")
_WHOLE_SELECTION = {"encoders", "llms", "embeddings"}
_SIDES = {
    "encoder": "vision",
    "vision_pair": "vision",
    "llm": "text",
    "compared_llm": "text",
    "text_pair": "text",
}


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
        of_patches = not chosen or PATCH_PROJECTOR in chosen
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
