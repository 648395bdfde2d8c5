"""The `part` fixture, which computes one cell of a part of an experiment and records its scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from alignbench.experiments.base import NotApplicableError, labels_of

if TYPE_CHECKING:
    from alignbench.experiments.base import Part
    from alignbench.experiments.speed.works import Work
    from alignbench.plugin.record import Recorder


@dataclass(frozen=True)
class Cell:
    """One cell of a part.

    Args:
        part: the part that the test belongs to.
        record: adds scores to the report.
    """

    part: Part
    record: Recorder

    def __call__(self, *cell: object, **values: object) -> None:
        """Compute the cell and record its scores; skip the test if the cell does not apply."""
        try:
            computed = self.part.computed(self.record.bench, *cell, **values)
        except NotApplicableError as reason:
            pytest.skip(str(reason))
        self.record.computed(computed, labels_of(*cell))

    def work(self, *cell: object, **values: object) -> Work:
        """Return the work of a timed part."""
        return self.part.work(*cell, **values)
