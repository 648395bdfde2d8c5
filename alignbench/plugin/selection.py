"""Which models and experiments the collected tests need, by their parameters, fixtures and markers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alignbench.errors import ConfigError
from alignbench.experiments import EXPERIMENTS
from alignbench.session.selection import JOIN, ModelNames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pytest

    from alignbench.experiments.base import Part, Use

FIXTURES = "alignbench.plugin.fixtures"
AXES = ("encoder", "llm", "compared_llm", "vision_pair", "text_pair")
TIMED = ("timed_encoder", "timed_llm")
_SIDES = {
    "encoder": "vision",
    "vision_pair": "vision",
    "llm": "text",
    "compared_llm": "text",
    "text_pair": "text",
}


def needed_by_items(items: Iterable[pytest.Item], vision: Sequence[str], text: Sequence[str]) -> ModelNames:
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
        if "selection" in fixtures:
            found["vision"], found["text"] = dict.fromkeys(vision), dict.fromkeys(text)
        for axis in AXES:
            for name in str(parameters[axis]).split(JOIN) if axis in parameters else ():
                found[_SIDES[axis]][name] = None
        if "encoder" in parameters and "patches" in uses_of(item):
            found["patches"][str(parameters["encoder"])] = None
    return ModelNames(*(tuple(found[side]) for side in ("vision", "text", "patches")))


def experiment_of(item: pytest.Item) -> str:
    """Return the experiment that the test's scores are filed under; "custom" where it has no such marker.

    The marker that is farthest out counts, which is the file's: what stands at a test adds it to another
    experiment.
    """
    marks = (mark.name for node in item.listchain() for mark in node.own_markers)
    return next((name for name in marks if name in EXPERIMENTS), "custom")


def is_replaced(item: pytest.Item, fixture: str) -> bool:
    """Return whether a test has a parameter or a fixture of its own in the place of a fixture of ours."""
    named: set[str] = set()
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs["argnames"]
        named |= {n.strip() for n in names.split(",")} if isinstance(names, str) else set(names)
    definitions = item._fixtureinfo.name2fixturedefs.get(fixture, ())  # type: ignore[attr-defined]
    return fixture in named or (bool(definitions) and definitions[-1].func.__module__ != FIXTURES)


def part_of(item: pytest.Item) -> Part | None:
    """Return the part of an experiment that a test is of: it takes our fixture `part`, and has its name.

    Raises:
        ConfigError: the experiment of its marker has no such part.
    """
    if "part" not in getattr(item, "fixturenames", ()) or is_replaced(item, "part"):
        return None
    name, function = experiment_of(item), getattr(item, "originalname", item.name)
    part = EXPERIMENTS.get(name).part(function) if name in EXPERIMENTS else None
    if part is None:
        raise ConfigError(
            f"{item.nodeid}: it takes `part`, but there is no part {function.removeprefix('test_')!r} of an "
            f"experiment {name!r}"
        )
    return part


def uses_of(item: pytest.Item) -> frozenset[Use]:
    """Return what the test takes of models beside their embeddings."""
    part = part_of(item)
    if part is None:
        return frozenset()
    return part.uses_with(getattr(getattr(item, "callspec", None), "params", {}))


def is_timed(item: pytest.Item) -> bool:
    """Whether the test times something, and will be run."""
    return "stopwatch" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("skip")


@dataclass(frozen=True)
class Demand:
    """What the tests of a run take of models.

    Args:
        tests: the ids of those that will be run.
        needed: all models that they use.
        embedded: the models whose embeddings they use.
        mapped: the names of encoders of which attention maps are made.
        timings: name of a model -> by how many tests it is timed.
    """

    tests: Sequence[str]
    needed: ModelNames
    embedded: ModelNames
    mapped: frozenset[str] = frozenset()
    timings: Mapping[str, int] = field(default_factory=dict)


def demand_of(items: Iterable[pytest.Item], vision: Sequence[str], text: Sequence[str]) -> Demand:
    """Return what the collected tests take of models.

    Args:
        items: the collected tests.
        vision: all selected encoders.
        text: all selected LLMs.
    """
    items = [item for item in items if not item.get_closest_marker("skip")]
    mapped: list[pytest.Item] = []
    embedded: list[pytest.Item] = []
    timings: Counter[str] = Counter()
    for item in items:
        if is_timed(item):
            parameters = getattr(getattr(item, "callspec", None), "params", {})
            fixtures = set(TIMED) & set(getattr(item, "fixturenames", ()))
            timings.update(str(parameters.get(name.removeprefix("timed_"))) for name in fixtures)
        else:
            (mapped if "maps" in uses_of(item) else embedded).append(item)
    return Demand(
        [item.nodeid for item in items],
        needed_by_items(items, vision, text),
        needed_by_items(embedded, vision, text),
        frozenset(needed_by_items(mapped, vision, text).vision),
        timings,
    )
