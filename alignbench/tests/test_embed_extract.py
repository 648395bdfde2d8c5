"""Embedding a dataset: the right vector on the right row, computed once, kept, and never a bad one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.datasets import Dataset, Sample, with_groups
from alignbench.embed import DamagedShardWarning, Embedder, EmbeddingStore
from alignbench.errors import ModelError
from alignbench.tests.data_files import png
from alignbench.tests.embed_fakes import (
    FakeEncoder,
    FakeLLM,
    OnlyEmbed,
    Watched,
    drawings,
    expected_images,
    expected_texts,
    shards,
)
from alignbench.weights.custom import Custom

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = str(Path(__file__).parents[2])


@pytest.mark.parametrize("batch_size", [1, 7, 32, 1000])
def test_every_row_is_its_own_images_vector(store: EmbeddingStore, batch_size: int) -> None:
    dataset = drawings(100)
    embeddings = Embedder(store, batch_size=batch_size).images(FakeEncoder(), dataset)
    assert np.array_equal(embeddings.values, expected_images(dataset))
    assert embeddings.values.dtype == np.float32
    assert embeddings.ids == tuple(sample.id for sample in dataset.samples)
    again = Embedder(store).images(FakeEncoder(), dataset)
    assert np.array_equal(again.values, embeddings.values)


@pytest.mark.parametrize("max_tokens", [1, 50, 2048])
def test_every_row_is_its_own_texts_vector(store: EmbeddingStore, max_tokens: int) -> None:
    dataset = drawings(100)
    embeddings = Embedder(store, max_tokens=max_tokens).texts(FakeLLM(), dataset)
    assert np.array_equal(embeddings.values, expected_texts(dataset))
    assert embeddings.ids == tuple(sample.id for sample in dataset.samples)


def test_texts_can_be_given_as_they_are(store: EmbeddingStore) -> None:
    embeddings = Embedder(store).texts(FakeLLM(), ["abc", "z", "abc"])
    assert embeddings.values[:, 0].tolist() == [3, 1, 3]
    assert embeddings.ids == ("text-0", "text-1", "text-2")


def test_a_second_time_nothing_is_loaded(store: EmbeddingStore) -> None:
    dataset, loads = drawings(10), []
    for _ in range(2):
        encoder, llm = FakeEncoder(), FakeLLM()
        Embedder(store, on_load=lambda name, _seconds: loads.append(name)).images(encoder, dataset)
        Embedder(store, on_load=lambda name, _seconds: loads.append(name)).texts(llm, dataset)
    assert loads == ["fake", "fake-llm"]
    assert (encoder.loads, encoder.rows, llm.loads, llm.rows) == (0, 0, 0, 0)


def test_only_what_is_missing_is_computed_whatever_the_order(store: EmbeddingStore) -> None:
    Embedder(store).images(FakeEncoder(), drawings(10))
    larger = drawings(25)
    shuffled = replace(larger, samples=larger.samples[::-1])
    encoder = FakeEncoder()
    embeddings = Embedder(store).images(encoder, shuffled)
    assert encoder.rows == encoder.prepared == 15
    assert np.array_equal(embeddings.values, expected_images(shuffled))


def test_what_is_missing_can_be_counted_without_a_trace(store: EmbeddingStore) -> None:
    assert Embedder(store).count_missing(FakeEncoder(), drawings(10)) == 10
    assert Embedder(store).count_missing(FakeLLM(), drawings(10)) == 10
    Embedder(store).images(FakeEncoder(), drawings(4))
    Embedder(store).texts(FakeLLM(), drawings(3))
    assert Embedder(store).count_missing(FakeEncoder(), drawings(10)) == 6
    assert Embedder(store).count_missing(FakeLLM(), drawings(10)) == 7
    assert Embedder(store, dtype="bfloat16").count_missing(FakeEncoder(), drawings(10)) == 10
    assert len(shards(store)) == 2


def test_items_that_occur_twice_are_computed_once(store: EmbeddingStore) -> None:
    samples = tuple(Sample(f"s{i}", png((i % 3, 0, 0)), (f"text {i % 2}",), "chart") for i in range(12))
    dataset = Dataset("twice", with_groups(samples), "made up")
    encoder, llm = FakeEncoder(), FakeLLM()
    assert np.array_equal(Embedder(store).images(encoder, dataset).values, expected_images(dataset))
    assert np.array_equal(Embedder(store).texts(llm, dataset).values, expected_texts(dataset))
    assert (encoder.rows, llm.rows) == (3, 2)


@pytest.mark.parametrize("changed", [{"revision": "2"}, {"dtype": "bfloat16"}])
def test_another_model_or_arithmetic_is_computed_anew(store: EmbeddingStore, changed: dict[str, str]) -> None:
    dataset = drawings(4)
    Embedder(store).images(FakeEncoder(), dataset)
    encoder = FakeEncoder(revision=changed.get("revision", "1"))
    Embedder(store, dtype=changed.get("dtype", "auto")).images(encoder, dataset)
    assert encoder.rows == 4


def test_the_arithmetic_is_recorded(store: EmbeddingStore) -> None:
    for dtype, recorded in (("auto", "float32"), ("bfloat16", "bfloat16")):
        model = Embedder(store, dtype=dtype).images(FakeEncoder(), drawings(3)).model
        assert model.params == {"l2": False, "dtype": recorded}


def test_lengths_are_taken_off_after_the_cache(store: EmbeddingStore) -> None:
    dataset = drawings(5)
    unit = Embedder(store).images(FakeEncoder(l2=True), dataset).values
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    encoder = FakeEncoder(l2=False)
    raw = Embedder(store).images(encoder, dataset).values
    assert encoder.rows == 0
    assert np.array_equal(raw, expected_images(dataset))


def test_the_longest_texts_come_first_and_batches_keep_to_the_budget(store: EmbeddingStore) -> None:
    llm = FakeLLM()
    Embedder(store, max_tokens=64).texts(llm, drawings(60))
    lengths = [length for batch in llm.batches for length in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert all(max(batch) * len(batch) <= 64 for batch in llm.batches)


def test_progress_is_told_of_what_is_missing_only(store: EmbeddingStore) -> None:
    Embedder(store).images(FakeEncoder(), drawings(5))
    progress = Watched()
    Embedder(store, batch_size=4, progress=progress).images(FakeEncoder(), drawings(12))
    assert progress.events == [("start", 7, "fake: images"), 4, 3, "close"]
    progress = Watched()
    Embedder(store, progress=progress).images(FakeEncoder(), drawings(12))
    assert progress.events == []


def test_progress_is_closed_on_an_error(store: EmbeddingStore) -> None:
    class Fails(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            raise RuntimeError("in the middle")

    progress = Watched()
    with pytest.raises(RuntimeError):
        Embedder(store, progress=progress).images(Fails(), drawings(5))
    assert progress.events[-1] == "close"


def test_a_third_party_needs_embed_alone(store: EmbeddingStore) -> None:
    dataset, theirs = drawings(40), OnlyEmbed()
    embeddings = Embedder(store, batch_size=16).images(theirs, dataset)
    expected = expected_images(dataset)
    assert np.allclose(embeddings.values, expected / np.linalg.norm(expected, axis=1, keepdims=True))
    assert (embeddings.model.name, embeddings.model.side, embeddings.model.params) == (
        "theirs",
        "vision",
        {"l2": True},
    )
    assert embeddings.model.weights == "custom"
    texts = Embedder(store).texts(OnlyEmbed(), dataset)
    assert np.allclose(texts.values, [0.6, 0.8])
    assert texts.model.side == "text"


class Wrapped:
    """An object that has nothing itself and passes all of another on, as wrappers of modules do."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


