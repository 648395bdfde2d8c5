"""Times the works of the experiment `speed` one after another, in pytest runs and elsewhere."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from alignbench.experiments.base import NotApplicableError
from alignbench.experiments.speed.machine import Machine, threads, threads_to_use
from alignbench.experiments.speed.reference import Reference
from alignbench.experiments.speed.rounds import BRIEF, USUAL, Patience, TooSlow, measure
from alignbench.experiments.speed.works import memory_score, not_timed, refuse_slow, timing_scores
from alignbench.weights.precision import resolve_device

if TYPE_CHECKING:
    from collections.abc import Callable

    from alignbench.experiments.speed.rounds import Effort, Timing
    from alignbench.experiments.speed.works import Work
    from alignbench.types import Score


@dataclass
class Clock:
    """Times works.

    Args:
        device: the device as the user wrote it.
        effort: the effort for each timing; None for the smaller one of a run of all experiments.
        patience: how long to wait for a quiet machine.
        comparable: whether to time unchanging reference work beside each timing, for later comparisons.
    """

    device: str
    effort: Effort | None = None
    patience: Patience = field(default_factory=lambda: Patience(10.0, per_timing=1.0))
    comparable: bool = False
    # Series of works -> items -> seconds of those that were timed; infinite for those that are too slow.
    _known: defaultdict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    @cached_property
    def machine(self) -> Machine:
        """The machine with its clocks and gauges."""
        return Machine(resolve_device(self.device), threads_to_use())

    @cached_property
    def reference(self) -> Reference | None:
        """The reference work for the machine's own speed; None if one CPU thread says little about it."""
        return Reference(self.machine) if self.comparable and self.machine.alone else None

    def time(
        self, work: Work, too_slow_by: Callable[[Timing], float] | None = None
    ) -> tuple[list[Score], Timing | None]:
        """Return the scores of a work, and its timing if there is something to time.

        Args:
            work: the work to time.
            too_slow_by: returns how much slower than expected a timing is; 0 or less if it is not slower.

        Raises:
            NotApplicableError: a call takes too long for a run of all experiments.
        """
        if work.call is None:
            return [not_timed(work)], None
        conditions: dict[str, Any] = {"device": self.machine.device, "threads": threads_to_use()}
        effort = self.effort or (BRIEF if work.brief else USUAL)
        known = self._known[work.series] if work.series else {}
        with threads(threads_to_use()):
            try:
                if effort.longest is not None:
                    refuse_slow(work, effort.longest, known, self.machine)
                timing = measure(
                    work.call,
                    effort,
                    self.machine,
                    reference=self.reference,
                    too_slow_by=too_slow_by,
                    patience=self.patience,
                )
            except TooSlow as error:
                known[work.items] = math.inf
                raise NotApplicableError(f"takes more than {effort.longest} s a call") from error
            known[work.items] = timing.median
            scores = timing_scores(work, timing, **conditions)
            if work.memory:
                scores.append(memory_score(work, self.machine.peak_memory(work.call), **conditions))
        return scores, timing
