"""How far p-values in closed form are from those of many drawn permutations.

Writes the section on closed forms of alignbench/docs/calibration.md. For each score, pairs and n, it draws
permutations of one data set, and looks up the closed form's p of the draws that 5%, 1% and .1% of them reach.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from alignbench.columns import codes_of
from alignbench.metrics import METRICS
from alignbench.metrics.kernels import GRAM_LIMIT, centered_sides, norms
from alignbench.metrics.nulls import matched_norms
from alignbench.stats import draw_permutations, draw_within, rng_for
from alignbench.stats.nulls import DRAWN_UP_TO
from alignbench.stats.permutation import MOST_SPREAD, closed_p
from alignbench.workshop.measure._calibration_cases import CASES
from alignbench.workshop.measure.truth import table
from alignbench.workshop.sections import section_command, template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from alignbench.metrics.permuted import ProductMoments

    Matrix = NDArray[np.float64]

DRAWS = 100_000
LEVELS = (0.05, 0.01, 0.001)
SCORES = ("linear_cka", "debiased_cka", "rbf_cka", "rsa", "mutual_knn")
SIZES = (50, 100, 300, 1000, 5000)
EXPECTED = 20  # at least so many draws reach a level, or it is not shown
FEW = 100  # up to so many rows, all draws are drawn
QUICK = ("linear_cka", "mutual_knn")  # a permutation of many rows takes a millisecond
COPIES = 4  # how often a row occurs among copied rows
FREEDOM = 3  # of Student's t
PROCESSES = 2
_CHUNK = 5000  # permutations that are in memory at once


@dataclass(frozen=True, slots=True)
class PermutedCase:
    """One kind of unrelated pairs.

    Args:
        title: the name in the table.
        source: a key of CASES, whose pairs these are made from.
        large: whether there are cells for more than 1,000 rows, and for scores that are slow to draw.
        within: whether permutations stay within the types.
        heavy_rows: whether rows have lengths with heavy tails.
        copied: whether each row occurs several times on both sides, in different places.
    """

    title: str
    source: str
    large: bool = False
    within: bool = False
    heavy_rows: bool = False
    copied: bool = False

    def draw(self, n: int) -> tuple[Matrix, Matrix, NDArray[np.intp] | None]:
        """Return both sides [n, d], and the types if permutations stay within them."""
        pair = CASES[self.source].draw(n, 0)
        x, y = (side.values.astype(np.float64) for side in (pair.x, pair.y))
        rng = rng_for(0, "nulls", self.title, str(n))
        if self.heavy_rows:
            x, y = (side / np.sqrt(rng.chisquare(FREEDOM, (n, 1)) / FREEDOM) for side in (x, y))
        if self.copied:
            x, y = (side[rng.permutation(n) // COPIES] for side in (x, y))
        return x, y, codes_of(pair.labels) if self.within else None


UNRELATED = (
    PermutedCase("normal", "normal", large=True),
    PermutedCase("entries of t with 3 degrees of freedom", "heavy", large=True),
    PermutedCase("rows scaled by t with 3 degrees of freedom", "normal", heavy_rows=True),
    PermutedCase("variances i^-2", "decaying"),
    PermutedCase(f"each row {COPIES} times", "normal", copied=True),
    PermutedCase("three types", "types"),
    PermutedCase("three types, permuted within types", "types", large=True, within=True),
)


def number_of_draws(score: str, case: PermutedCase, n: int, draws: int) -> int:
    """Return how many permutations are drawn: fewer for many rows, none where they would take too long."""
    if n <= FEW:
        return draws
    quick = score in QUICK
    if n <= DRAWN_UP_TO or (quick and (n <= GRAM_LIMIT or case.large)):
        return draws // 5
    return draws // 50 if case.large and n <= GRAM_LIMIT else 0


def drawn(score: str, case: PermutedCase, n: int, draws: int) -> tuple[Matrix, ProductMoments]:
    """Return the sorted scores of drawn permutations, and the moments of all permutations."""
    metric = METRICS.get(score)
    x, y, codes = case.draw(n)
    keywords = dict(metric.settings(n, (x.shape[1], y.shape[1]))) if metric.settings else {}
    model = metric.null
    assert model is not None
    assert model.draw is not None
    assert model.moments is not None
    rng = rng_for(0, "nulls", score, case.title, str(n))
    values = []
    for start in range(0, draws, _CHUNK):
        number = min(_CHUNK, draws - start)
        orders = draw_permutations(n, number, rng) if codes is None else draw_within(codes, number, rng)
        if score == "linear_cka":  # in features, which is faster for narrow sides
            a, b = centered_sides(x, y, 3)
            values.append(matched_norms(a, b, orders) / norms(a.T @ a, b.T @ b))
        else:
            values.append(model.draw(x, y, orders, **keywords))
    return np.sort(np.concatenate(values)), model.moments(x, y, codes, **keywords)


def ratios(values: Matrix, moments: ProductMoments) -> list[float]:
    """Return the closed form's p of the smallest of the best draws, over their share, for each level.

    Levels that too few draws reach are left out. The `spread` does not matter here.
    """
    found = []
    for level in LEVELS:
        reaching = int(level * len(values))
        if reaching >= EXPECTED:
            edge = float(values[-reaching])
            share = float(np.mean(values >= edge - 1e-12))
            p = closed_p(edge, replace(moments, spread=0.0))
            found.append(float("nan") if p is None else p / share)
    return found


class Cell(NamedTuple):
    """The ratios of a score, kind of pairs and n, and whether a run of many rows uses the closed form."""

    ratios: list[float]
    used: bool

    @property
    def text(self) -> str:
        """The ratios as the table shows them; in parentheses if the closed form is not used."""
        shown = " / ".join(f"{ratio:.2f}" for ratio in self.ratios) or "–"
        return shown if self.used or not self.ratios else f"({shown})"


def cell(score: str, case: PermutedCase, n: int, draws: int) -> Cell:
    """Return a cell of the table; one without ratios if nothing is drawn for it."""
    number = number_of_draws(score, case, n, draws)
    if not number:
        return Cell([], used=False)
    with threadpool_limits(1):
        values, moments = drawn(score, case, n, number)
    found = Cell(ratios(values, moments), moments.spread <= MOST_SPREAD)
    print(f"{case.title}: {score}, n = {n:,}: {found.text}, spread {moments.spread:.3g}", flush=True)
    return found


def nulls_section(draws: int) -> str:
    """Return the section on closed forms; `draws` permutations of few rows, and fewer of many."""
    places = [(score, case, n) for n in SIZES for case in UNRELATED for score in SCORES]
    with ProcessPoolExecutor(PROCESSES) as pool:
        return text_of(dict(zip(places, pool.map(partial(_cell, draws=draws), places), strict=True)), draws)


def text_of(cells: Mapping[tuple[str, PermutedCase, int], Cell], draws: int) -> str:
    """Return the section's text.

    Args:
        cells: (score, pairs, n) -> the cell.
        draws: how many permutations of few rows were drawn.
    """
    rows = [(score, case) for case in UNRELATED for score in SCORES]
    used = [c.ratios for (_, _, n), c in cells.items() if c.used and n >= DRAWN_UP_TO]
    ends = []
    for number, level in enumerate(LEVELS):
        of_level = [found[number] for found in used if len(found) > number]
        if of_level:
            ends.append(f"{min(of_level):.2f} to {max(of_level):.2f} at {level:g}")
    none = Cell([], used=False)
    lines = [
        [f"{score}: {case.title}", *(cells.get((score, case, n), none).text for n in SIZES)]
        for score, case in rows
    ]
    return template("nulls").format(
        draws=draws,
        many=draws // 5,
        slow=draws // 50,
        few=FEW,
        limit=DRAWN_UP_TO,
        spread=MOST_SPREAD,
        worst=", ".join(ends),
        table=table(["score: pairs", *(f"n = {n:,}" for n in SIZES)], lines),
    )


def _cell(place: tuple[str, PermutedCase, int], draws: int) -> Cell:
    return cell(*place, draws)


def main(argv: list[str]) -> None:
    """Compute the draws, and write the section."""
    section_command("nulls", __doc__, DRAWS, nulls_section, argv)