@pytest.mark.parametrize("wrap", [Wrapped, lambda model: Custom(Wrapped(model), "fake", "vision", l2=False)])
def test_what_a_wrapper_passes_on_counts_as_its_own(wrap: Any, store: EmbeddingStore) -> None:
    dataset, encoder = drawings(5), FakeEncoder()
    for _ in range(2):
        embeddings = Embedder(store).images(wrap(encoder), dataset)
        assert np.array_equal(embeddings.values, expected_images(dataset))
    # Loaded once, prepared in threads, cached the second time, and freed.
    assert (encoder.loads, encoder.unloads, encoder.prepared) == (1, 1, 5)


def test_an_object_without_embed_is_named(store: EmbeddingStore) -> None:
    nothing: Any = object()
    for embed in (Embedder(store).images, Embedder(store).texts):
        with pytest.raises(ModelError, match=r"^object: it has no embed\(\) method$"):
            embed(nothing, drawings(2))


def test_without_a_fingerprint_nothing_is_kept(store: EmbeddingStore) -> None:
    theirs = OnlyEmbed()
    for _ in range(2):
        Embedder(store).images(theirs, drawings(5))
    assert theirs.rows == 10
    assert not shards(store)


def test_a_third_party_with_a_fingerprint_is_cached(store: EmbeddingStore) -> None:
    class Known(OnlyEmbed):
        def fingerprint(self) -> dict[str, str]:
            return {"theirs": "v1"}

        def forward(self, _x: Any) -> None:
            raise AssertionError("a module's forward has another meaning")

    theirs = Known()
    for _ in range(2):
        Embedder(store).images(theirs, drawings(5))
    assert theirs.rows == 5


