"""The index of a shelf: compact, appended, and never believed; reading by it takes one array."""

from __future__ import annotations

import json
import os
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.embed import EmbeddingStore, Shelf
from alignbench.embed.index import Record, digests
from alignbench.tests.stores import KEY, assert_holds, index_of, items, shards, vectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def index_saying(content: dict[str, list[str]]) -> bytes:
    return b"".join(Record(shard, digests(held)).encoded() for shard, held in content.items())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda index: None, id="deleted"),
        pytest.param(lambda index: b"", id="empty"),
        pytest.param(lambda index: index[:-1], id="cut off in a record"),
        pytest.param(lambda index: index[:20], id="cut off in a head"),
        pytest.param(lambda index: index[: len(index) // 2], id="cut off between records"),
        pytest.param(lambda index: index[:100] + bytes([index[100] ^ 1]) + index[101:], id="a flipped bit"),
        pytest.param(lambda index: index + b"half", id="half a record of a killed writer"),
        pytest.param(lambda index: b"half" + index, id="garbage first"),
        pytest.param(lambda index: index + index, id="twice"),
        pytest.param(lambda index: b'{"a": []}', id="of another format"),
        pytest.param(lambda index: b"abi1" + b"\xff" * 40, id="of 4e9 rows"),
        pytest.param(lambda index: index_saying({"0" * 64: items(8)}), id="of shards that are not there"),
    ],
)
def test_an_index_that_is_wrong_is_made_anew(shelf: Shelf, change: Callable[[bytes], bytes | None]) -> None:
    assert_holds(shelf, 8)
    path = shelf.folder / "index.bin"
    good, index = index_of(shelf), change(path.read_bytes())
    if index is None:
        path.unlink()
    else:
        path.write_bytes(index)
    assert_holds(Shelf(shelf.folder), 8)
    assert index_of(shelf) == good


def test_something_else_in_the_indexs_place_does_no_harm(shelf: Shelf) -> None:
    path = shelf.folder / "index.bin"
    path.unlink()
    path.mkdir()
    assert_holds(shelf, 8)
    shelf.write(items(2, 8), vectors(2, 8))
    assert_holds(shelf, 10)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a pipe with a name")
def test_a_pipe_in_the_indexs_place_does_not_block(shelf: Shelf) -> None:
    good = index_of(shelf)
    (shelf.folder / "index.bin").unlink()
    os.mkfifo(shelf.folder / "index.bin")
    shelf.write(items(2, 8), vectors(2, 8))
    assert_holds(shelf, 10)
    assert index_of(shelf).items() > good.items()


def test_an_index_that_lies_about_shards_gives_nothing_wrong(shelf: Shelf) -> None:
    path, good = shelf.folder / "index.bin", index_of(shelf)
    first, second = sorted(good)
    lies = [
        {first: good[second], second: good[first]},
        {first: good[first][::-1], second: good[second][1:]},
        {first: [*good[first], *good[second], *items(50, 100)], second: items(4, 50)},
    ]
    for lie in lies:
        path.write_bytes(index_saying(lie))
        assert_holds(Shelf(shelf.folder), 8)
        assert index_of(shelf) == good


def test_a_lie_that_shows_in_a_later_block_gives_nothing_wrong(shelf: Shelf) -> None:
    good = index_of(shelf)
    first, second = sorted(good)
    last = good[second]
    (shelf.folder / "index.bin").write_bytes(
        index_saying({first: good[first], second: [*last[:2], last[3], last[2]]})
    )
    wanted = [*good[first], *good[second]]
    blocks = [*Shelf(shelf.folder).blocks(wanted, 2)]
    assert all(block.there.all() for block in blocks)
    found = np.concatenate([block.values for block in blocks])
    assert found.tolist() == vectors(8)[[items(8).index(item) for item in wanted]].tolist()


def test_a_cache_of_an_earlier_version_is_read(shelf: Shelf) -> None:
    good = index_of(shelf)
    (shelf.folder / "index.bin").unlink()
    (shelf.folder / "index.json").write_text(json.dumps(good))
    assert_holds(Shelf(shelf.folder), 8)
    assert index_of(shelf) == good


def test_an_item_takes_at_most_60_bytes_of_the_index(tmp_path: Path) -> None:
    shelf = EmbeddingStore(tmp_path).shelf(KEY)
    for start in range(0, 1000, 250):
        shelf.write(items(250, start), vectors(250, start))
    assert (shelf.folder / "index.bin").stat().st_size < 33 * 1000
    assert_holds(shelf, 1000)
    assert index_of(shelf).keys() == {path.stem for path in shards(shelf)}


@pytest.mark.slow
def test_reading_takes_the_memory_of_the_array_and_little_besides(tmp_path: Path) -> None:
    n, d = 10_000, 768
    shelf, wanted = EmbeddingStore(tmp_path).shelf(KEY), items(n)
    rng = np.random.default_rng(0)
    for start in range(0, n, 256):
        held = wanted[start : start + 256]
        shelf.write(held, rng.standard_normal((len(held), d), dtype=np.float32))
    read = Shelf(shelf.folder)
    tracemalloc.start()
    try:
        stored = read.read(wanted)
        whole = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for start, block in zip(range(0, n, 512), read.blocks(wanted, 512), strict=True):
            assert np.array_equal(block.values, stored.values[start : start + 512])
        one = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert stored.there.all()
    assert whole < 1.1 * stored.values.nbytes + 3 * 256 * d * 4  # a shard, as bytes and decoded
    assert one < 0.25 * stored.values.nbytes
