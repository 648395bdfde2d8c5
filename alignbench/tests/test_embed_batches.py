"""Batches of texts: every text once, within the budget, and cut where it costs the least."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignbench.embed import Embedder, EmbeddingStore
from alignbench.embed.batches import text_batches
from alignbench.tests.embed_fakes import FakeLLM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def cost(lengths: Sequence[int], cut: Sequence[Sequence[int]], overhead: int) -> int:
    return sum(overhead + len(batch) * max(lengths[row] for row in batch) for batch in cut)


def all_cuts(lengths: Sequence[int], max_tokens: int, max_rows: int) -> Iterator[list[list[int]]]:
    """Yield every way to cut the sorted texts that keeps to the limits."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    for ends in itertools.product([False, True], repeat=len(order) - 1):
        cut: list[list[int]] = [[order[0]]]
        for row, new in zip(order[1:], ends, strict=True):
            cut.append([row]) if new else cut[-1].append(row)
        if all(
            len(batch) == 1 or (len(batch) <= max_rows and len(batch) * lengths[batch[0]] <= max_tokens)
            for batch in cut
        ):
            yield cut


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 100), st.integers(1, 9), st.integers(0, 200))
def test_each_text_comes_once_within_budget_longest_first(
    lengths: list[int], max_tokens: int, max_rows: int, overhead: int
) -> None:
    cut = list(text_batches(lengths, max_tokens, max_rows, overhead=overhead))
    rows = [row for batch in cut for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[row] for row in rows] == sorted(lengths, reverse=True)
    for batch in cut:
        assert len(batch) == 1 or max(lengths[row] for row in batch) * len(batch) <= max_tokens
        assert len(batch) <= max_rows


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=9),
    st.integers(1, 120),
    st.integers(1, 9),
    st.integers(0, 60),
)
def test_no_other_cut_is_cheaper(lengths: list[int], max_tokens: int, max_rows: int, overhead: int) -> None:
    ours = cost(lengths, list(text_batches(lengths, max_tokens, max_rows, overhead=overhead)), overhead)
    assert ours == min(cost(lengths, cut, overhead) for cut in all_cuts(lengths, max_tokens, max_rows))


@pytest.mark.parametrize(
    ("overhead", "sizes"),
    [(1, [1, 2, 3]), (32, [1, 5]), (1000, [6])],
    ids=["batches cost little", "some padding", "few batches"],
)
def test_what_a_batch_costs_weighs_against_padding(overhead: int, sizes: list[int]) -> None:
    lengths = [10, 12, 100, 10, 12, 10]
    assert [len(batch) for batch in text_batches(lengths, 2048, overhead=overhead)] == sizes


def test_of_cuts_that_cost_the_same_the_largest_batches_come_first() -> None:
    assert [len(batch) for batch in text_batches([64] * 70, 2048)] == [32, 32, 6]


def test_a_gpu_gets_fewer_and_larger_batches(store: EmbeddingStore) -> None:
    counts = {}
    for device in ("cpu", "cuda"):
        llm = FakeLLM()
        Embedder(store, device=device).texts(llm, ["x" * (1 + i) for i in range(40)])
        counts[device] = len(llm.batches)
        store = EmbeddingStore()
    assert counts["cpu"] > counts["cuda"] >= 1
