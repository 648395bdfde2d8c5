"""The result of running experiments: scores, findings and figures."""

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
from alignbench.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.datasets import Dataset
    from alignbench.plots import FigureInputs
    from alignbench.types import ModelInfo, Run, Score


@dataclass(frozen=True, repr=False)
class Result(ScoreView):
    """The scores of experiments, with their findings and figures.

    Args:
        experiments: the names of the experiments.
        scores: the scores in the order of a report.
        arrays: name of a file of arrays -> the arrays that a figure needs beside the scores.
        run: the conditions of the run.
        dataset: the samples; None if they are not available.
        skipped: cell -> why it has no scores, for cells that are skipped although nothing is wrong.
        problems: messages about arrays that could not be read for figures.

    Examples:
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
        """The rankings, the ties and the best encoder for each LLM."""
        return Findings.of(self.scores, self.run)

    def table(self, width: int = 80) -> str:
        """Return the ranking as the terminal shows it, with the warnings of the run at its end."""
        from alignbench.show.text import wrap

        warnings = [line for sentence in self.run.warnings for line in wrap(clean(sentence), width, "  ")]
        return "\n".join(filter(None, (super().table(width), *warnings)))

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures of these experiments."""
        return tuple(dict.fromkeys(name for run in self.experiments for name in figures_of(run)))

    @cached_property
    def inputs(self) -> FigureInputs:
        """What figures are drawn from, written to files and read back as in a pytest run."""
        with TemporaryDirectory() as place:
            self._write_arrays(RunFolder(Path(place)))
            artifacts = read_artifacts(Path(place) / ARTIFACTS, self.problems.append)
        return self.findings.figure_inputs(artifacts)

    def save(self, folder: Path | str, *, figures: bool = True) -> Path:
        """Write the same files as a pytest run: scores.json, the figures, summary.md and report.html.

        Args:
            folder: the folder to write to; it is created if it does not exist.
            figures: whether to draw the figures.

        Raises:
            ConfigError: the folder contains a run already.
            UnwritableError: some files could not be written; the error names them.
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
