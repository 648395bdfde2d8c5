"""The validity study as tests: its encoders, its cells, and the folder that keeps them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.clone import workshop
from alignbench.errors import ConfigError, DataError
from alignbench.experiments import defaults_of
from alignbench.experiments.validity.result import write_result
from alignbench.experiments.validity.study import LLMS, Study, checkpoints, member_of, members
from alignbench.experiments.validity.study_cells import CellSettings
from alignbench.files import try_writing
from alignbench.paths import cache_home
from alignbench.zoo.lineages import CARD, LINEAGES, SHIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.experiments.validity.links import Validity
    from alignbench.experiments.validity.study import Cell, Member
    from alignbench.session.options import Options

FOLDER_ENDS = re.compile(r"[^/\\]+$")
LINEAGE_NAMES = frozenset(checkpoints())


@dataclass
class StudyRun:
    """The study of a run.

    Args:
        study: the cells.
        names: the names of its encoders.
        lineages: the folder of their checkpoints, which are trained if they are missing.
    """

    study: Study
    names: Sequence[str]
    lineages: Path

    @classmethod
    def of(cls, options: Options) -> StudyRun:
        """Return the study for the options of a run, without computing anything."""
        from alignbench.embed import EmbeddingStore

        folder = options.study_dir or cache_home() / "study"
        vlm_epochs = options.with_defaults(defaults_of("vlm")).epochs
        settings = CellSettings(
            seed=options.seed, splits=options.splits, epochs=options.epochs, vlm_epochs=vlm_epochs
        )
        study = Study(folder, [], EmbeddingStore(folder / "embeddings"), settings=settings)
        study.llms = options.llms if options.is_given("llms") else LLMS
        if options.is_given("n_samples"):
            if options.n_samples == "all":
                raise ConfigError(
                    "--n-samples all: the study draws its data, which has no end; give a number"
                )
            study.n_per_type = options.n_samples
        return cls(study, study_encoders(options), folder / "lineages")

    def cells(self, name: str) -> list[Cell]:
        """Return all cells of an encoder; train the encoder and compute the cells if they are missing.

        Raises:
            UnwritableError: the study's folder can't be written, which is checked before hours of work.
        """
        try_writing(self.study.folder)
        self.study.members = [self._member(name)]
        return list(self.study.run())

    def write(self) -> list[Validity]:
        """Write the tables and figures of all cells; return the tables, the primary one first.

        Raises:
            DataError: some cells have not been computed.
        """
        self.study.members = [self._member(name) for name in self.names]
        if missing := self.study.missing():
            raise DataError(f"{len(missing)} cells are missing, the first {missing[0]}: run all of -m study")
        return write_result(self.study.folder / "result", list(self.study.run()))

    def _member(self, spec: str) -> Member:
        if spec not in LINEAGE_NAMES:
            return member_of(spec)
        self._train(spec)
        (member,) = members(self.lineages, [spec])
        return member

    def _train(self, name: str) -> None:
        for lineage in LINEAGES.values():
            if name in lineage.checkpoints.values() and not (self.lineages / name / CARD).is_file():
                trainings = workshop("zoo.lineage_training", f"{name}: its training, for -m study,")
                trainings.make_lineages([lineage], self.lineages, cache_home() / "zoo", lambda line: None)


def study_encoders(options: Options) -> tuple[str, ...]:
    """Return the names of the study's encoders: those of `--encoders`, by default all of them."""
    return options.encoders if options.is_given("encoders") else (*SHIPPED, *checkpoints())


def name_in(spec: str) -> str:
    """Return the name of an encoder in test ids: its alias, or the last part of its path."""
    alias, equals, rest = spec.partition("=")
    if equals and not {"/", "\\", ":"} & set(alias):
        return alias
    match = FOLDER_ENDS.search(rest or alias)
    return match[0] if match else spec


def asked_for(marker: str, expression: str, keyword: str, arguments: Sequence[str]) -> bool:
    """Whether a marker, a keyword, a file's name or a test's name of a run asks for a long experiment.

    Folders in a path don't count, so that a clone in `~/study` does not ask for the study.
    """
    places = [match[0] for argument in arguments if (match := FOLDER_ENDS.search(argument))]
    return marker in " ".join([expression, keyword, *places])
