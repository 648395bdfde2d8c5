"""Times the works of the experiment `speed` outside of pytest, with the effort of a run of everything."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from alignbench.experiments.base import NotApplicableError
from alignbench.experiments.speed.machine import Machine, threads, threads_to_use
from alignbench.experiments.speed.rounds import BRIEF, USUAL, Patience, TooSlow, measure
from alignbench.experiments.speed.works import memory_score, not_timed, refuse_slow, timing_scores
from alignbench.weights.precision import resolve_device

if TYPE_CHECKING:
    from alignbench.experiments.speed.works import Work
    from alignbench.types import Score


class Clock:
    """Times works one after another.

    Args:
        device: as given by the user.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._known: defaultdict[str, dict[int, float]] = defaultdict(dict)

    @cached_property
    def machine(self) -> Machine:
        """The clocks and gauges."""
        return Machine(resolve_device(self._device), threads_to_use())

    def time(self, work: Work) -> list[Score]:
        """Return the scores of a work.

        Raises:
            NotApplicableError: a call takes too long for a run of everything.
        """
        if work.call is None:
            return [not_timed(work)]
        how: dict[str, Any] = {"device": self.machine.device, "threads": threads_to_use()}
        effort = BRIEF if work.brief else USUAL
        known = self._known[work.series] if work.series else {}
        with threads(threads_to_use()):
            try:
                if effort.longest is not None:
                    refuse_slow(work, effort.longest, known, self.machine)
                timing = measure(work.call, effort, self.machine, patience=Patience(1.0, a_timing=0.5))
            except TooSlow as error:
                known[work.items] = float("inf")
                raise NotApplicableError(f"takes more than {effort.longest} s a call") from error
            known[work.items] = timing.median
            scores = timing_scores(work, timing, **how)
            if work.memory:
                scores.append(memory_score(work, self.machine.peak_memory(work.call), **how))
        return scores
