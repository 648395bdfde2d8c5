"""Shards are fixed, trees merge the same bits in any order, and lost work is given to another worker."""

from __future__ import annotations

import random
import warnings
from collections import deque
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignbench.errors import AlignbenchWarning, InputError, WorkerLostError
from alignbench.executors import MergeTree, Piece, cut
from alignbench.executors.sharing import Finished, Lost, Ready, shared_out

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class FakePool:
    """Workers in this process, of which some die; what happens next is drawn.

    Args:
        seed: draws the order of events.
        size: how many workers there is room for.
        deaths: how many workers die with the piece of each place.
        stillborn: how many workers die before they are ready.
    """

    def __init__(
        self, seed: int, size: int, deaths: dict[int, int] | None = None, stillborn: int = 0
    ) -> None:
        self._draw = random.Random(seed)
        self.size = size
        self.deaths = dict(deaths or {})
        self.stillborn = stillborn
        self.hired = 0
        self.most = 0
        self.done: list[int] = []
        self._starting: list[int] = []
        self._busy: dict[int, int] = {}
        self._alive: set[int] = set()

    def hire(self) -> int:
        self.hired += 1
        self._alive.add(self.hired)
        self.most = max(self.most, len(self._alive))
        self._starting.append(self.hired)
        return self.hired

    def give(self, worker: int, piece: Piece[int]) -> None:
        assert worker not in self._starting, "a worker got a piece before it was ready"
        assert worker not in self._busy, "a worker got a piece beside another"
        self._busy[worker] = piece.content

    def next(self) -> Ready | Finished[int] | Lost:
        worker = self._draw.choice([*self._starting, *self._busy])
        if worker in self._starting:
            self._starting.remove(worker)
            if self.stillborn:
                self.stillborn -= 1
                self._alive.remove(worker)
                return Lost(worker, "no room")
            return Ready(worker)
        content = self._busy.pop(worker)
        if self.deaths.get(content, 0):
            self.deaths[content] -= 1
            self._alive.remove(worker)
            return Lost(worker, "killed")
        self.done.append(content)
        return Finished(worker, 2 * content)


def pieces(n: int) -> list[Piece[int]]:
    return [Piece(f"shard {i + 1}", i) for i in range(n)]


@given(st.sets(st.integers(0, 500)), st.integers(1, 60))
def test_a_shard_is_a_matter_of_position_alone(rows: set[int], size: int) -> None:
    shards = cut(sorted(rows), size, 501)
    assert [row for shard in shards for row in shard.rows] == sorted(rows)
    for shard in shards:
        assert shard.rows
        assert shard.start == shard.number * size
        assert all(shard.start <= row < shard.stop for row in shard.rows)
    every = {shard.number: (shard.start, shard.stop) for shard in cut(range(501), size, 501)}
    assert all(every[shard.number] == (shard.start, shard.stop) for shard in shards)
    assert max(stop for _, stop in every.values()) == 501


def test_shards_have_names_that_count_from_one_and_are_never_empty() -> None:
    assert [shard.name for shard in cut([0, 2499], 1000, 2500)] == [
        "shard 1 (rows 1 to 1,000)",
        "shard 3 (rows 2,001 to 2,500)",
    ]
    with pytest.raises(InputError, match="at least 1 row in each, got 0"):
        cut([1], 0, 3)


def naive(parts: list[T], merge: Callable[[T, T], T]) -> T:
    """Merge neighbours level by level."""
    while len(parts) > 1:
        pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
        parts = [merge(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return parts[0]


def bracketed(a: str, b: str) -> str:
    return f"({a}{b})"


@given(st.integers(1, 70), st.randoms(use_true_random=False))
def test_the_tree_is_the_same_in_whichever_order_parts_arrive(n: int, draw: random.Random) -> None:
    order = list(range(n))
    draw.shuffle(order)
    tree = MergeTree(n, bracketed)
    for place in order:
        tree.add(place, f"{place},")
    assert tree.result() == naive([f"{place}," for place in range(n)], bracketed)


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_sums_of_floats_have_the_same_bits_in_any_order_of_arrival(
    parts: list[float], draw: random.Random
) -> None:
    tree: MergeTree[float] = MergeTree(len(parts), float.__add__)
    for place in draw.sample(range(len(parts)), len(parts)):
        tree.add(place, parts[place])
    assert tree.result().hex() == naive(parts, float.__add__).hex()


def test_a_tree_refuses_parts_twice_parts_it_lacks_and_no_parts() -> None:
    tree: MergeTree[int] = MergeTree(3, int.__add__)
    tree.add(1, 5)
    with pytest.raises(InputError, match="part 1 of a tree: it is there already"):
        tree.add(1, 5)
    with pytest.raises(InputError, match="part 3 of a tree: there are 3"):
        tree.add(3, 5)
    with pytest.raises(InputError, match="2 are missing, the first is part 0"):
        tree.result()
    with pytest.raises(InputError, match="at least 1, got 0"):
        MergeTree(0, int.__add__)


def test_a_tree_holds_few_parts_that_arrive_in_order() -> None:
    live: set[int] = set()
    most = 0

    class Part:
        def __init__(self) -> None:
            nonlocal most
            live.add(id(self))
            most = max(most, len(live))

        def __del__(self) -> None:
            live.discard(id(self))

    tree: MergeTree[Part] = MergeTree(256, lambda a, b: Part())
    for place in range(256):
        tree.add(place, Part())
    assert most <= 12


@given(st.integers(0, 1000), st.integers(1, 5), st.integers(1, 12), st.sets(st.integers(0, 11)))
def test_every_piece_is_done_once_whoever_dies(seed: int, size: int, n: int, lost: set[int]) -> None:
    pool = FakePool(seed, size, dict.fromkeys(lost, 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = dict(shared_out(pool, pieces(n), "clip"))
    assert results == {place: 2 * place for place in range(n)}
    assert sorted(pool.done) == list(range(n))
    assert pool.most <= min(size, n)
    said = deque(sorted(str(warning.message) for warning in caught))
    assert said == deque(
        sorted(
            f"clip: a worker was lost with shard {place + 1} (killed); another one computes it"
            for place in lost
            if place < n
        )
    )


def test_a_piece_lost_twice_is_an_error_that_names_it() -> None:
    with (
        pytest.warns(AlignbenchWarning, match="lost with shard 2"),
        pytest.raises(
            WorkerLostError, match=r"^clip: shard 2 was lost twice, with the workers .*: killed; if memory"
        ),
    ):
        list(shared_out(FakePool(1, 2, {1: 2}), pieces(4), "clip"))


def test_workers_that_never_start_are_an_error_and_one_of_them_is_not() -> None:
    assert len(dict(shared_out(FakePool(3, 2, stillborn=1), pieces(4), "clip"))) == 4
    with pytest.raises(WorkerLostError, match=r"^clip: two workers could not be started: no room$"):
        list(shared_out(FakePool(3, 2, stillborn=2), pieces(4), "clip"))


def test_where_there_is_no_room_any_more_one_worker_is_waited_for() -> None:
    pool = FakePool(5, 0)
    assert len(dict(shared_out(pool, pieces(3), "clip"))) == 3
    assert pool.hired == 1
