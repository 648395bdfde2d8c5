"""Times the works of the experiment `speed`, one after another, in a run of pytest and outside of it."""

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
        device: as given by the user.
        effort: for each timing; None for that of a run of everything.
        patience: how long to wait for a quiet machine.
        comparable: whether work that never changes is timed beside each timing, for later comparisons.
    """

    device: str
    effort: Effort | None = None
    patience: Patience = field(default_factory=lambda: Patience(10.0, per_timing=1.0))
    comparable: bool = False
    # Series of works -> items -> seconds, as far as they were timed; infinite where too slow to be.
    _known: defaultdict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    @cached_property
    def machine(self) -> Machine:
        """The clocks and gauges."""
        return Machine(resolve_device(self.device), threads_to_use())

    @cached_property
    def reference(self) -> Reference | None:
        """Tells the machine's own speed; None where that of one thread on a CPU says little."""
        return Reference(self.machine) if self.comparable and self.machine.alone else None

    def time(
        self, work: Work, too_slow_by: Callable[[Timing], float] | None = None
    ) -> tuple[list[Score], Timing | None]:
        """Return the scores of a work and its timing, which is None where there is nothing to time.

        Args:
            work: what is timed.
            too_slow_by: how much slower than expected a timing is; 0 or less where it is not.

        Raises:
            NotApplicableError: a call takes too long for a run of everything.
        """
        if work.call is None:
            return [not_timed(work)], None
        how: dict[str, Any] = {"device": self.machine.device, "threads": threads_to_use()}
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
            scores = timing_scores(work, timing, **how)
            if work.memory:
                scores.append(memory_score(work, self.machine.peak_memory(work.call), **how))
        return scores, timing
