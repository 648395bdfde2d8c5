"""The `record` fixture: computes a score and hands it to the controller with the test's report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from alignbench.datatypes import ALL
from alignbench.errors import UnwritableError
from alignbench.experiments.scoring import Settings, needs_basis, score_pair
from alignbench.experiments.trained import Repeats
from alignbench.findings.files import ARTIFACTS
from alignbench.metrics import METRICS
from alignbench.plugin.typed import item_command
from alignbench.session.runfolder import file_stem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import pytest
    from numpy.typing import NDArray

    from alignbench.metrics import Metric
    from alignbench.session.options import Options
    from alignbench.session.runfolder import RunFolder
    from alignbench.types import Pair, Score


@dataclass(frozen=True)
class Recorder:
    """Records the scores of one test.

    Args:
        item: the test.
        folder: where artifacts go.
        experiment: what the scores are filed under: the test's marker.
        options: what the user asked for.
        dims: gives the widths of all models that the collected tests use; it may have to embed them.
        flags_of: gives the flags that a score has because of the data that it is of.
    """

    item: pytest.Item
    folder: RunFolder
    experiment: str
    options: Options
    dims: Callable[[], tuple[int, ...]]
    flags_of: Callable[[Score], tuple[str, ...]] = lambda score: ()

    @cached_property
    def settings(self) -> Settings:
        """How the run scores, but for what a basis depends on."""
        options = self.options
        return Settings(options.seed, options.permutations, options.basis, options.k)

    @cached_property
    def basis_settings(self) -> Settings:
        """The same for scores in a shared basis: as wide as the narrowest model of the run allows."""
        return self.settings if self.options.k else replace(self.settings, dims=self.dims())

    @cached_property
    def repeats(self) -> Repeats:
        """How often trained scores are trained."""
        from alignbench.weights.precision import resolve_device

        options = self.options
        draws = 999 if options.permutations is None else options.permutations
        device = resolve_device(options.device)
        return Repeats(
            options.seed,
            options.splits,
            options.seeds,
            options.epochs,
            draws,
            device,
            options.solved_splits,
        )

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
            data_type: score the samples of this type only.
            artifact: the file with what a figure of this score needs, from `self.artifact`.
            params: what else the score should say of how it came about.
        """
        known = METRICS.get(metric) if isinstance(metric, str) else metric
        settings = self.basis_settings if needs_basis(known) else self.settings
        score = score_pair(known, pair, settings, experiment=self.experiment, data_type=data_type, **params)
        return self.score(replace(score, artifact=artifact))

    def score(self, score: Score, *, artifact: str | None = None) -> Score:
        """Record a score that was computed elsewhere, with the file of its figure's arrays if it has one."""
        complete = replace(
            score,
            artifact=score.artifact if artifact is None else artifact,
            flags=tuple(dict.fromkeys((*score.flags, *self.flags_of(score)))),
            nodeid=self.item.nodeid,
            reproduce=self._command(score),
        )
        self.item.user_properties.append(("alignbench", complete.to_dict()))
        return complete

    def artifact(self, kind: str, pair: Pair, arrays: Mapping[str, NDArray[np.generic]]) -> str | None:
        """Write arrays for a figure of `pair` into the run folder and return the file's path in it.

        Where it can't be written, the run says so at its end, and the path is None: a figure that is missing
        must not cost the test its scores.
        """
        return self.arrays(kind, (pair.x.model.label, pair.y.model.label), arrays)

    def arrays(
        self, kind: str, labels: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]
    ) -> str | None:
        """Do the same for models that need no pair of embeddings."""
        models = "~".join(dict.fromkeys(labels))  # no alias has a tilde
        name = f"{kind}-{models}"
        try:
            return self.folder.write_artifact(name, arrays)
        except UnwritableError as error:
            lost = f"{ARTIFACTS}/{file_stem(name)}.npz"
            self.item.user_properties.append(("alignbench-unwritten", (lost, error.why)))
            return None

    def _command(self, score: Score) -> str:
        # The width of a shared basis depends on the run's other models.
        width = [f"--align-k={score.params['k']}"] if "align" in score.params else []
        return item_command(self.item, [*self.options.given, *width])
