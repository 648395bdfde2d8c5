"""Cycles and ordered lists of neighbours: the authors' formulas written out anew, ties, and exact means."""

from __future__ import annotations

from itertools import combinations, permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.errors import InputError
from alignbench.metrics import METRICS, cycle_knn, cycle_knn_reverse, edit_knn, lcs_knn
from alignbench.metrics.cycles import avoided
from alignbench.metrics.nearest import TIED, ordered_neighbors
from alignbench.metrics.sequences import mean_common, mean_increasing
from alignbench.stats import evaluate
from alignbench.stats.permutation import draw_permutations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

NAMES = ("cycle_knn", "cycle_knn_reverse", "lcs_knn", "edit_knn")


def sides(n: int, shared: int, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Return two sides that have `shared` directions in common."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 8)) + 2, rng.normal(size=(n, 6))
    y[:, :shared] += 2 * x[:, :shared]
    return x, y


def lists_of(x: Matrix, k: int) -> list[list[int]]:
    """Return the neighbours of each row by cosine after centring, nearest first, one cosine at a time."""
    unit = [row / np.sqrt(sum(row**2)) for row in x - x.mean(axis=0)]
    cosines = [[float(sum(a * b)) for b in unit] for a in unit]
    every = range(len(x))
    return [sorted((j for j in every if j != i), key=lambda j: -cosines[i][j])[:k] for i in every]


def cycles(of_x: Sequence[Sequence[int]], of_y: Sequence[Sequence[int]]) -> float:
    """Return platonic-rep's cycle_knn: `knn_A[knn_B]` has the row's own number somewhere."""
    return float(np.mean([any(i in of_x[j] for j in of_y[i]) for i in range(len(of_x))]))


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the longest common subsequence, by its recursion."""
    if not a or not b:
        return 0
    if a[-1] == b[-1]:
        return common(a[:-1], b[:-1]) + 1
    return max(common(a[:-1], b), common(a, b[:-1]))


def edits(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the Levenshtein distance, by its recursion."""
    if not a or not b:
        return len(a) + len(b)
    replaced = edits(a[:-1], b[:-1]) + (a[-1] != b[-1])
    return min(replaced, edits(a[:-1], b) + 1, edits(a, b[:-1]) + 1)


def of_lists(name: str, of_x: Sequence[Sequence[int]], of_y: Sequence[Sequence[int]]) -> float:
    """Return a score of two sides whose lists of neighbours are given."""
    if name == "cycle_knn":
        return cycles(of_x, of_y)
    if name == "cycle_knn_reverse":
        return cycles(of_y, of_x)
    k = len(of_x[0])
    if name == "lcs_knn":
        return float(np.mean([common(a, b) for a, b in zip(of_x, of_y, strict=True)])) / k
    return 1 - float(np.mean([edits(a, b) for a, b in zip(of_x, of_y, strict=True)])) / k


def tied_sides() -> tuple[Matrix, Matrix]:
    """Return x, in which rows 0, 1 and 2 are copies, and y without ties."""
    x, y = sides(6, 2, seed=5)
    x[1] = x[2] = x[0]
    return x, y


def broken(x: Matrix, k: int) -> Iterator[list[list[int]]]:
    """Yield the lists of neighbours for each way of breaking the ties of `tied_sides`."""
    rng = np.random.default_rng(0)
    ways: list[set[tuple[int, ...]]] = [set() for _ in x]
    for _ in range(300):  # a copy that is moved a little is nearer or farther than the others
        moved = lists_of(x + 1e-9 * rng.normal(size=x.shape), k)
        for way, row in zip(ways, moved, strict=True):
            way.add(tuple(row))
    for chosen in product(*map(sorted, ways)):
        yield [list(row) for row in chosen]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("n", "k", "shared"), [(12, 3, 2), (25, 5, 4), (25, 1, 4), (9, 7, 0)])
def test_the_value_is_that_of_the_authors_formula(name: str, n: int, k: int, shared: int) -> None:
    x, y = sides(n, shared)
    expected = of_lists(name, lists_of(x, k), lists_of(y, k))
    assert METRICS.get(name)(x, y, k=k) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_permutation_of_the_lists_is_one_of_the_rows(name: str) -> None:
    metric = METRICS.get(name)
    assert metric.null is not None
    assert metric.null.draw is not None
    for x, y in (sides(20, 2), tied_sides()):
        drawn = draw_permutations(len(x), 12, np.random.default_rng(0))
        expected = [metric(x, y[p], k=2) for p in drawn]
        assert metric.null.draw(x, y, drawn, k=2) == pytest.approx(expected, abs=1e-12)
        assert metric.null.draw(x, y, drawn[:3], k=2) == pytest.approx(expected[:3], abs=1e-12)  # no table
        expected = [metric(y, x[p], k=2) for p in drawn]
        assert metric.null.draw(y, x, drawn, k=2) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["cycle_knn", "cycle_knn_reverse", "lcs_knn"])