def test_what_is_known_only_after_a_download_is_in_the_key(store: EmbeddingStore) -> None:
    class Downloaded(FakeEncoder):
        def fingerprint(self) -> dict[str, Any]:
            return {"source": "hub", "preprocessing": "known" if self.loads else "not here yet"}

    Embedder(store).images(Downloaded(), drawings(5))
    at_hand = Downloaded(loads=1)
    Embedder(store).images(at_hand, drawings(5))
    assert at_hand.rows == 0


def test_a_damaged_shard_is_computed_anew_with_a_warning(store: EmbeddingStore) -> None:
    dataset = drawings(10)
    before = Embedder(store).images(FakeEncoder(), dataset)
    (shard,) = shards(store)
    content = bytearray(shard.read_bytes())
    content[-3] ^= 0x01  # one bit of one number
    shard.write_bytes(bytes(content))
    encoder = FakeEncoder()
    with pytest.warns(DamagedShardWarning):
        after = Embedder(store).images(encoder, dataset)
    assert encoder.rows == 10
    assert np.array_equal(before.values, after.values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Embedder(store).images(FakeEncoder(), dataset)


@pytest.mark.slow
def test_many_rows_are_many_shards(store: EmbeddingStore) -> None:
    dataset = drawings(600)
    Embedder(store).images(FakeEncoder(), dataset)
    assert len(shards(store)) == 3
    assert np.array_equal(Embedder(store).images(FakeEncoder(), dataset).values, expected_images(dataset))


PAUSED_RUN = """
import logging, sys
from pathlib import Path
from alignbench.embed import Embedder, EmbeddingStore
from alignbench.tests.embed_fakes import FakeEncoder, drawings

class Paused(FakeEncoder):
    def forward(self, batch):
        if self.rows >= int(sys.argv[3]):
            print("paused", flush=True)
            sys.stdin.readline()
            sys.argv[3] = sys.maxsize
        return super().forward(batch)

logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
encoder = Paused()
Embedder(EmbeddingStore(Path(sys.argv[1]))).images(encoder, drawings(int(sys.argv[2])))
print("rows", encoder.rows, "loads", encoder.loads, flush=True)
"""


def paused_run(root: Path, n: int, after: int) -> subprocess.Popen[str]:
    """Embed `n` images in another process, which waits for a line once it has embedded `after` of them."""
    return subprocess.Popen(
        [sys.executable, "-c", PAUSED_RUN, str(root), str(n), str(after)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_run_resumes_at_the_shard(store: EmbeddingStore) -> None:
    with paused_run(store.root, 1200, after=700) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "paused\n"
        os.kill(run.pid, signal.SIGKILL)

    dataset, encoder = drawings(1200), FakeEncoder()
    embeddings = Embedder(store).images(encoder, dataset)
    # Of 700 rows, two shards are complete; the second may still have been on its way to the disk.
    assert encoder.rows in (1200 - 256, 1200 - 2 * 256)
    assert np.array_equal(embeddings.values, expected_images(dataset))


@pytest.mark.slow
def test_two_processes_at_once_encode_once(store: EmbeddingStore) -> None:
    with paused_run(store.root, 400, after=0) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "paused\n"  # it has the lock now
        with paused_run(store.root, 400, after=401) as second:
            assert second.stdout is not None
            assert "another process" in second.stdout.readline()
            assert first.communicate("\n", timeout=60)[0] == "rows 400 loads 1\n"
            assert second.communicate(timeout=60)[0].endswith("rows 0 loads 0\n")
