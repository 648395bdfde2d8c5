"""What figures are drawn from: scores, models, and the arrays that experiments saved with them."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datatypes import ALL
from alignbench.errors import InputError
from alignbench.files import read_regular
from alignbench.names import labels_of
from alignbench.plots.style import Look, looks
from alignbench.stats import Standings
from alignbench.text import clean, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alignbench.stats.prediction import Prediction
    from alignbench.stats.variations import Variation
    from alignbench.types import Failure, ModelInfo, Score

    Arrays = Mapping[str, NDArray[Any]]
    """The arrays that an experiment saved in one file, by name."""

LABEL_WIDTH = 36
TITLE_WIDTH = 26


@dataclass(frozen=True, slots=True)
class CoralArrays:
    """What CORAL compared for one pair of models.

    Args:
        name_x, name_y: the labels of the models.
        mode: "cross-modal", "vision-vision" or "text-text".
        cov_x, cov_y: [k, k], the covariances in the shared basis with unit trace; None without a basis.
        eig_x, eig_y: [d], each side's normalised spectrum in its own space, largest first.
    """

    name_x: str
    name_y: str
    mode: str
    eig_x: NDArray[np.float64]
    eig_y: NDArray[np.float64]
    cov_x: NDArray[np.float64] | None = None
    cov_y: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class SimilarityArrays:
    """The cosines [n, n] among one model's embeddings; rows are sorted by `labels`."""

    name: str
    cosine: NDArray[np.float64]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class FigureInputs:
    """What figures are drawn from; a figure function uses what it needs and returns None if that is missing.

    Args:
        scores: the scores of the run.
        models: the models of the run.
        coral, similarity: the arrays of CORAL and of the cosines among samples.
        artifacts: kind -> the arrays of each file of this kind, for all other arrays; the kind is the part of
            the file's name before the first hyphen.
        failures: the tests that failed, so that scores are missing.
        standings: (experiment, metric, LLM, data type) -> the ranking of the encoders with its ties, for the
            experiments whose figures mark the best encoder and those that tie with it.
        prediction: which score predicts retrieval.
        variations: the rankings of the encoders under other choices.
    """

    scores: Sequence[Score] = ()
    models: Sequence[ModelInfo] = ()
    coral: Sequence[CoralArrays] = ()
    similarity: Sequence[SimilarityArrays] = ()
    artifacts: Mapping[str, Sequence[Arrays]] = field(default_factory=dict)
    failures: Sequence[Failure] = ()
    standings: Mapping[tuple[str, str, str, str], Standings] = field(default_factory=dict)
    prediction: Prediction | None = None
    variations: Sequence[Variation] = ()
    _looks: dict[str, Look] = field(init=False)
    _labels: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        labels = labels_of({"models": self.models}, self.scores)
        names = [
            *labels,
            *(n for c in self.coral for n in (c.name_x, c.name_y)),
            *(s.name for s in self.similarity),
        ]
        object.__setattr__(self, "_labels", labels)
        object.__setattr__(self, "_looks", looks(self.models, names))

    def look(self, name: str) -> Look:
        """Return the colour, marker and dashes of the model."""
        return self._looks[name]

    def colour(self, score: Score) -> str:
        """Return the colour of the score's encoder or, without an encoder, of its first model."""
        first = score.encoder if score.encoder is not None else (score.other or score.llm)
        return self._looks[str(first)].colour

    def label(self, name: str, width: int = LABEL_WIDTH) -> str:
        """Return the model's label, cut to a width that fits into a figure."""
        return fit(clean(self._labels.get(name, name)), width)

    def title(self, name: str, width: int = TITLE_WIDTH) -> str:
        """Return the model's label for a narrow panel: on two lines if it is long and ends in brackets."""
        label = self.label(name)
        return label if len(label) <= width else "\n(".join(fit(part, width) for part in label.split(" (", 1))

    def place(self, name: str) -> tuple[int, str]:
        """Return the model's place in the run's selection, as a key to sort by."""
        names = list(self._looks)
        return (names.index(name) if name in self._looks else len(names), name)

    def ordered(self, names: Iterable[str]) -> list[str]:
        """Return the models without repetition, in the order of the run's selection."""
        return sorted(set(names), key=self.place)

    def arrays_of(self, kind: str) -> list[Arrays]:
        """Return the arrays of one kind, sorted by their LLM and then by their encoder."""
        return sorted(
            self.artifacts.get(kind, ()),
            key=lambda a: [self.place(str(a[side])) for side in ("llm", "encoder") if side in a],
        )

    def standing(self, scores: Mapping[str, Score]) -> Standings:
        """Return the ranking of encoder -> score with its ties; all scores are of one table of the run."""
        tables = {(s.experiment, s.metric, str(s.llm), s.data_type) for s in scores.values()}
        return next((self.standings[table] for table in tables), Standings(()))

    def of(self, experiment: str) -> list[Score]:
        """Return an experiment's scores over all data or, if there are none, those of the first data type."""
        scores = [score for score in self.scores if score.experiment == experiment]
        types = dict.fromkeys(score.data_type for score in scores)
        wanted = ALL if ALL in types else next(iter(types), None)
        return [score for score in scores if score.data_type == wanted]


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The arrays in a run's folder; see `FigureInputs`."""

    coral: list[CoralArrays] = field(default_factory=list)
    similarity: list[SimilarityArrays] = field(default_factory=list)
    others: dict[str, list[Arrays]] = field(default_factory=dict)


