"""The decisions of a race: against plain arithmetic, and what must hold for any race."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from alignbench.errors import InputError
from alignbench.stats.race import Entry, judge, look_sizes, run_race, spent
from alignbench.stats.splits import stratified_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alignbench.stats.race import Race

NAMES = list("abcdef")


def entries(rows: Any, names: Sequence[str] = NAMES) -> dict[str, Entry]:
    """Return the mean of each column, and the means without each row."""
    values = np.asarray(rows, dtype=float)
    without = (values.sum(axis=0) - values) / (len(values) - 1)
    return {
        name: Entry(float(values[:, i].mean()), without[:, i].tolist())
        for i, name in enumerate(names[: values.shape[1]])
    }


def drawn(n: int, means: Sequence[float], seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, len(means))) + rng.normal(size=(n, 1)) + np.asarray(means)


def naive(rows: Any, level: float) -> set[int]:
    """Return whom a paired t test against the leader drops, step by step."""
    leader = int(np.argmax(rows.mean(axis=0)))
    rest = [i for i in range(rows.shape[1]) if i != leader]
    p = {i: stats.ttest_rel(rows[:, leader], rows[:, i], alternative="greater").pvalue for i in rest}
    gone: set[int] = set()
    for step, i in enumerate(sorted(rest, key=p.__getitem__)):
        if p[i] > level / (len(rest) - step):
            break
        gone.add(i)
    return gone


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_a_look_drops_whom_paired_t_tests_with_holms_correction_drop(seed: int, level: float) -> None:
    rows = drawn(30, [0.9, 0.7, 0.5, 0.2, 0.0, -0.5], seed)
    look = judge(entries(rows), 30, level)
    assert {NAMES.index(name) for name in look.dropped} == naive(rows, level)
    leader = NAMES.index(str(look.leader))
    for name, one in look.behind.items():
        test = stats.ttest_rel(rows[:, leader], rows[:, NAMES.index(name)], alternative="greater")
        assert one.p == pytest.approx(test.pvalue, rel=1e-9)
        wide = test.confidence_interval(1 - level / 5)
        assert one.reach == pytest.approx(2 * one.lead - wide.low, rel=1e-9)


def test_the_level_decides_and_not_the_order_of_the_names() -> None:
    rows = drawn(40, [0.6, 0.0, 0.3])
    look, other = judge(entries(rows), 40, 0.05), judge(entries(rows[:, ::-1], "cba"), 40, 0.05)
    assert (look.values, look.behind) == (other.values, other.behind)
    assert set(judge(entries(rows), 40, 1e-6).dropped) < set(look.dropped) | {"c"}


def test_where_low_is_better_the_lowest_leads() -> None:
    rows = drawn(40, [0.0, 3.0])
    assert judge(entries(rows), 40, 0.05).leader == "b"
    look = judge(entries(rows), 40, 0.05, higher_is_better=False)
    assert (look.leader, look.dropped, look.stays) == ("a", ("b",), ("a",))


def test_copies_of_the_leader_stay_and_whoever_is_worse_by_a_constant_drops_out() -> None:
    column = drawn(30, [0.0])[:, 0]
    look = judge(entries(np.stack([column, column, column - 0.1], axis=1)), 30, 0.01)
    assert look.stays == ("a", "b")
    assert look.behind["b"].p == 0.5
    assert look.behind["c"].p == 0


def test_one_model_alone_and_none_at_all_drop_nobody() -> None:
    assert judge(entries(drawn(30, [0.0])), 30, 0.05).stays == ("a",)
    empty = judge({}, 30, 0.05, unscored={"a": "no value"})
    assert (empty.leader, empty.stays, empty.within(1.0)) == (None, (), True)


def test_looks_double_up_to_all_groups() -> None:
    assert look_sizes(90) == [23, 45, 90]
    assert look_sizes(640) == [20, 40, 80, 160, 320, 640]
    assert look_sizes(39) == [20, 39]
    assert look_sizes(20) == [20]
    with pytest.raises(InputError, match="a race needs at least 20 groups of samples, got 19"):
        look_sizes(19)


def test_looks_spend_the_error_level_and_no_more() -> None:
    parts = [spent(look, 7, 0.05) - spent(look - 1, 7, 0.05) for look in range(1, 8)]
    assert sum(parts) == pytest.approx(0.05)
    assert min(parts) > 0
    assert spent(0, 7) == 0


class World:
    """Normal values of known means; it remembers who was asked for."""

    def __init__(self, means: Sequence[float], n: int = 320, seed: int = 1) -> None:
        self.rows = drawn(n, means, seed)
        self.asked: list[tuple[tuple[str, ...], int]] = []

    def score(self, names: Sequence[str], groups: int) -> Mapping[str, Entry | str]:
        self.asked.append((tuple(names), groups))
        every = entries(self.rows[:groups])
        return {name: every[name] for name in names}

    def race(self, **how: Any) -> Race:
        names = NAMES[: self.rows.shape[1]]
        return run_race(names, how.pop("sizes", look_sizes(len(self.rows))), self.score, **how)


def test_who_was_dropped_is_not_scored_again_and_the_last_one_ends_the_race() -> None:
    world = World([3.0, 2.5, 0.0, 0.0])
    race = world.race()
    assert race.ending == "one is left"
    assert race.survivors == ("a",)
    assert [groups for _, groups in world.asked] == [look.groups for look in race.looks]
    for (names, _), look in zip(world.asked[1:], race.looks, strict=False):
        assert set(names) == set(look.stays)
    assert race.entries == sum(
        max(groups for names, groups in world.asked if name in names) for name in NAMES[:4]
    )


def test_equal_models_go_to_the_end_or_are_within_the_margin() -> None:
    same = World([0.0, 0.0])
    whole = same.race(error=0.1)
    assert whole.ending == "all pairs"
    assert [look.level for look in whole.looks] == pytest.approx([0.02] * 5)
    wide = World([0.0, 0.0]).race(margin=1.0)
    assert wide.ending == "margin"
    assert all(one.reach < 1.0 for one in wide.looks[-1].behind.values())
    assert not any(look.within(1.0) for look in wide.looks[:-1])


def test_a_difference_that_may_be_as_large_as_the_margin_does_not_end_the_race() -> None:
    rows = drawn(20, [0.0, 0.0], seed=1)
    look = judge(entries(rows), 20, 0.01)
    [one] = look.behind.values()
    assert one.lead < 0.5 < one.reach
    assert not look.within(0.5)
    assert look.within(one.reach * 1.001)


def test_the_budget_is_asked_before_each_look() -> None:
    world = World([0.0, 0.0])
    race = world.race(affordable=lambda names, groups: groups <= 40)
    assert race.ending == "budget"
    assert [look.groups for look in race.looks] == [20, 40]
    assert race.survivors == race.looks[-1].stays
    none = World([0.0, 0.0]).race(affordable=lambda names, groups: False)
    assert (none.looks, none.survivors, none.entries) == ((), (), 0)


def test_a_model_without_a_score_leaves_the_race_with_its_reason() -> None:
    world = World([0.0, 0.0, 0.0])

    def score(names: Sequence[str], groups: int) -> dict[str, Entry | str]:
        return {**world.score(names, groups), **({"c": "no value"} if "c" in names else {})}

    race = run_race(NAMES[:3], [20, 40], score)
    assert race.looks[0].unscored == {"c": "no value"}
    assert set(world.asked[1][0]) == {"a", "b"}
    assert race.entries == 40 + 40 + 20


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"sizes": []}, "one look, got 2 and 0"),
        ({"error": 0.0}, "0 < error < 1"),
        ({"error": 1.0}, "0 < error < 1"),
        ({"margin": -0.1}, "margin >= 0, got 0.05 and -0.1"),
        ({"margin": float("nan")}, "margin >= 0"),
    ],
)
def test_what_makes_no_sense_is_refused(how: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        World([0.0, 0.0]).race(**how)
    with pytest.raises(InputError, match="at least two models and one look, got 1"):
        run_race(["a"], [20], World([0.0]).score)


def test_every_beginning_has_whole_groups_and_the_types_of_all() -> None:
    rng = np.random.default_rng(0)
    kinds = np.repeat(["chart", "table", "document"], [200, 100, 40])
    groups = np.asarray([f"{kind}{i // 2}" for i, kind in enumerate(kinds)])  # two rows a group
    place = stratified_order(groups, kinds, 1, "race")
    assert sorted(set(place)) == list(range(170))
    assert all(len(set(place[groups == name])) == 1 for name in set(groups))
    for size in (17, 34, 85):
        counts = [
            len(set(groups[(place < size) & (kinds == kind)])) for kind in ("chart", "table", "document")
        ]
        assert np.abs(np.asarray(counts) - size * np.asarray([100, 50, 20]) / 170).max() <= 1
    mixed = rng.permutation(len(kinds))
    np.testing.assert_array_equal(stratified_order(groups[mixed], kinds[mixed], 1, "race"), place[mixed])
    assert (stratified_order(groups, kinds, 2, "race") != place).mean() > 0.9
