"""Metric: a pure function of arrays with declared properties; METRICS: all of them by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from alignbench.errors import InputError
from alignbench.metrics.checks import as_matrix, bounded, check_min_n, check_pair
from alignbench.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.permuted import ProductMoments
    from alignbench.metrics.queries import Queried

    Matrix = NDArray[np.float64]
    Settings = Mapping[str, Any]

Growth = Literal["linear", "blocks", "sample"]
Kind = Literal["pair", "labelled", "unary", "trained", "composite"]
Function = TypeVar("Function", bound="Callable[..., float]")

FAMILIES = (
    "cka",
    "neighbors",
    "shape",
    "cca",
    "regression",
    "transport",
    "coral",
    "coral_lw",
    "spectra",
    "classes",
    "composite",
)
INVARIANCES = (
    "rotation",
    "joint_rotation",
    "isotropic_scale",
    "joint_scale",
    "translation",
    "joint_translation",
)
_OF_ONE_WIDTH = frozenset({"joint_rotation", "joint_translation"})


_PERMUTATIONS = 3  # arrays [draws, n] that drawing permutations holds in memory at once


@dataclass(frozen=True, slots=True)
class NullModel:
    """How a metric behaves on re-paired data.

    Args:
        draw: (x, y, permutations, **settings) -> the scores of x against y[p] for each permutation p; None
            calls the metric itself for each permutation.
        exact: (mean, standard deviation) over all permutations, without drawing; NaN for a value without
            formula.
        within_mean: the mean over all permutations within the classes: `within_mean(x, y, codes)`.
        moments: (x, y, codes, **settings) -> the first three moments over all permutations within the
            classes, or over all permutations if codes are None, for p-values of many rows.
        streamed: (a sample's moments, `samples.Sample`) -> mean and standard deviation over all permutations,
            and the mean over those within the classes (None without a formula), for many rows.
        draws: the default number of permutations.
        max_groups: with more groups than this, a seeded subset of this size is permuted.
        stream: metrics with the same one get the same permutations of more than 300 groups, so that what
            they have in common is computed once; by default, each metric gets its own.
        strata: (n, **keywords) -> the part of each row that re-pairing many rows keeps it in, so that what
            depends on the parts alone is computed once; None if rows may go anywhere.
        test: False if the value on shuffled pairs is shown but a p-value would be meaningless.
        applies: whether there is a null under these settings.
    """

    draw: Callable[..., NDArray[np.float64]] | None = None
    exact: Callable[..., tuple[float, float]] | None = None
    within_mean: Callable[..., float] | None = None
    moments: Callable[..., ProductMoments] | None = None
    streamed: Callable[[Any], tuple[float, float, float | None]] | None = None
    draws: int = 999
    max_groups: int | None = None
    stream: str | None = None
    strata: Callable[..., NDArray[np.intp] | None] = lambda n, **keywords: None
    test: bool = True
    applies: Callable[[Settings], bool] = lambda settings: True


@dataclass(frozen=True, slots=True)
class Metric:
    """A score with its declared properties; every registered metric is checked against them.

    Args:
        name: the name in tables.
        fn: the pure function: (x, y), (x, labels) or (x), plus `needs` and `settings` as keywords.
        kind: "pair" (x, y), "labelled" (x, labels), "unary" (x), "composite" (x, y, labels), "trained".
        family: the group in which it is shown: "cka", "neighbors", "coral", "spectra", "classes",
            "composite", ...
        pairing: whether it sees which row of x belongs to which row of y; if so, it gets a permutation null.
        bounds: the smallest and largest value.
        symmetric: whether score(x, y) = score(y, x).
        self_value: score(x, x), or None if that depends on x.
        invariant_to: some of INVARIANCES: each side under its own map, or both under the same one (`joint_`).
        min_n: the fewest rows that the definition needs.
        same_width: whether x and y need the same number of columns (if `align` is "none").
        needs: the keywords that it takes from the data: "labels", "groups", "seed".
        optional: the keywords that it takes from the data if they are there: "labels".
        settings: (n, dims, **given) -> all keywords that may depend on n, dims or the user; permutations and
            deletions keep their values at the full n.
        prepare: maps raw (x, y) to the arguments of `fn`, for scores that need a shared basis.
        null: None if there is no null; `pairing` metrics have the generic one by default.
        interval: "jackknife" (smooth kernel scores), "blocks" (conservative), or None.
        deletions: (x, y, blocks, **keywords) -> the values without each block, faster than one by one; None
            computes them one by one, and so does what returns None.
        chance: (n, codes, settings) -> the value of guessing with n groups; codes are the class numbers of
            all rows that the metric sees, which may be more than n, or None.
        parts: returns the named parts of a composite; it takes the arguments of `fn`.
        flags: (value, parts) -> what a reader has to know about this value, such as "saturated".
        squares: the number of float64 matrices [n, n] that it holds at once, including null and interval, so
            that too large an n is refused beforehand; 0 if it does not compare all rows with each other.
        grows: how its cost grows with n: "linear" (O(n·d²)), "blocks" (O(n²·d), in blocks of bounded memory)
            or "sample" (O(n²) memory, so that many rows are sampled); by default by `squares`.
        streamed: (a sample's moments, `samples.Sample`, **settings) -> the value, for many rows; None if it
            needs the rows.
        queried: how it comes from some of very many rows whose neighbours are searched among all; None if it
            needs all rows.
        default: whether the experiment of its kind computes it unasked; others are scored by the experiment
            `predictors`, and wherever they are named.
    """

    name: str
    fn: Callable[..., float]
    kind: Kind = "pair"
    family: str = "other"
    pairing: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)
    symmetric: bool = False
    self_value: float | None = None
    invariant_to: tuple[str, ...] = ()
    min_n: int = 2
    same_width: bool = False
    higher_is_better: bool = True
    unit: str = ""
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    settings: Callable[..., Settings] | None = None
    prepare: Callable[..., tuple[Matrix, Matrix]] | None = None
    null: NullModel | None = None
    interval: Literal["jackknife", "blocks"] | None = "blocks"
    deletions: Callable[..., NDArray[np.float64] | None] | None = None
    chance: Callable[[int, NDArray[np.intp] | None, Settings], float] | None = None
    parts: Callable[..., Mapping[str, float]] | None = None
    flags: Callable[[float, Mapping[str, float]], tuple[str, ...]] | None = None
    squares: float = 0
    grows: Growth | None = None
    streamed: Callable[..., float] | None = None
    queried: Queried | None = None
    default: bool = True

    @property
    def needs_labels(self) -> bool:
        """Whether it can't do without the class of each row."""
        return self.kind == "labelled" or "labels" in self.needs

    def __post_init__(self) -> None:
        if self.grows is None:
            quadratic = self.squares and self.streamed is None
            object.__setattr__(self, "grows", "sample" if quadratic else "linear")
        unknown = set(self.invariant_to) - set(INVARIANCES)
        if unknown:
            raise InputError(
                f"{self.name}: unknown invariances {sorted(unknown)}; known: {', '.join(INVARIANCES)}"
            )
        joint = [name for name in self.invariant_to if name in _OF_ONE_WIDTH]
        if joint and self.two_sided and not self.same_width:
            raise InputError(
                f"{self.name}: {joint[0]} is one map for both sides, which takes sides of one width; declare "
                f"same_width=True, or {joint[0].removeprefix('joint_')!r} if each side may have its own map"
            )

    @property
    def two_sided(self) -> bool:
        """Whether it takes two sides x and y, instead of x alone or x with labels."""
        return self.kind in ("pair", "composite", "trained")

    def memory(self, n: int, draws: int | None = None) -> float:
        """Return the approximate number of bytes that it needs for n rows with null and interval.

        Args:
            n: the number of rows; for metrics of two sides, of groups, as they see one row of each.
            draws: the number of permutations of the null; None for the metric's default.
        """
        permuted = 0
        if self.two_sided and (self.pairing or self.null is not None):
            model = self.null or NullModel()
            permuted = (model.draws if draws is None else draws) * min(n, model.max_groups or n)
        return 8 * (self.squares * n**2 + _PERMUTATIONS * permuted)

    @property
    def keywords(self) -> tuple[str, ...]:
        """All keywords that it takes from the data."""
        return (*self.needs, *self.optional)

    def arrays(self, x: ArrayLike, y: ArrayLike | None = None) -> tuple[Matrix, Matrix | None]:
        """Return the checked float64 sides; `y` is None for a metric of one side.

        Raises:
            InputError: see `check_pair`; or a side is missing or superfluous.
        """
        if self.two_sided != (y is not None):
            raise InputError(
                f"{self.name}: a {self.kind} metric takes {'x and y' if self.two_sided else 'x only'}"
            )
        if y is None:
            a = as_matrix(x, "x")
            check_min_n(len(a), self.min_n)
            return a, None
        return check_pair(x, y, self.min_n)

    def __call__(self, x: ArrayLike, other: Any = None, **keywords: Any) -> float:
        """Return the score of x and `other`: y of a pair, the labels of a labelled metric.

        Raises:
            InputError: bad input, see `alignbench.metrics.checks`.
            DegenerateError: the value does not exist for this input.
        """
        a, b = self.arrays(x, other if self.two_sided else None)
        if self.prepare is not None and b is not None:
            a, b = self.prepare(a, b, **keywords)
            keywords = {}
        second = () if self.kind == "unary" else (b if self.two_sided else other,)
        return bounded(self.fn(a, *second, **keywords), self.bounds, self.name)


@dataclass
class MetricRegistry:
    """All metrics by name, family by family; third parties add theirs with a decorator or an entry point."""

    entries: Registry[Metric] = field(default_factory=lambda: Registry("metric", "alignbench.metrics"))

    def add(self, metric: Metric) -> None:
        """Register a metric under its own name.

        Raises:
            ConfigError: the name is taken.
        """
        self.entries.add(metric.name, metric)

    def register(self, name: str, **declared: Any) -> Callable[[Function], Function]:
        """Decorate a function to register it as a Metric with the `declared` properties; it stays a function.

        Examples:
            >>> @METRICS.register("half", kind="pair", bounds=(0, 1), symmetric=True)
            ... def half(x, y): return 0.5
        """

        def decorate(fn: Function) -> Function:
            self.add(Metric(name=name, fn=fn, **declared))
            return fn

        return decorate

    def get(self, metric: str | Metric) -> Metric:
        """Return the metric of this name; a metric is returned as it is, registered or not.

        Raises:
            UnknownNameError: nothing has this name; the message has the closest name and all known ones.
        """
        return metric if isinstance(metric, Metric) else self.entries.get(metric)

    def remove(self, name: str) -> None:
        """Remove `name`: for tests, and for a metric that replaces another."""
        self.entries.remove(name)

    def names(
        self,
        *,
        family: str | None = None,
        kind: str | None = None,
        pairing: bool | None = None,
        default: bool | None = None,
    ) -> list[str]:
        """Return the names of all metrics, or of those with these properties."""
        chosen = [
            metric
            for metric in map(self.entries.get, self.entries.names())
            if family in (None, metric.family)
            and kind in (None, metric.kind)
            and pairing in (None, metric.pairing)
            and default in (None, metric.default)
        ]
        order = {name: place for place, name in enumerate(FAMILIES)}
        return [m.name for m in sorted(chosen, key=lambda m: order.get(m.family, len(order)))]

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.entries)


METRICS = MetricRegistry()
