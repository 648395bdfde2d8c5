"""`Findings`: everything that follows from the scores of a run, computed once and shared by all outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from alignbench.datatypes import ALL
from alignbench.errors import InputError, UnknownNameError
from alignbench.findings.answer import answer
from alignbench.findings.choice import is_cross_modal, losses_of
from alignbench.findings.control import against_control
from alignbench.findings.files import finite, published_files, read_run, sound
from alignbench.findings.flags import flags_of, meaning
from alignbench.findings.ranking import in_order, leading, rankings
from alignbench.findings.scorefile import score_file
from alignbench.findings.toys import toy_warnings
from alignbench.names import failures_of, labels_of, models_of, origin_of
from alignbench.plots.inputs import Artifacts, FigureInputs, pick
from alignbench.registry import unknown
from alignbench.stats import standings
from alignbench.stats.prediction import predicts
from alignbench.stats.variations import variations
from alignbench.stats.verdict import verdict
from alignbench.types import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from alignbench.findings.control import AgainstControl
    from alignbench.findings.ranking import Ranking
    from alignbench.stats import Standings
    from alignbench.stats.prediction import Prediction
    from alignbench.stats.variations import Variation
    from alignbench.types import Failure, ModelInfo, Score

_SEED = 42
_WITH_TIES = frozenset({"compare", "multi_llm"})
"""The experiments whose figures mark the best encoder and those that tie with it."""


@dataclass(frozen=True)
class Findings:
    """Everything that follows from the scores of a run; each part is computed when it is first needed.

    Args:
        scores: the run's scores by experiment, metric and model; every number is finite.
        run: the run's description as in scores.json; empty if it is unknown.
        name: the run's name in a comparison.
        published: the results of others on the same data, which are shown beside those of the run.
    """

    scores: tuple[Score, ...]
    run: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    published: tuple[Findings, ...] = ()

    @classmethod
    def of(
        cls,
        scores: Iterable[Score],
        run: Run | Mapping[str, Any] | None = None,
        name: str = "",
        published: Iterable[Findings] = (),
    ) -> Findings:
        """Return the findings of scores.

        Args:
            scores: the scores, in any order.
            run: the description of their run: its models, data, seed and failed tests.
            name: the run's name in a comparison.
            published: the results of others on the same data.
        """
        described = finite(run.to_dict()) if isinstance(run, Run) else run or {}
        ordered = tuple(in_order(map(sound, scores), models_of(described)))
        return cls(ordered, described, name, tuple(published))

    @classmethod
    def read(cls, place: Path | str, name: str | None = None) -> Findings:
        """Return the findings of a recorded run.

        Args:
            place: the run's folder, or its scores.json, or a file of scores alone.
            name: the run's name in a comparison; its place by default.

        Raises:
            DataError: there is no run, or it is damaged.
        """
        run, scores = read_run(place)
        others = [cls.read(path, path.stem) for path in published_files(place)]
        return cls.of(scores, run, str(place) if name is None else name, others)

    def ranking(self, llm: str | None = None, data_type: str | None = None) -> Ranking:
        """Return the encoders for one LLM, best first, with their ties and how certain the order is.

        Args:
            llm: the LLM's name in the run, or its label; it may be omitted if the run has one LLM.
            data_type: rank on this type alone; by default, on all data together.

        Raises:
            UnknownNameError: the run has no score of an encoder with this LLM, or none on this data type.
            InputError: there are several data types and no ranking on all data together; or no LLM is
                named, and the run does not have exactly one.
        """
        if llm is None:
            llm = self._only_llm()
        label = self.labels.get(llm, llm)
        of_llm = {r.data_type: r for r in self._every if self.labels[r.llm] == label}
        if not of_llm:
            raise UnknownNameError(unknown("LLM", llm, {self.labels[r.llm]: r for r in self._every}))
        wanted = (ALL if ALL in of_llm else next(iter(of_llm))) if data_type is None else data_type
        if data_type is None and ALL not in of_llm and len(of_llm) > 1:
            raise InputError(
                f"{llm}: there is no ranking on all data together; name a data type: {', '.join(of_llm)}"
            )
        if wanted not in of_llm:
            raise UnknownNameError(f"{llm}: {unknown('data type', wanted, of_llm)}")
        return of_llm[wanted]

    def best(self, llm: str | None = None, data_type: str | None = None) -> str | None:
        """Return the encoder that is better than all others by more than chance.

        This is None if several encoders may be the best (see `ties`), if none beats shuffled pairs, or if
        ties are unknown. See `ranking` for the arguments and errors.
        """
        return self.ranking(llm, data_type).winner

    def ties(self, llm: str | None = None, data_type: str | None = None) -> tuple[str, ...] | None:
        """Return the encoders that may be the best and can't be told apart, best score first.

        This is empty if one encoder is the best or none beats shuffled pairs, and None if ties are unknown,
        as with fewer than 20 groups. See `ranking` for the arguments and errors.
        """
        ranking = self.ranking(llm, data_type)
        if ranking.tie_groups is None:
            return None
        return ranking.answer if len(ranking.answer) > 1 else ()

    def answer(self, llm: str | None = None, data_type: str | None = None) -> str:
        """Return the answer for one LLM: the verdict, how certain it is, and what speaks against it.

        See `ranking` for the arguments and errors.
        """
        return " ".join(answer(self.ranking(llm, data_type), lambda name: self.labels.get(name, name)))

    @cached_property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models of the run."""
        return models_of(self.run)

    @cached_property
    def failures(self) -> tuple[Failure, ...]:
        """The failed tests of the run, whose scores are missing."""
        return failures_of(self.run)

    @cached_property
    def labels(self) -> dict[str, str]:
        """Name of a model -> the label that is shown."""
        return labels_of(self.run, self.scores)

    @cached_property
    def rankings(self) -> tuple[Ranking, ...]:
        """The rankings over all data, or by data type for an LLM that was not scored on all data."""
        return tuple(leading(self._every))

    @cached_property
    def verdicts(self) -> dict[str, str]:
        """`For LLM`, or `For LLM on TYPE` -> which encoder is the best, or which of them may be.

        A file of scores alone has them from the run itself, because it lacks what ties follow from.
        """
        if (known := self.run.get("answers")) is not None:
            return dict(known)
        return {
            f"For {self.labels[r.llm]}{'' if r.data_type == ALL else f' on {r.data_type}'}": verdict(
                r, self.labels.__getitem__
            )
            for r in self.rankings
            if r.metric is not None
        }

    @cached_property
    def rankings_by_type(self) -> tuple[Ranking, ...]:
        """The rankings for each LLM on each data type by itself."""
        return tuple(ranking for ranking in self._every if ranking.data_type != ALL)

    @cached_property
    def details_by_type(self) -> tuple[Ranking, ...]:
        """The `rankings_by_type` of the LLMs that also have a ranking over all data."""
        answers = {id(ranking) for ranking in self.rankings}
        return tuple(ranking for ranking in self.rankings_by_type if id(ranking) not in answers)

    @cached_property
    def prediction(self) -> Prediction | None:
        """Which score predicts retrieval; None if no retrieval was recorded."""
        return predicts(self.scores, self.models, seed=int(self.run.get("seed", _SEED)))

    @cached_property
    def controls(self) -> tuple[AgainstControl, ...]:
        """Every trained encoder compared with the untrained one, in every outcome of a training."""
        return tuple(against_control(self.scores))

    @cached_property
    def variations(self) -> tuple[Variation, ...]:
        """The order of the encoders under other choices; empty if the run has no such scores."""
        return tuple(variations(self.scores))

    @cached_property
    def toy_warnings(self) -> tuple[str, ...]:
        """A sentence for each way in which scores of real models rest on toys."""
        return tuple(toy_warnings(self.models, origin_of(self.run), self.scores))

    @cached_property
    def flags(self) -> dict[str, str]:
        """Each flag of the run's scores -> its meaning."""
        return {flag: meaning(flag, self.scores) for score in self.scores for flag in flags_of(score)}

    def score_file(self, *, parts: bool = False) -> str:
        """Return a small file of the scores alone, one a line, to be committed or shared.

        Args:
            parts: also write the values without each block, or in each split, from which ties follow.
        """
        return score_file(self.run, self.scores, self.models, self.verdicts, parts=parts)

    def figure_inputs(self, artifacts: Artifacts | None = None) -> FigureInputs:
        """Return the inputs of the figures: the scores, their findings, and the run's arrays."""
        arrays = artifacts or Artifacts()
        tables: dict[tuple[str, str, str, str], dict[str, Score]] = {}
        with_ties = [s for s in self.scores if s.experiment in _WITH_TIES and is_cross_modal(s)]
        for metric in dict.fromkeys(score.metric for score in with_ties):
            for score in pick(with_ties, metric):
                table = (score.experiment, metric, str(score.llm), score.data_type)
                tables.setdefault(table, {})[str(score.encoder)] = score
        return FigureInputs(
            self.scores,
            self.models,
            arrays.coral,
            arrays.similarity,
            arrays.others,
            self.failures,
            standings={table: self._standings(scores) for table, scores in tables.items()},
            prediction=self.prediction,
            variations=self.variations,
        )

    def __repr__(self) -> str:
        """Return a short description; the scores themselves would fill pages."""
        return f"<findings of {len(self.scores)} scores, with rankings for {self._llms or 'no LLM'}>"

    @property
    def _llms(self) -> str:
        return ", ".join(dict.fromkeys(self.labels[ranking.llm] for ranking in self._every))

    def _only_llm(self) -> str:
        names = {self.labels[ranking.llm]: ranking.llm for ranking in self._every}
        if not names:
            raise InputError("llm: the run has no score of an encoder with an LLM")
        if len(names) > 1:
            raise InputError(f"llm: name one of the run's LLMs: {self._llms}")
        return next(iter(names.values()))

    @cached_property
    def _every(self) -> list[Ranking]:
        return rankings(self.scores, losses_of(self.run), self.failures, self._standings)

    @cached_property
    def _judged(self) -> dict[frozenset[tuple[str, int]], Standings]:
        return {}

    def _standings(self, scores: Mapping[str, Score]) -> Standings:
        """Return the standings of a table of scores; each table is judged only once."""
        key = frozenset((encoder, id(score)) for encoder, score in scores.items())
        if key not in self._judged:
            self._judged[key] = standings(scores)
        return self._judged[key]
