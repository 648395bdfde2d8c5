"""`score_arrays`: the suite's scores of embeddings that are at hand, without pytest and without a file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from alignbench.columns import names_of
from alignbench.datasets.arrays import rows_dataset
from alignbench.datasets.copies import REPEATED, ROWS, copies_of, groups_of_rows
from alignbench.datatypes import check_free
from alignbench.errors import AlignbenchWarning, DataError, InputError
from alignbench.experiments.dead import flag_dead
from alignbench.experiments.scoring import Settings, missing_score, score_pair
from alignbench.findings import Findings
from alignbench.metrics import METRICS, Metric
from alignbench.metrics.basis import ALIGN, check_width
from alignbench.metrics.checks import as_matrix, check_range
from alignbench.paths import user_path
from alignbench.registry import unknown
from alignbench.rows import unit_rows
from alignbench.session.scoreview import ScoreView
from alignbench.types import Embeddings, ModelInfo, Pair, jsonable
from alignbench.weights.arrays import ArrayFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from alignbench.types import Score

    Array = ArrayLike | str | Path
    Vectors = NDArray[np.float64]
    Side = Literal["vision", "text"]

EXPERIMENT = "arrays"


@dataclass(frozen=True, repr=False)
class ArrayScores(ScoreView):
    """The scores of arrays. Printed, they are the ranking of the vision arrays for each text array.

    Args:
        scores: metric by metric; of each, every vision array with every text array.
        models: what the scores say of the arrays.
    """

    scores: tuple[Score, ...]
    models: tuple[ModelInfo, ...]

    @cached_property
    def findings(self) -> Findings:
        """What the scores say: rankings, ties, the best vision array for each text array."""
        return Findings.of(self.scores, {"models": [asdict(model) for model in self.models]})

    def to_dict(self) -> dict[str, Any]:
        """Return models, scores and ranking as plain JSON types."""
        return {
            "models": [jsonable(asdict(model)) for model in self.models],
            "scores": [score.to_dict() for score in self.scores],
            "ranking": [ranking.to_dict() for ranking in self.ranking],
        }


def score_arrays(
    vision: Array | Mapping[str, Array],
    text: Array | Mapping[str, Array],
    labels: ArrayLike | None = None,
    groups: ArrayLike | Literal["rows"] | None = None,
    *,
    metrics: str | Metric | Iterable[str | Metric] | None = None,
    l2: bool = False,
    seed: int = 42,
    permutations: int | None = None,
    basis: str = "procrustes",
    k: int | None = None,
) -> ArrayScores:
    """Return how well vision embeddings fit text embeddings: each score with null, interval and flags.

    Args:
        vision: an array [n, d] (numpy, torch, lists), the path of a .npy file, or several of them by name.
        text: the same; row i of all arrays is the same sample.
        labels: the class of each row [n]: for composites, for scores of class structure, and for the null of
            pairs that are shuffled inside each class only.
        groups: the unit of permutations and intervals [n]: rows of one image, or of one text, are one group.
            Each row is its own by default; "rows": equal rows are one group, in whichever array they are.
            Where each is its own and rows are equal, a warning says so, and all scores are flagged
            `repeated_rows`.
        metrics: which, by name; by default all that apply: of pairs, of the vision side alone, composites
            (without labels `eas` only, flagged `no_labels`) and, where there are labels, those that need
            them.
        l2: whether rows are brought to unit length first, as a run does by default. Here they are taken as
            they are.
        seed: of everything that is drawn.
        permutations: of a null; None leaves it to the metric.
        basis: how CORAL's two sides come to one basis: procrustes, pca or none.
        k: the width of that basis; None takes as much as rows and widths allow.

    Returns:
        The scores; those whose value does not exist have the status "not_applicable" and say why. So have
        those of a metric that fails, or that needs more memory than there is: the others are computed.

    Raises:
        InputError: an array is no finite matrix, rows don't match, a metric needs labels, or a setting can't
            be.
        UnknownNameError: a metric that nobody registered.

    Example:
        >>> import numpy as np
        >>> images, texts = np.random.default_rng(0).standard_normal((2, 50, 8))
        >>> result = score_arrays(images, texts, metrics="linear_cka")
        >>> result.scores[0].n
        50
    """
    if basis not in ALIGN:
        raise InputError(unknown("basis", basis, dict.fromkeys(ALIGN)))
    chosen = _metrics(metrics, labelled=labels is not None)
    sides = [*_side(vision, "vision", l2=l2), *_side(text, "text", l2=l2)]
    n = _common_rows(sides)
    arrays = {f"{info.side} {info.name!r}": values for info, values in sides}
    by_rows = isinstance(groups, str) and groups == ROWS
    units = groups_of_rows(arrays) if by_rows else _column(groups, n, "groups")
    rows = rows_dataset(n, "score_arrays", labels=_labels(labels, n), groups=units)
    copies = copies_of(
        arrays.items(), rows.groups, f"Give groups=, one a row; groups={ROWS!r} makes equal rows one group."
    )
    for sentence in copies:
        warnings.warn(sentence, AlignbenchWarning, stacklevel=2)
    ids = tuple(sample.id for sample in rows.samples)
    embedded = [_embeddings(info, values, ids) for info, values in sides]
    xs, ys = ([e for e in embedded if e.model.side == side] for side in ("vision", "text"))
    # The basis of a run is as wide as its narrowest model allows, so that its scores compare.
    dims = () if k is not None else tuple(e.dim for e in embedded)
    settings = Settings(seed, permutations, basis, k, dims)
    pair = partial(
        Pair,
        labels=rows.labels,
        groups=rows.groups,
        dataset=rows.label,
    )
    _check_settings(settings, [pair(x, y) for x in xs for y in ys])
    scores = [
        _score(metric, pair(x, y), settings).flagged(*([REPEATED] if copies else []))
        for metric in chosen
        for x in xs
        for y in (ys if metric.two_sided else [x])
    ]
    return ArrayScores(tuple(flag_dead(scores)), tuple(info for info, _ in sides))


def _check_settings(settings: Settings, pairs: Iterable[Pair]) -> None:
    """Refuse once, and before anything is computed, what no metric could make good."""
    draws = settings.permutations
    if draws is not None and (not isinstance(draws, int | np.integer) or draws < 0):
        raise InputError(f"permutations: expected a whole number from 0 on, or None, got {draws!r}")
    for pair in pairs:
        if settings.k is not None and settings.basis != "none":
            check_width(settings.k, (pair.x.dim, pair.y.dim))


def _score(metric: Metric, pair: Pair, settings: Settings) -> Score:
    """Return the score; where the metric fails, whatever its error, one that says so: others go on."""
    try:
        return score_pair(metric, pair, settings, experiment=EXPERIMENT)
    except Exception as error:
        reason = f"{metric.name}: it failed: {type(error).__name__}: {' '.join(str(error).split())}"
        warnings.warn(f"{reason} ({pair.name})", AlignbenchWarning, stacklevel=3)
        return missing_score(metric, pair, settings, reason, experiment=EXPERIMENT)


def _metrics(asked: str | Metric | Iterable[str | Metric] | None, *, labelled: bool) -> list[Metric]:
    if asked is None:
        known = map(METRICS.get, METRICS)
        return [m for m in known if m.kind != "trained" and (labelled or not m.needs_labels)]
    metrics = [METRICS.get(metric) for metric in ([asked] if isinstance(asked, str | Metric) else asked)]
    if not metrics:
        raise InputError("metrics: expected at least one, or None for all that apply")
    if lacking := [metric.name for metric in metrics if metric.needs_labels and not labelled]:
        raise InputError(f"{lacking[0]}: it needs labels, one a row; give labels=, or leave it out")
    return metrics


def _side(given: Array | Mapping[str, Array], side: Side, *, l2: bool) -> list[tuple[ModelInfo, Vectors]]:
    """Return each array of a side, checked, with what scores say of it."""
    named = given if isinstance(given, Mapping) else {_name_of(given, side): given}
    if not named:
        raise InputError(f"{side}: expected an array, or several by name; got an empty mapping")
    return [_array(str(name), array, side, l2=l2) for name, array in named.items()]


def _name_of(given: Array, side: Side) -> str:
    return Path(given).stem if isinstance(given, str | Path) else side


def _array(name: str, given: Array, side: Side, *, l2: bool) -> tuple[ModelInfo, Vectors]:
    source, revision = "an array", None
    if isinstance(given, str | Path):
        file = ArrayFile(user_path(given, f"{side} {name!r}"), name)
        source, revision, given = file.source, file.revision, file.values()
    values = as_matrix(given, f"{side} {name!r}")
    check_range(values, f"{side} {name!r}")
    if l2:
        norms = np.linalg.norm(values, axis=1)
        if not norms.all():
            row = int(np.argmin(norms))
            raise InputError(f"{side} {name!r}: row {row} is zero; it has no direction; give l2=False")
        values = unit_rows(values)
    return ModelInfo(name, side, "other", source, "arrays", revision, params={"l2": l2}), values


def _common_rows(sides: Sequence[tuple[ModelInfo, Vectors]]) -> int:
    names = [info.name for info, _ in sides]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two arrays are called {twice[0]!r}; name them apart: vision={{'a': ...}}")
    (first, values), *others = sides
    for info, other in others:
        if len(other) != len(values):
            raise InputError(
                f"{first.side} {first.name!r} has {len(values)} rows and {info.side} {info.name!r} has "
                f"{len(other)}; row i of all arrays is one sample: they need the same number of rows"
            )
    return len(values)


def _labels(given: ArrayLike | None, n: int) -> tuple[str, ...] | None:
    labels = _column(given, n, "labels")
    try:
        for label in dict.fromkeys(labels or ()):
            check_free(label)
    except DataError as error:
        raise InputError(f"labels: {error}") from error
    return labels


def _column(given: ArrayLike | None, n: int, what: str) -> tuple[str, ...] | None:
    return None if given is None else tuple(names_of(given, n, what).tolist())


def _embeddings(info: ModelInfo, values: Vectors, ids: tuple[str, ...]) -> Embeddings:
    # Metrics compute in float64: what came so need not be rounded to what models give.
    return Embeddings(info, cast("NDArray[np.float32]", values), ids)
