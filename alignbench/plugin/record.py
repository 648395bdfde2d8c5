"""The `record` fixture, which computes a score and sends it to the controller in the test's report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from alignbench.datatypes import ALL
from alignbench.errors import UnwritableError
from alignbench.plugin.typed import item_command
from alignbench.session.runfolder import artifact_name, artifact_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    import pytest
    from numpy.typing import NDArray

    from alignbench.experiments.base import CellResult
    from alignbench.metrics import Metric
    from alignbench.session.bench import SessionBench
    from alignbench.session.runfolder import RunFolder
    from alignbench.types import Pair, Score


@dataclass(frozen=True)
class Recorder:
    """Records the scores of one test.

    Args:
        item: the test.
        folder: the run's folder, for artifacts.
        bench: computes the scores.
    """

    item: pytest.Item
    folder: RunFolder
    bench: SessionBench

    def __call__(
        self,
        metric: str | Metric,
        pair: Pair,
        *,
        data_type: str = ALL,
        artifact: str | None = None,
        **params: Any,
    ) -> Score:
        """Compute `metric` on `pair` with null and interval, and record it.

        Args:
            metric: a registered metric, or its name.
            pair: the embeddings of both sides.
            data_type: the data type whose samples are scored.
            artifact: the file of arrays that a figure of this score needs, as `self.artifact` returned it.
            params: further parameters that the score records.
        """
        return self.score(self.bench.score(metric, pair, data_type=data_type, **params), artifact=artifact)

    def score(self, score: Score, *, artifact: str | None = None) -> Score:
        """Record a score that was computed elsewhere, with the file of its figure's arrays, if any."""
        complete = replace(
            score.flagged(*self.bench.session.flags_of(score)),
            artifact=score.artifact if artifact is None else artifact,
            nodeid=self.item.nodeid,
            reproduce=self._command(score),
        )
        self.item.user_properties.append(("alignbench", complete.to_dict()))
        return complete

    def computed(self, computed: CellResult, labels: Iterable[str]) -> None:
        """Record the scores of a cell, and write the arrays that its figure needs.

        Args:
            computed: the scores and arrays.
            labels: the labels of the cell's models.
        """
        arrays = computed.arrays
        artifact = None if arrays is None else self.artifact(computed.kind, labels, arrays)
        for score in computed.scores:
            self.score(score, artifact=artifact)

    def artifact(
        self, kind: str, labels: Iterable[str], arrays: Mapping[str, NDArray[np.generic]]
    ) -> str | None:
        """Write arrays for a figure of these models into the run's folder and return the path inside it.

        If they can't be written, the run reports that at its end and the path is None, because a missing
        figure must not cost the test its scores.
        """
        name = artifact_name(kind, labels)
        try:
            return self.folder.write_artifact(name, arrays)
        except UnwritableError as error:
            self.item.user_properties.append(("alignbench-unwritten", (artifact_path(name), error.why)))
            return None

    def _command(self, score: Score) -> str:
        # The width of a shared basis depends on the run's other models.
        width = [f"--align-k={score.params['k']}"] if "align" in score.params else []
        return item_command(self.item, [*self.bench.session.options.given, *width])
