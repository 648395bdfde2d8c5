"""The draws of a cell: computed in chunks, stored in one file per cell, and continued after interruptions."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from alignbench.columns import codes_of
from alignbench.experiments.e2e.retrieval import e2e_scores
from alignbench.experiments.repeats import Repeats
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.files import write_bytes
from alignbench.metrics import METRICS
from alignbench.metrics.retrieval import cosine_similarity, retrieval
from alignbench.stats import bootstrap_interval, wilson_interval
from alignbench.types import Null
from alignbench.workshop.measure._calibration_cases import CASES
from alignbench.workshop.measure.truth import mixing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alignbench.types import Interval, Pair, Score

E2E, RANKED = "e2e", "retrieval"
CHUNK = 100  # the number of draws after which the file is written
REPEATS = Repeats(splits=5, seeds=1, epochs=100)
_TRAINED = ("recall_at_1", "mrr")


class Draw(NamedTuple):
    """The result of one draw; None for a number that does not exist."""

    value: float | None
    p: float | None = None
    within_p: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class CalibrationCell:
    """One scenario, size and metric, or a source of several scores: "e2e" (which trains) or "retrieval".

    Args:
        case: a key of CASES.
        n: the number of groups.
        metric: one of METRICS, or "e2e", or "retrieval".
        draws: the number of independent draws.
        permutations: the permutations of each null; 0 if only intervals are needed.
    """

    case: str
    n: int
    metric: str
    draws: int = 2000
    permutations: int = 199

    @property
    def name(self) -> str:
        """The stem of its file."""
        return f"{self.case}-{self.n}-{self.metric}"

    def one(self, trial: int) -> dict[str, Draw]:
        """Return the result of each score of the cell in one draw; the trial is the seed of everything."""
        pair = CASES[self.case].draw(self.n, trial)
        if self.metric == RANKED:
            return ranked(pair, trial)
        if self.metric == E2E:
            repeats = replace(REPEATS, seed=trial, permutations=self.permutations)
            scores = e2e_scores(pair, "contrastive", repeats)
            return {
                f"{score.metric} {score.variant.split()[0]}": drawn(score)
                for score in scores
                if score.metric in _TRAINED
            }
        settings = Settings(seed=trial, permutations=self.permutations)
        return {
            self.metric: drawn(score_pair(METRICS.get(self.metric), pair, settings, experiment="calibration"))
        }


def drawn(score: Score) -> Draw:
    """Return the parts of a score that are calibrated."""
    null = score.null or Null("none")
    ends = (None, None) if score.interval is None else (score.interval.low, score.interval.high)
    return Draw(score.value, null.p, null.within_p, *ends)


def ranked(pair: Pair, seed: int) -> dict[str, Draw]:
    """Return recall@1 and MRR, image to text, of the true latent vectors, with intervals over groups.

    Nothing is trained: both sides are mapped back to their latent dimensions. These are the intervals for a
    single ranking (Wilson, bootstrap); a run uses those of repeated trainings.
    """
    latent = [np.asarray(e.values) @ mixing(side, e.dim).T for side, e in enumerate((pair.x, pair.y))]
    groups = codes_of(pair.groups)
    ranks = retrieval(cosine_similarity(*latent), groups[:, None] == groups[None, :])
    count = int(groups.max()) + 1
    hits = float((np.bincount(groups, ranks.hits[1]) / np.bincount(groups)).sum())
    return {
        "recall_at_1": _of(ranks.recall[1], wilson_interval(hits, count)),
        "mrr": _of(ranks.mrr, bootstrap_interval(ranks.reciprocal_ranks, groups, seed=seed)),
    }


def _of(value: float, interval: Interval) -> Draw:
    return Draw(value, low=interval.low, high=interval.high)


@dataclass(frozen=True, slots=True)
class ScoreDraws:
    """All draws so far of one score of a cell."""

    cell: CalibrationCell
    score: str
    drawn: Sequence[Draw]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return one field of all draws, with nan where it is missing."""
        return np.asarray([getattr(draw, name) for draw in self.drawn], dtype=np.float64)


def compute(cell: CalibrationCell, work: Path) -> None:
    """Compute the missing draws of a cell; a file with another number of permutations is replaced."""
    columns = _read(cell, work)
    done = _length(columns)
    for start in range(done, cell.draws, CHUNK):
        for trial in range(start, min(start + CHUNK, cell.draws)):
            for score, one in cell.one(trial).items():
                columns.setdefault(score, []).append(one)
        plain: dict[str, Any] = {**asdict(cell), "columns": columns}
        del plain["draws"]
        write_bytes(_file(cell, work), json.dumps(plain).encode())


def read(cells: Sequence[CalibrationCell], work: Path) -> Iterator[ScoreDraws]:
    """Yield the available columns, whether or not their cell is finished."""
    for cell in cells:
        for score, rows in _read(cell, work).items():
            yield ScoreDraws(cell, score, rows[: cell.draws])


def missing(cells: Sequence[CalibrationCell], work: Path) -> list[tuple[CalibrationCell, int]]:
    """Return the unfinished cells, with their number of draws."""
    counts = [(cell, _length(_read(cell, work))) for cell in cells]
    return [(cell, count) for cell, count in counts if count < cell.draws]


def _length(columns: dict[str, list[Draw]]) -> int:
    return min((len(rows) for rows in columns.values()), default=0)


def _file(cell: CalibrationCell, work: Path) -> Path:
    return work / f"{cell.name}.json"


def _read(cell: CalibrationCell, work: Path) -> dict[str, list[Draw]]:
    path = _file(cell, work)
    if not path.is_file():
        return {}
    plain = json.loads(path.read_text(encoding="utf-8"))
    if plain["permutations"] != cell.permutations:
        return {}
    return {score: [Draw(*row) for row in rows] for score, rows in plain["columns"].items()}
