"""What running experiments gives: scores, what figures need, and what the scores say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from alignbench.errors import ConfigError
from alignbench.findings import Findings
from alignbench.findings.files import ARTIFACTS, SCORES
from alignbench.paths import exists
from alignbench.plots import read_artifacts
from alignbench.plots.declared import figures_of
from alignbench.session.runfolder import RunFolder
from alignbench.session.samples import keep_samples
from alignbench.session.scoreview import ScoreView

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.datasets import Dataset
    from alignbench.plots import FigureInputs
    from alignbench.types import ModelInfo, Run, Score


@dataclass(frozen=True, repr=False)
class Result(ScoreView):
    """The scores of experiments, with all that is made of them.

    Args:
        experiments: their names.
        scores: in the order of a report.
        arrays: name of a file of arrays -> what a figure needs beside the scores.
        run: what the scores were made of.
        dataset: the samples; None where they are not at hand.
        skipped: what could not be computed, with the reason, where nothing is wrong with that.
        problems: what could not be read of the arrays for figures.

    Example:
        >>> session = Session(encoders=["mini-clip"], llms=["mini-llama"], n_samples=10, permutations=19)
        >>> result = session.run("cka")
        >>> sorted({score.metric for score in result.scores})[:2]
        ['calibrated_cka', 'cknna']
    """

    experiments: tuple[str, ...]
    scores: tuple[Score, ...]
    arrays: Mapping[str, Mapping[str, NDArray[np.generic]]]
    run: Run
    dataset: Dataset | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models that took part."""
        return self.run.models

    @cached_property
    def findings(self) -> Findings:
        """What the scores say: rankings, ties, the best encoder for each LLM."""
        return Findings.of(self.scores, self.run)

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures of these experiments."""
        return tuple(dict.fromkeys(name for one in self.experiments for name in figures_of(one)))

    @cached_property
    def inputs(self) -> FigureInputs:
        """What figures are drawn from, read as from the files of a run."""
        with TemporaryDirectory() as place:
            self._write_arrays(RunFolder(Path(place)))
            found = read_artifacts(Path(place) / ARTIFACTS, self.problems.append)
        return self.findings.figure_inputs(found)

    def save(self, folder: Path | str, *, figures: bool = True) -> Path:
        """Write what a pytest run leaves: scores.json, the figures, summary.md, report.html.

        Args:
            folder: where to; it is made where it is missing.
            figures: whether to draw them.

        Raises:
            ConfigError: the folder has a run already.
            UnwritableError: files are missing, which it names.
        """
        from alignbench.show import write_run

        path = Path(folder)
        if exists(path / SCORES):
            raise ConfigError(f"{path}: there is a run already; save to another folder")
        run_folder = RunFolder(path.absolute())
        self._write_arrays(run_folder)
        if self.dataset is not None and self.run.options.get("thumbnails", True):
            keep_samples(run_folder, self.dataset)
        run = {**self.findings.run, "id": run_folder.path.name}
        write_run(path, replace(self.findings, run=run), figures=figures)
        return path

    def _write_arrays(self, folder: RunFolder) -> None:
        for name, arrays in self.arrays.items():
            folder.write_artifact(name, arrays)
