"""`score_arrays`: the suite's scores of embeddings that you already have, without pytest or files."""

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
        scores: metric by metric; for each metric, every vision array with every text array.
        models: the description of each array.
    """

    scores: tuple[Score, ...]
    models: tuple[ModelInfo, ...]

    @cached_property
    def findings(self) -> Findings:
        """The rankings, the ties and the best vision array for each text array."""
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
        text: likewise; row i of every array is the same sample.
        labels: the class of each row [n]. Composites, scores of class structure and the null that shuffles
            pairs inside each class need it.
        groups: the group of each row [n], the unit of permutations and intervals: rows of one image, or of
            one text, are one group. By default, each row is a group of its own; "rows" makes rows that are
            equal in any of the arrays one group. If rows are equal without being grouped, there is a warning,
            and all scores are flagged `repeated_rows`.
        metrics: the metrics, by name. The default is all that apply: those of pairs, those of the vision side
            alone, composites (without labels only `eas`, flagged `no_labels`) and, with labels, those that
            need them.
        l2: whether to scale rows to unit length first. A run does so by default, this function does not.
        seed: the seed of everything that is drawn.
        permutations: the number of permutations of a null; None for the metric's own default.
        basis: how CORAL's two sides are brought to one basis: procrustes, pca or none.
        k: the width of that basis; None for the largest that rows and widths allow.

    Returns:
        The scores. A score that does not exist, whose metric failed, or that needs more memory than there is,
        has the status "not_applicable" and the reason; the others are computed all the same.

    Raises:
        InputError: an array is not a finite matrix, rows don't match, a metric needs labels, or a setting is
            not allowed.
        UnknownNameError: a metric is not registered.

    Examples:
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
        arrays.items(), rows.groups, f"Give groups=, one per row; groups={ROWS!r} makes equal rows one group."
    )
    for sentence in copies:
        warnings.warn(sentence, AlignbenchWarning, stacklevel=2)
    ids = tuple(sample.id for sample in rows.samples)
    embedded = [_embeddings(info, values, ids) for info, values in sides]
    xs, ys = ([e for e in embedded if e.model.side == side] for side in ("vision", "text"))
    # All pairs share a basis as wide as the narrowest array allows, so that their scores can be compared.
    settings = Settings(seed, permutations, basis, k, tuple(e.dim for e in embedded))
    pair = partial(Pair, labels=rows.labels, groups=rows.groups, dataset=rows.label)
    _check_settings(settings, [pair(x, y) for x in xs for y in ys])
    flags = (REPEATED,) if copies else ()
    scores = [
        _score(metric, pair(x, y), settings).flagged(*flags)
        for metric in chosen
        for x in xs
        for y in (ys if metric.two_sided else [x])
    ]
    return ArrayScores(tuple(flag_dead(scores)), tuple(info for info, _ in sides))


def _check_settings(settings: Settings, pairs: Iterable[Pair]) -> None:
    """Refuse settings that no metric can use, once and before anything is computed."""
    draws = settings.permutations
    if draws is not None and (not isinstance(draws, int | np.integer) or draws < 0):
        raise InputError(f"permutations: expected a whole number from 0 on, or None, got {draws!r}")
    for pair in pairs:
        if settings.k is not None and settings.basis != "none":
            check_width(settings.k, (pair.x.dim, pair.y.dim))


def _score(metric: Metric, pair: Pair, settings: Settings) -> Score:
    """Return the score; if the metric raises any error, a missing score with the reason, so others go on."""
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
        raise InputError(f"{lacking[0]}: it needs labels, one per row; give labels=, or leave it out")
    return metrics


def _side(arrays: Array | Mapping[str, Array], side: Side, *, l2: bool) -> list[tuple[ModelInfo, Vectors]]:
    """Return the description and the checked values of each array of a side."""
    named = arrays if isinstance(arrays, Mapping) else {_name_of(arrays, side): arrays}
    if not named:
        raise InputError(f"{side}: expected an array, or several by name; got an empty mapping")
    return [_array(str(name), array, side, l2=l2) for name, array in named.items()]


def _name_of(array: Array, side: Side) -> str:
    return Path(array).stem if isinstance(array, str | Path) else side


def _array(name: str, array: Array, side: Side, *, l2: bool) -> tuple[ModelInfo, Vectors]:
    source, revision, where = "an array", None, f"{side} {name!r}"
    if isinstance(array, str | Path):
        file = ArrayFile(user_path(array, where), name)
        source, revision, array = file.source, file.revision, file.values()
    values = as_matrix(array, where)
    check_range(values, where)
    if l2:
        norms = np.linalg.norm(values, axis=1)
        if not norms.all():
            row = int(np.argmin(norms))
            raise InputError(f"{where}: row {row} is zero; it has no direction; give l2=False")
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


def _labels(labels: ArrayLike | None, n: int) -> tuple[str, ...] | None:
    names = _column(labels, n, "labels")
    try:
        for label in dict.fromkeys(names or ()):
            check_free(label)
    except DataError as error:
        raise InputError(f"labels: {error}") from error
    return names


def _column(column: ArrayLike | None, n: int, name: str) -> tuple[str, ...] | None:
    return None if column is None else tuple(names_of(column, n, name).tolist())


def _embeddings(info: ModelInfo, values: Vectors, ids: tuple[str, ...]) -> Embeddings:
    # Metrics compute in float64, so these values need not be rounded to the float32 that models give.
    return Embeddings(info, cast("NDArray[np.float32]", values), ids)
