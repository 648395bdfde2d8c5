"""Scores on a scale from chance (0) to identity (1), made of any score that sees the pairing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError, InputError
from alignbench.metrics.base import METRICS, Metric, NullModel
from alignbench.metrics.checks import ROUNDING, check_groups, check_pair
from alignbench.metrics.neighbors import cknna, cknna_mean, mutual_knn
from alignbench.metrics.procrustes import procrustes_similarity
from alignbench.metrics.rsa import rsa

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from alignbench.metrics.permuted import ProductMoments
    from alignbench.metrics.queries import Answers, Asked, Queried

    Matrix = NDArray[np.float64]
    Vector = NDArray[np.float64]
    Indices = NDArray[np.intp]

DRAWN = 20  # permutations whose mean is chance where no formula is known, each with its inverse
_ABOUT = """Return `{base}` on a scale from chance (0) to the best possible value (1).

    $(s - \\mu_0)/({best:g} - \\mu_0)$, where s is `{base}` and $\\mu_0$ its mean over re-paired data{how}.

    Args:
        x: vision side [n, dx].
        y: text side [n, dy].
        keywords: as `{base}` takes them{drawn}.

    Returns:
        At most 1 where `{base}` is at most {best:g}; negative if the pairing is worse than chance.

    Raises:
        InputError: as `{base}`.
        DegenerateError: as `{base}`; or chance is the best possible value.

    Source:
        arXiv 2602.14486; the adjustment for chance is that of Hubert and Arabie (1985).
    """


@dataclass(frozen=True, slots=True)
class _Scale:
    """The scale of a calibrated score.

    Args:
        base: the metric.
        best: its best possible value.
        mean: its mean over all re-pairings.
    """

    base: Metric
    best: float
    mean: Callable[..., float]

    def ends(self, x: ArrayLike, y: ArrayLike, **keywords: Any) -> tuple[float, float]:
        """Return chance, and how far the best possible value is above it."""
        chance = self.mean(x, y, **keywords)
        if self.best - chance <= ROUNDING:
            raise DegenerateError(
                f"{self.base.name}: shuffled pairs get {chance:.6g}, the best possible value, so there is no "
                "scale from chance to it; use more samples"
            )
        return chance, self.best - chance

    def value(self, x: ArrayLike, y: ArrayLike, **keywords: Any) -> float:
        """Return the calibrated score."""
        chance, room = self.ends(x, y, **keywords)
        return (self.base.fn(x, y, **self.known(keywords)) - chance) / room

    def known(self, keywords: dict[str, Any]) -> dict[str, Any]:
        """Return the keywords that the metric itself takes."""
        unneeded = {"groups", "seed"} - set(self.base.keywords)
        return {name: value for name, value in keywords.items() if name not in unneeded}

    def draw(self, x: Matrix, y: Matrix, permutations: Indices, **keywords: Any) -> Vector:
        """Return the calibrated score of x and y[p] for each permutation p: re-pairing leaves the scale."""
        chance, room = self.ends(x, y, **keywords)
        return (_drawn(self.base, x, y, permutations, self.known(keywords)) - chance) / room

    def exact(self, x: ArrayLike, y: ArrayLike, **settings: Any) -> tuple[float, float]:
        """Return the mean over all re-pairings, which is 0, and the standard deviation if it is known."""
        model = self.base.null
        _, room = self.ends(x, y, **settings)
        std = np.nan if model is None or model.exact is None else model.exact(x, y, **settings)[1]
        return 0.0, float(std) / room

    def within_mean(self, x: ArrayLike, y: ArrayLike, codes: Indices, **settings: Any) -> float:
        """Return the mean over all permutations within the classes."""
        chance, room = self.ends(x, y, **settings)
        assert self.base.null is not None
        assert self.base.null.within_mean is not None
        return (self.base.null.within_mean(x, y, codes, **settings) - chance) / room

    def moments(self, x: Matrix, y: Matrix, codes: Indices | None, **settings: Any) -> ProductMoments:
        """Return the first three moments over all permutations within the classes."""
        chance, room = self.ends(x, y, **settings)
        assert self.base.null is not None
        assert self.base.null.moments is not None
        return self.base.null.moments(x, y, codes, **settings).scaled(1 / room, -chance / room)


def calibrated(
    base: Metric,
    name: str,
    *,
    best: float = 1.0,
    mean: Callable[..., float] | None = None,
    squares: float | None = None,
) -> Metric:
    """Return a metric calibrated by what shuffled pairs get, with all its declared properties.

    Args:
        base: a metric that sees the pairing, of which higher values are better.
        name: the name of the result.
        best: the best possible value of the metric.
        mean: (x, y, **settings) -> the exact mean over all re-pairings; by default that of the metric's null.
            Without any, the mean of 40 re-pairings that depend on the names of the groups and the seed.
        squares: the matrices that it holds at once (see `Metric`); by default as many as the metric, whose
            intervals may take more, as its blocks are left out in another way.

    Raises:
        InputError: the metric doesn't see the pairing, or lower values are better.
    """
    if not (base.pairing and base.higher_is_better and base.kind == "pair"):
        raise InputError(
            f"{base.name}: only a score of pairs that sees the pairing, and of which higher values are "
            "better, can be calibrated by shuffled pairs"
        )
    model = base.null or NullModel()
    formula = mean or _exact_mean(base)
    scale = _Scale(base, best, formula or _drawn_mean(base))

    def score(x: ArrayLike, y: ArrayLike, **keywords: Any) -> float:
        return scale.value(x, y, **keywords)

    score.__name__ = score.__qualname__ = name
    how = ", which is exact" if formula else f", estimated by {2 * DRAWN} of them"
    drawn = "" if formula else ", and the groups and the seed of the re-pairings"
    score.__doc__ = _ABOUT.format(base=base.name, best=best, how=how, drawn=drawn)
    return replace(
        base,
        name=name,
        fn=score,
        bounds=(-np.inf, base.bounds[1] if base.bounds[1] == np.inf else 1.0),
        self_value=1.0 if base.self_value == best else None,
        needs=base.needs if formula else tuple(dict.fromkeys((*base.needs, "groups", "seed"))),
        null=replace(
            model,
            draw=scale.draw,
            exact=scale.exact if formula else None,
            within_mean=scale.within_mean if formula and model.within_mean else None,
            moments=scale.moments if formula and model.moments else None,
            streamed=None,
        ),
        chance=None,
        parts=None,
        flags=None,
        deletions=None,
        squares=base.squares if squares is None else squares,
        interval="blocks" if base.interval else None,
        streamed=None,
        queried=_asked(base, best),
        grows="sample" if base.streamed else base.grows,
        default=False,
    )


def _asked(base: Metric, best: float) -> Queried | None:
    """Return how it comes from some of very many rows; None if its mean over re-pairings takes all."""
    queried, chance = base.queried, base.chance
    if queried is None or chance is None:
        return None

    def ask(asked: Asked) -> Answers:
        answers, mean = queried.ask(asked), chance(asked.n, None, asked.settings)
        return replace(answers, score=lambda terms: (answers.score(terms) - mean) / (best - mean))

    return replace(queried, ask=ask)


def _exact_mean(base: Metric) -> Callable[..., float] | None:
    if base.null is None or base.null.exact is None:
        return None
    exact = base.null.exact
    return lambda x, y, **settings: exact(x, y, **settings)[0]


def _drawn_mean(base: Metric) -> Callable[..., float]:
    """Return a function that draws the mean; it depends neither on the order of rows nor on that of sides."""

    def mean(
        x: ArrayLike, y: ArrayLike, *, groups: ArrayLike | None = None, seed: int = 42, **settings: Any
    ) -> float:
        from alignbench.stats.permutation import draw_permutations
        from alignbench.stats.splits import rng_for

        a, b = check_pair(x, y, base.min_n)
        names = check_groups(groups, len(a))
        order = np.argsort(names, kind="stable")
        some = draw_permutations(len(a), DRAWN, rng_for(seed, "calibration", base.name))
        both = np.concatenate([some, np.argsort(some, axis=1)])
        data = {"groups": names[order], "seed": seed}
        taken = {name: value for name, value in data.items() if name in base.keywords}
        return float(_drawn(base, a[order], b[order], both, taken | settings).mean())

    return mean


def _drawn(base: Metric, x: Matrix, y: Matrix, permutations: Indices, keywords: dict[str, Any]) -> Vector:
    if base.null is not None and base.null.draw is not None:
        return base.null.draw(x, y, permutations, **keywords)
    return np.asarray([base.fn(x, y[p], **keywords) for p in permutations])


for _name, _function, _mean, _squares in (
    ("calibrated_mutual_knn", mutual_knn, None, 2.5),
    ("calibrated_cknna", cknna, cknna_mean, 1.5),
    ("calibrated_rsa", rsa, None, None),
    ("calibrated_procrustes", procrustes_similarity, None, None),
):
    METRICS.add(calibrated(METRICS.get(_function.__name__), _name, mean=_mean, squares=_squares))