@pytest.mark.parametrize("swapped", [False, True])
def test_the_mean_over_all_permutations_is_exact(name: str, swapped: bool) -> None:
    null = METRICS.get(name).null
    assert null is not None
    assert null.draw is not None
    assert null.exact is not None
    every = np.array(list(permutations(range(6))))
    for x, y in (sides(6, 2), tied_sides()):
        a, b = (y, x) if swapped else (x, y)
        for k in (1, 2, 3):
            mean, _ = null.exact(a, b, k=k)
            assert mean == pytest.approx(float(null.draw(a, b, every, k=k).mean()), abs=1e-12)


@pytest.mark.parametrize("name", ["cycle_knn", "cycle_knn_reverse"])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_cycle_is_the_expectation_over_all_ways_to_break_ties(name: str, swapped: bool) -> None:
    x, y = tied_sides()
    of_y = lists_of(y, 1)
    ways = [(of_y, way) if swapped else (way, of_y) for way in broken(x, 1)]
    assert len(ways) == 8
    expected = np.mean([of_lists(name, *way) for way in ways])
    found = METRICS.get(name)(y, x, k=1) if swapped else METRICS.get(name)(x, y, k=1)
    assert found == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize("name", ["lcs_knn", "edit_knn"])
def test_no_way_to_break_ties_gives_less_and_the_score_says_that_there_are_some(name: str) -> None:
    x, y = tied_sides()
    found = METRICS.get(name)(x, y, k=2)
    of_y = lists_of(y, 2)
    scores = [of_lists(name, way, of_y) for way in broken(x, 2)]
    assert found <= min(scores) + 1e-12
    assert "tied_neighbors" in evaluate(METRICS.get(name), x, y, params={"k": 2}).flags
    assert "tied_neighbors" not in evaluate(METRICS.get(name), *sides(6, 2), params={"k": 2}).flags


def test_a_neighbour_is_tied_if_the_next_one_is_as_near_also_behind_the_last_place() -> None:
    angles = np.radians([0, 10, -10, 25, -40, 90, 100])
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    circle = np.vstack([circle, -circle])  # so that the mean is 0
    first = ordered_neighbors(circle, 4)[0].tolist()
    assert first[:2] == [TIED, TIED]  # 1 and 2 are 10 degrees away
    assert ordered_neighbors(circle, 1)[0].tolist() == [TIED]
    assert METRICS.get("lcs_knn")(circle, circle, k=1) < 1


def test_all_rows_but_one_alike() -> None:
    x, y = sides(30, 2)
    x[1:] = x[1]
    assert lcs_knn(x, y) == edit_knn(x, y) == 0.0
    for score in (cycle_knn, cycle_knn_reverse):
        assert 0 < score(x, y) < 1
    null = METRICS.get("cycle_knn").null
    assert null is not None
    assert null.draw is not None
    assert null.exact is not None
    drawn = null.draw(x, y, draw_permutations(30, 400, np.random.default_rng(0)), k=9)
    assert null.exact(x, y, k=9)[0] == pytest.approx(float(drawn.mean()), abs=0.02)


def test_the_mean_product_of_chosen_factors() -> None:
    rng = np.random.default_rng(0)
    for chosen, total, given in ((3, 6, 6), (3, 6, 2), (1, 5, 3), (5, 5, 4), (0, 4, 2)):
        factors = rng.uniform(size=given)
        every = np.append(factors, np.ones(total - given))
        expected = np.mean([np.prod(every[list(some)]) for some in combinations(range(total), chosen)])
        padded = np.append(factors, np.ones(3))[None]
        found = avoided(padded, np.array([float(chosen)]), np.array([float(total)]))
        assert found == pytest.approx([expected], abs=1e-12)


def test_the_mean_longest_increasing_subsequence() -> None:
    for length in range(1, 7):
        every = [common(range(length), p) for p in permutations(range(length))]
        assert mean_increasing(length) == pytest.approx(float(np.mean(every)), abs=1e-12)
    assert mean_common(2, 3, 5) == pytest.approx(
        float(np.mean([common((0, 1), p[:3]) for p in permutations(range(5))])), abs=1e-12
    )


def test_a_long_list_has_a_drawn_mean() -> None:
    x, y = sides(60, 3)
    null = evaluate(METRICS.get("lcs_knn"), x, y, params={"k": 31}, n_permutations=19, interval=False).null
    assert null is not None
    assert null.mean is not None
    assert null.kind == "permutation of groups"
    exact = evaluate(METRICS.get("lcs_knn"), x, y, params={"k": 12}, n_permutations=19, interval=False).null
    assert exact is not None
    assert "exact mean" in exact.kind


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("k", [0, 8])
def test_an_impossible_number_of_neighbours_is_refused(name: str, k: int) -> None:
    keywords: dict[str, Any] = {"k": k}
    with pytest.raises(InputError, match=f"k: expected 1 <= k <= n - 2 = 7 neighbours, got {k}"):
        METRICS.get(name)(*sides(9, 1), **keywords)