def read_artifacts(folder: Path, complain: Callable[[str], None]) -> Artifacts:
    """Return the plot inputs among the .npz files of a folder, in the order of their names.

    Args:
        folder: the folder; if it is missing, there are no plot inputs.
        complain: called with a message for each file that can't be used.
    """
    artifacts = Artifacts()
    for path in sorted(folder.glob("*.npz")):
        try:
            with np.load(io.BytesIO(read_regular(path)), allow_pickle=False) as file:
                if "eig_x" in file:
                    artifacts.coral.append(_coral(file))
                elif "cosine" in file:
                    artifacts.similarity.append(_similarity(file))
                else:
                    arrays = {name: file[name] for name in file.files}
                    artifacts.others.setdefault(path.stem.partition("-")[0], []).append(arrays)
        except Exception as error:  # the parsers of archives and headers may raise anything
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            complain(
                f"{path.name}: expected plot inputs as .npz of plain arrays, could not read them ({reason})"
            )
    return artifacts


def _coral(file: Mapping[str, NDArray[Any]]) -> CoralArrays:
    arrays = {
        name: _finite(file[name], name) for name in ("eig_x", "eig_y", "cov_x", "cov_y") if name in file
    }
    return CoralArrays(str(file["name_x"]), str(file["name_y"]), str(file["mode"]), **arrays)


def _similarity(file: Mapping[str, NDArray[Any]]) -> SimilarityArrays:
    cosine = _finite(file["cosine"], "cosine")
    labels = tuple(map(str, file["labels"]))
    if cosine.shape != (len(labels), len(labels)):
        raise InputError(f"cosine of shape {cosine.shape} for {len(labels)} labels")
    return SimilarityArrays(str(file["name"]), cosine, labels)


def _finite(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise InputError(f"{name} is empty or not finite")
    return array


def pick(scores: Sequence[Score], metric: str) -> list[Score]:
    """Return a metric's scores, one per pair of models and variant.

    Of two scores for the same pair and variant, the one that is not flagged `fidelity` is returned.
    """
    picked: dict[tuple[str, ...], Score] = {}
    for score in scores:
        if score.metric != metric:
            continue
        other = picked.get(score.key)
        if other is None or ("fidelity" in other.flags and "fidelity" not in score.flags):
            picked[score.key] = score
    return list(picked.values())


def pick_each(scores: Sequence[Score], metrics: Iterable[str]) -> dict[str, list[Score]]:
    """Return metric -> its scores as `pick` returns them, for those metrics that have any."""
    picked = {metric: pick(scores, metric) for metric in metrics}
    return {metric: of_metric for metric, of_metric in picked.items() if of_metric}


def mode_of(score: Score) -> str:
    """Return which kinds of models the score compares, such as "cross-modal"; "" if it compares none."""
    if score.encoder is not None and score.llm is not None:
        return "cross-modal"
    if score.other is None:
        return ""
    return "vision-vision" if score.encoder is not None else "text-text"


def models_of_pair(score: Score) -> tuple[str, str]:
    """Return the two models that the score compares, encoder first."""
    first, *rest = (str(name) for name in (score.encoder, score.other, score.llm) if name is not None)
    return (first, rest[0]) if rest else (first, first)
