"""Runs experiments outside of pytest: every cell of every part, one after another."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from alignbench.errors import ConfigError
from alignbench.experiments import EXPERIMENTS, defaults_of, experiments
from alignbench.experiments.base import CellResult, NotApplicableError, labels_of
from alignbench.experiments.dead import flag_dead
from alignbench.findings.ranking import in_order
from alignbench.session.bench import SessionBench
from alignbench.session.clock import Clock
from alignbench.session.describe import describe_run, texts_warning
from alignbench.session.result import Result
from alignbench.session.runfolder import artifact_name, artifact_path
from alignbench.session.selection import ModelNames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.experiments.base import Experiment, Part, Unit, Use
    from alignbench.session.workbench import Workbench
    from alignbench.types import Score


class Steps(Protocol):
    """Follows the progress of a run; it may raise an error to stop the run."""

    def expect(self, steps: int) -> None:
        """Learn the number of steps."""

    def step(self, what: str) -> None:
        """Learn that the next step begins."""


@dataclass(frozen=True)
class Silent:
    """Ignores the progress of a run."""

    def expect(self, steps: int) -> None:
        """Ignore the number of steps."""

    def step(self, what: str) -> None:
        """Ignore that the next step begins."""


@dataclass(frozen=True)
class Cell:
    """One computation of a run.

    Args:
        experiment: the name of the experiment.
        part: the part of the experiment.
        models: the names of the models in each of the units that the cell is computed from.
        values: the values of the part's parameters.
    """

    experiment: str
    part: Part
    models: tuple[tuple[str, ...], ...]
    values: Mapping[str, object]

    @property
    def title(self) -> str:
        """The cell in words, for readers."""
        models = [name for names in self.models for name in names]
        return ", ".join([self.part.name.replace("_", " "), *map(str, self.values.values()), *models])

    @property
    def key(self) -> tuple[object, ...]:
        """What distinguishes the cell from all others."""
        return (self.experiment, self.part.name, self.models, *self.values.items())


def run(session: Workbench, names: Sequence[str], steps: Steps | None = None) -> Result:
    """Run experiments, and the parts of other experiments that their figures need.

    Args:
        session: the options, models and data.
        names: the names of the experiments.
        steps: follows the progress, one step per cell.

    Raises:
        ConfigError: no experiment is named, or only pytest can run it.
        UnknownNameError: there is no such experiment.
        AlignbenchError: a model or the data can't be used.
    """
    if not names:
        raise ConfigError(f"name at least one experiment: {', '.join(one.name for one in experiments())}")
    declared = [EXPERIMENTS.get(name) for name in names]
    cells = list({cell.key: cell for experiment in declared for cell in _due(session, experiment)}.values())
    if not cells:
        raise ConfigError(f"{', '.join(names)}: only pytest can run it: `pytest benchmarks/ -m {names[0]}`")
    return _Runner(session, tuple(names), cells, steps or Silent()).run()


@dataclass
class _Runner:
    session: Workbench
    names: tuple[str, ...]
    cells: Sequence[Cell]
    steps: Steps
    scores: list[Score] = field(default_factory=list)
    arrays: dict[str, Mapping[str, NDArray[np.generic]]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def run(self) -> Result:
        session, started, clock = self.session, datetime.now(UTC), time.perf_counter()
        before = session.patched, session.layered
        session.patched = frozenset(session.encoders) if self._uses("patches") else frozenset()
        session.layered = self._uses("layers")
        self.steps.expect(len(self.cells))
        for cell in {(cell.experiment, cell.part.name): cell for cell in self.cells}.values():
            cell.part.check(self._bench(cell))
        try:
            for cell in self.cells:
                self.steps.step(cell.title)
                self._compute(cell)
        finally:
            session.patched, session.layered = before
            session.release()
            session.release_head()
        models = [*session.encoders.values(), *session.llms.values()]
        scores = flag_dead(in_order(self.scores, [model.info for model in models]))
        description = describe_run(
            session,
            scores,
            name="-".join(self.names),
            started=started,
            seconds=time.perf_counter() - clock,
            command=f"session.run({', '.join(map(repr, self.names))})",
            warnings=texts_warning(self.skipped.values(), "cell"),
        )
        return Result(self.names, tuple(scores), self.arrays, description, session.dataset, self.skipped)

    def _compute(self, cell: Cell) -> None:
        if lacking := self.session.lacks(name for names in cell.models for name in names):
            self.skipped[cell.title] = lacking
            return
        bench = self._bench(cell)
        units = [
            _unit(self.session, unit, names)
            for unit, names in zip(cell.part.of, cell.models, strict=True)
            if unit != "selection"  # the bench has it
        ]
        try:
            if cell.part.timed:
                scores, _ = self._clock.time(cell.part.work(*units, **cell.values))
                computed = CellResult(scores)
            else:
                computed = cell.part.computed(bench, *units, **cell.values)
        except NotApplicableError as reason:
            self.skipped[cell.title] = str(reason)
            return
        artifact = None
        if computed.arrays is not None:
            name = artifact_name(computed.kind, labels_of(*units))
            self.arrays[name], artifact = computed.arrays, artifact_path(name)
        for score in computed.scores:
            flagged = score.flagged(*self.session.flags_of(score))
            self.scores.append(replace(flagged, artifact=score.artifact or artifact))

    def _bench(self, cell: Cell) -> SessionBench:
        return SessionBench(self.session, cell.experiment, self._dims)

    @cached_property
    def _clock(self) -> Clock:
        return Clock(self.session.options.device)

    def _uses(self, use: Use) -> bool:
        return any(use in cell.part.uses_with(cell.values) for cell in self.cells)

    def _dims(self) -> tuple[int, ...]:
        """Return the widths of all models of the cells, as in a pytest run of the same cells."""
        session = self.session
        names = {name for cell in self.cells for models in cell.models for name in models}
        used = [tuple(name for name in side if name in names) for side in (session.encoders, session.llms)]
        return session.dims(ModelNames(*used))


def _due(session: Workbench, experiment: Experiment) -> Iterator[Cell]:
    """Yield the cells of an experiment and those cells of other experiments that its figures need."""
    for part in experiment.parts:
        if part.when(session.options):
            yield from _cells(session, experiment.name, part)
    for name, metrics in experiment.needs.items():
        needed = EXPERIMENTS.get(name)
        if metrics is None:
            yield from _due(session, needed)
            continue
        for part in needed.parts:
            if part.of == ("pair",):
                cells = _cells(session, name, part)
                yield from (cell for cell in cells if cell.values.get("metric") in metrics)


def _cells(session: Workbench, experiment: str, part: Part) -> Iterator[Cell]:
    fixed, optional = part.values(session.options.with_defaults(defaults_of(experiment)))
    swept = fixed | optional
    for models in itertools.product(*(_models(session, unit) for unit in part.of)):
        for values in itertools.product(*swept.values()):
            yield Cell(experiment, part, models, dict(zip(swept, values, strict=True)))


def _models(session: Workbench, unit: Unit) -> list[tuple[str, ...]]:
    """Return the names of the models in each unit of a kind; one empty tuple if it has no models."""
    vision, paired, text = [*session.encoders], [*session.paired_llms], [*session.llms]
    by_unit: dict[Unit, Iterable[tuple[str, ...]]] = {
        "pair": itertools.product(vision, paired),
        "compared_pair": itertools.product(vision, text),
        "vision_pair": itertools.combinations(vision, 2),
        "text_pair": itertools.combinations(text, 2),
        **dict.fromkeys(("encoder", "timed_encoder", "vision_side"), itertools.product(vision)),
        **dict.fromkeys(("llm", "timed_llm", "text_side"), itertools.product(paired)),
    }
    return list(by_unit.get(unit, [()]))


def _unit(session: Workbench, unit: Unit, names: tuple[str, ...]) -> object:
    """Return one of the objects that a cell is computed from."""
    if unit == "dataset":
        return session.dataset
    models = [session.encoders.get(name) or session.llms[name] for name in names]
    if unit in {"encoder", "llm"}:
        return models[0]
    if unit in {"timed_encoder", "timed_llm"}:
        return session.hold(models[0])
    return session.pair(names[0], names[-1])
