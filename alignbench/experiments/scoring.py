"""One metric on one pair, with everything that belongs to a score."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from alignbench.datatypes import ALL
from alignbench.errors import DegenerateError, TooFewSamplesError
from alignbench.experiments.many import SUBSAMPLED, evaluate_many, in_blocks, most_groups, subsample
from alignbench.experiments.sharing import Sharing, why_not
from alignbench.memory import check_room, is_out_of_memory
from alignbench.metrics.basis import basis_settings
from alignbench.metrics.derived import Derived, keeping
from alignbench.metrics.products import CPU, products_on
from alignbench.stats import evaluate, p_value
from alignbench.types import Null, Score
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.metrics import Metric
    from alignbench.stats import Evaluation
    from alignbench.types import Pair

_WORTH_THREADS = 1_000_000  # numbers in both sides
_DERIVED = Derived()  # for all metrics of a pair, and all pairs of a side

Mode = Literal["cross-modal", "vision-vision", "text-text", "vision", "text"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run scores.

    Args:
        seed: the seed of all random numbers.
        permutations: how many permutations a null draws; None leaves that to the metric.
        basis: how CORAL brings its two sides to one basis: procrustes, pca or none.
        k: the width of the shared basis; None makes it as wide as the samples and `dims` allow.
        dims: the widths of all models of the run; they bound the shared basis, so that scores of different
            models can be compared.
        device: what embeds the data; if it is a GPU with float64, large products are computed there, too.
    """

    seed: int = 42
    permutations: int | None = None
    basis: str = "procrustes"
    k: int | None = None
    dims: tuple[int, ...] = ()
    device: str = CPU

    @property
    def computing(self) -> str:
        """The device that computes large products: of all that torch knows, CUDA's have float64."""
        return self.device if self.device.partition(":")[0] == "cuda" else CPU

    @property
    def draws(self) -> int:
        """How many permutations a null draws if the metric doesn't say."""
        return 999 if self.permutations is None else self.permutations

    def widest(self, pair: Pair) -> int:
        """Return the largest number of columns of a model of the run, to which the pair belongs."""
        return max(*self.dims, pair.x.dim, pair.y.dim)

    def basis_params(self, n: int, dims: tuple[int, ...]) -> dict[str, Any]:
        """Return `align` and `k` for a pair of these widths with n groups."""
        bounds = (*self.dims, *dims) if self.basis == "procrustes" else dims
        return dict(basis_settings(n, bounds, align=self.basis, k=self.k))


def score_pair(
    metric: Metric, pair: Pair, settings: Settings, *, experiment: str, data_type: str = ALL, **params: Any
) -> Score:
    """Return the metric of a pair with null, interval, chance and flags.

    If there is no value (too few samples, a zero denominator), or if it would take more memory than there is,
    the score has the status `not_applicable` and the reason.

    Args:
        metric: the metric, registered or not.
        pair: the embeddings of both sides.
        settings: how the run scores.
        experiment: the experiment that the score is filed under.
        data_type: score the samples of this type only.
        params: further `params` of the score.

    Raises:
        InputError: the embeddings are not fit for any metric (NaN, zero variance, ...).
    """
    if data_type != ALL:
        pair = pair.take([row for row, label in enumerate(pair.labels) if label == data_type])
    groups, sampled = pair.n_groups, tuple[str, ...]()
    if (most := most_groups(metric, groups)) < groups:
        pair, sampled = subsample(pair, most, settings.seed), (SUBSAMPLED,)
        params = {**params, "of_groups": groups}
    common = _common(metric, pair, settings, experiment, data_type)
    described = {**preprocessing(pair), **params}
    n = common["n"] if metric.two_sided else len(pair)
    try:
        if not len(pair):
            raise TooFewSamplesError(f"no sample is of the data type {data_type!r}")
        if not in_blocks(metric, common["n"], settings.widest(pair)):
            _check_room(metric.memory(n, settings.permutations))
        evaluation = evaluate_pair(metric, pair, settings)
    except DegenerateError as error:
        reason = why_not(error, Sharing.of_pair(pair))
        return Score(value=None, status="not_applicable", reason=reason, params=described, **common)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        reason = f"{metric.name} of {plural(n, 'row')}: out of memory: {' '.join(str(error).split())}"
        return Score(value=None, status="not_applicable", reason=reason, params=described, **common)
    described |= evaluation.params
    if evaluation.parts:
        described["parts"] = evaluation.parts
    return Score(
        value=evaluation.value,
        null=evaluation.null,
        interval=evaluation.interval,
        deletions=evaluation.deletions,
        chance=evaluation.chance,
        flags=(*evaluation.flags, *sampled),
        params=described,
        **common,
    )


def forget() -> None:
    """Forget what is kept of other scores, as for a measurement of what a score takes."""
    _DERIVED.clear()


def _check_room(need: float) -> None:
    """Raise a MemoryError if there is no room, not even without what is kept of other scores."""
    try:
        check_room(need)
    except MemoryError:
        forget()
        check_room(need)


