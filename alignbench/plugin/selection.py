"""Which models and experiments the collected tests need, from their parameters, fixtures and markers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alignbench.errors import ConfigError
from alignbench.experiments import EXPERIMENTS, experiments
from alignbench.plugin.costs import function_of
from alignbench.session.selection import JOIN, ModelNames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pytest

    from alignbench.experiments.base import Choices, Experiment, Part, Use

FIXTURES = "alignbench.plugin.fixtures"
TIMED = ("timed_encoder", "timed_llm")
_SIDES = {
    "encoder": "vision",
    "llm": "text",
    "compared_llm": "text",
    "vision_pair": "vision",
    "text_pair": "text",
}
AXES = tuple(_SIDES)


def needed_by_items(items: Iterable[pytest.Item], vision: Sequence[str], text: Sequence[str]) -> ModelNames:
    """Return the models that the tests' parameters name; a test of the whole selection needs all models.

    Args:
        items: the collected tests.
        vision: all selected encoders.
        text: all selected LLMs.
    """
    needed: dict[str, dict[str, None]] = {"vision": {}, "text": {}, "patches": {}}
    for item in items:
        if item.get_closest_marker("skip"):
            continue
        fixtures = set(getattr(item, "fixturenames", ()))
        parameters = parameters_of(item)
        if "selection" in fixtures:
            needed["vision"], needed["text"] = dict.fromkeys(vision), dict.fromkeys(text)
        for axis in AXES:
            for name in str(parameters[axis]).split(JOIN) if axis in parameters else ():
                needed[_SIDES[axis]][name] = None
        if "encoder" in parameters and "patches" in uses_of(item):
            needed["patches"][str(parameters["encoder"])] = None
    return ModelNames(*(tuple(needed[side]) for side in ("vision", "text", "patches")))


def models_of(item: pytest.Item) -> tuple[str, ...]:
    """Return the models that the parameters of a test name."""
    parameters = parameters_of(item)
    return tuple(name for axis in AXES if axis in parameters for name in str(parameters[axis]).split(JOIN))


def experiment_of(item: pytest.Item) -> str:
    """Return the experiment that the test's scores are filed under; "custom" if no marker is an experiment.

    The outermost marker counts, which is the file's. A marker of the test itself only adds the test to
    another experiment.
    """
    marks = (mark.name for node in item.listchain() for mark in node.own_markers)
    return next((name for name in marks if name in EXPERIMENTS), "custom")


def is_replaced(item: pytest.Item, fixture: str) -> bool:
    """Return whether a test replaces a fixture of alignbench by its own parameter or fixture."""
    named: set[str] = set()
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs["argnames"]
        named |= {n.strip() for n in names.split(",")} if isinstance(names, str) else set(names)
    definitions = item._fixtureinfo.name2fixturedefs.get(fixture, ())  # type: ignore[attr-defined]
    return fixture in named or (bool(definitions) and definitions[-1].func.__module__ != FIXTURES)


def part_of(item: pytest.Item) -> Part | None:
    """Return the part of an experiment that a test belongs to, if it uses alignbench's fixture `part`.

    Raises:
        ConfigError: the experiment has no part with the name of the test.
    """
    if "part" not in getattr(item, "fixturenames", ()) or is_replaced(item, "part"):
        return None
    name, function = experiment_of(item), getattr(item, "originalname", item.name)
    part = EXPERIMENTS.get(name).part(function) if name in EXPERIMENTS else None
    if part is None:
        raise ConfigError(
            f"{item.nodeid}: it uses the fixture `part`, but there is no experiment {name!r} with a part "
            f"{function.removeprefix('test_')!r}"
        )
    return part


def uses_of(item: pytest.Item) -> frozenset[Use]:
    """Return what the test uses of models beside their embeddings."""
    part = part_of(item)
    return frozenset() if part is None else part.uses_with(parameters_of(item))


def parameters_of(item: pytest.Item) -> Mapping[str, Any]:
    """Return name -> value of the parameters of a test."""
    parameters: Mapping[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters


def parts_of(tests: Iterable[str], options: Choices) -> list[tuple[Experiment, Part]]:
    """Return the parts of experiments that tests run.

    Args:
        tests: the ids of the tests, because an xdist controller has nothing else.
        options: the options of the run.
    """
    functions = set(map(function_of, tests))
    return [
        (one, part)
        for one in experiments()
        for part in one.parts
        if functions & set(one.tests(part)) and part.when(options)
    ]


def further_of(tests: Iterable[str], options: Choices) -> tuple[str, ...]:
    """Return the specs of the encoders that tests run beside the selected ones.

    Args:
        tests: the ids of the tests, because an xdist controller has nothing else.
        options: the options of the run.
    """
    parts = [part for _, part in parts_of(tests, options)]
    return tuple(dict.fromkeys(spec for part in parts for spec in part.further(options)))


def is_timed(item: pytest.Item) -> bool:
    """Whether the test times something and is not skipped."""
    return "stopwatch" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("skip")


@dataclass(frozen=True)
class Demand:
    """What the tests of a run need of models.

    Args:
        tests: the ids of the tests that will run.
        needed: all models that they use.
        embedded: the models whose embeddings they use.
        mapped: the names of the encoders whose attention maps they draw.
        apart: the names of the encoders that embed images which are not the run's.
        timings: name of a model -> the number of tests that time it.
    """

    tests: Sequence[str]
    needed: ModelNames
    embedded: ModelNames
    mapped: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    timings: Mapping[str, int] = field(default_factory=dict)


def demand_of(items: Iterable[pytest.Item], vision: Sequence[str], text: Sequence[str]) -> Demand:
    """Return what the collected tests need of models.

    Args:
        items: the collected tests.
        vision: all selected encoders.
        text: all selected LLMs.
    """
    items = [item for item in items if not item.get_closest_marker("skip")]
    mapped: list[pytest.Item] = []
    apart: list[pytest.Item] = []
    embedded: list[pytest.Item] = []
    timings: Counter[str] = Counter()
    for item in items:
        if is_timed(item):
            fixtures = set(TIMED) & set(getattr(item, "fixturenames", ()))
            timings.update(str(parameters_of(item).get(name.removeprefix("timed_"))) for name in fixtures)
        else:
            uses = uses_of(item)
            kind = mapped if "maps" in uses else apart if "own images" in uses else embedded
            kind.append(item)
    return Demand(
        [item.nodeid for item in items],
        needed_by_items(items, vision, text),
        needed_by_items(embedded, vision, text),
        frozenset(needed_by_items(mapped, vision, text).vision),
        frozenset(needed_by_items(apart, vision, text).vision),
        timings,
    )