def missing_score(metric: Metric, pair: Pair, settings: Settings, reason: str, *, experiment: str) -> Score:
    """Return a score without a value, for a pair that could not be scored for this reason."""
    common = _common(metric, pair, settings, experiment, ALL)
    return Score(value=None, status="not_applicable", reason=reason, params=preprocessing(pair), **common)


def _common(
    metric: Metric, pair: Pair, settings: Settings, experiment: str, data_type: str
) -> dict[str, Any]:
    return {
        **identity(pair, experiment, settings.seed),
        "metric": metric.name,
        "data_type": data_type,
        "dims": (pair.x.dim, pair.y.dim) if metric.two_sided else (pair.x.dim,),
        "higher_is_better": metric.higher_is_better,
        "unit": metric.unit,
    }


def evaluate_pair(metric: Metric, pair: Pair, settings: Settings, **how: Any) -> Evaluation:
    """Return what `evaluate` computes for a pair under the run's settings.

    Args:
        metric: a metric of any kind; one of a single side is computed on the first.
        pair: the embeddings.
        settings: the seed, the permutations and the basis.
        how: further arguments of `evaluate`.

    Raises:
        DegenerateError: the metric is not defined on these embeddings.
    """
    n, dims = pair.n_groups, (pair.x.dim, pair.y.dim)
    # One class for all samples says nothing, so a metric that can do without labels gets none.
    unlabelled = "labels" in metric.optional and len(set(pair.labels)) < 2
    params = settings.basis_params(n, dims) if needs_basis(metric) else None
    with blas_threads(pair), products_on(settings.computing), keeping(_DERIVED):
        if in_blocks(metric, n, settings.widest(pair)):
            return evaluate_many(
                metric,
                pair,
                settings.seed,
                params,
                not unlabelled,
                n_permutations=settings.permutations,
                **how,
            )
        return evaluate(
            metric,
            pair.x.values,
            pair.y.values if metric.two_sided else None,
            labels=None if unlabelled else pair.labels,
            groups=pair.groups,
            seed=settings.seed,
            n_permutations=settings.permutations,
            params=params,
            **how,
        )


def drawn_null(
    kind: str, value: float, drawn: NDArray[np.float64], mean: float | None = None, **fields: Any
) -> Null:
    """Return the null of a value with mean, std, z and p over its draws.

    Args:
        kind: what was drawn.
        value: the observed value.
        drawn: the values of the draws [draws].
        mean: the exact mean, if it is known.
        fields: further fields of the null.
    """
    mean = float(drawn.mean()) if mean is None else mean
    std = float(drawn.std(ddof=1))
    z = (value - mean) / std if std else None
    return Null(kind, mean, std, z, p_value(value, drawn), len(drawn), **fields)


def blas_threads(pair: Pair) -> AbstractContextManager[object]:
    """Return a context in which products and decompositions of a small pair take one thread."""
    # On small products a pool of threads costs more than it gains, and with other processes on the machine
    # (`-n 2`) its busy waiting made a run six times slower.
    from threadpoolctl import get_cached_controller  # another look at all libraries takes milliseconds

    small = pair.x.values.size + pair.y.values.size < _WORTH_THREADS
    return get_cached_controller().limit(limits=1, user_api="blas") if small else nullcontext()


def identity(pair: Pair, experiment: str, seed: int) -> dict[str, Any]:
    """Return the fields of a score that say what was scored: models, weights, data, groups and seed."""
    return {
        "experiment": experiment,
        "dataset": pair.dataset,
        "n": pair.n_groups,
        "dims": (pair.x.dim, pair.y.dim),
        "seed": seed,
        "weights": {side.model.label: side.model.weights for side in (pair.x, pair.y)},
        **_sides(pair, mode_of(pair)),
    }


def needs_basis(metric: Metric) -> bool:
    """Return whether the metric compares covariances, which takes a basis that both sides share."""
    return metric.settings is basis_settings


def mode_of(pair: Pair) -> Mode:
    """Return what is compared with what; a model with itself counts as one side alone."""
    x, y = pair.x.model, pair.y.model
    if x.side != y.side:
        return "cross-modal"
    if x.label == y.label:
        return "vision" if x.side == "vision" else "text"
    return "vision-vision" if x.side == "vision" else "text-text"


def _sides(pair: Pair, mode: Mode) -> Mapping[str, str | None]:
    x, y = pair.x.model.label, pair.y.model.label
    if mode == "cross-modal":
        return {"encoder": x, "llm": y, "other": None}
    other = None if mode in {"vision", "text"} else y
    if mode in {"vision", "vision-vision"}:
        return {"encoder": x, "llm": None, "other": other}
    return {"encoder": None, "llm": x, "other": other}


def preprocessing(pair: Pair) -> dict[str, Any]:
    """Return the `params` of a score that say how the embeddings of both sides were made."""
    sides = {side.model.label: dict(side.model.params) for side in (pair.x, pair.y)}
    return {"mode": mode_of(pair), "preprocessing": sides}
