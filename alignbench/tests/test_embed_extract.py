"""Embedding a dataset: the right vector on the right row, computed once, kept, and never a bad one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignbench.datasets import Dataset, Sample, load_mixed, with_groups
from alignbench.embed import DamagedShardWarning, EmbeddingStore, count_missing, embed_images, embed_texts
from alignbench.embed.batches import text_batches
from alignbench.errors import DataError, InputError, ModelError
from alignbench.tests.data_files import charts_and_tables, png
from alignbench.tests.embed_fakes import (
    FakeEncoder,
    FakeLLM,
    OnlyEmbed,
    Watched,
    drawings,
    expected_images,
    expected_texts,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = str(Path(__file__).parents[2])


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path / "cache")


def shards(store: EmbeddingStore) -> list[Path]:
    return sorted(store.root.rglob("[!.]*.safetensors"))  # no temporaries


@pytest.mark.parametrize("batch_size", [1, 7, 32, 1000])
def test_every_row_is_its_own_images_vector(store: EmbeddingStore, batch_size: int) -> None:
    dataset = drawings(100)
    embeddings = embed_images(FakeEncoder(), dataset, store=store, batch_size=batch_size)
    assert np.array_equal(embeddings.values, expected_images(dataset))
    assert embeddings.values.dtype == np.float32
    assert embeddings.ids == tuple(sample.id for sample in dataset.samples)
    again = embed_images(FakeEncoder(), dataset, store=store)
    assert np.array_equal(again.values, embeddings.values)


@pytest.mark.parametrize("max_tokens", [1, 50, 2048])
def test_every_row_is_its_own_texts_vector(store: EmbeddingStore, max_tokens: int) -> None:
    dataset = drawings(100)
    embeddings = embed_texts(FakeLLM(), dataset, store=store, max_tokens=max_tokens)
    assert np.array_equal(embeddings.values, expected_texts(dataset))
    assert embeddings.ids == tuple(sample.id for sample in dataset.samples)


def test_texts_can_be_given_as_they_are(store: EmbeddingStore) -> None:
    embeddings = embed_texts(FakeLLM(), ["abc", "z", "abc"], store=store)
    assert embeddings.values[:, 0].tolist() == [3, 1, 3]
    assert embeddings.ids == ("text-0", "text-1", "text-2")


def test_a_second_time_nothing_is_loaded(store: EmbeddingStore) -> None:
    dataset, loads = drawings(10), []
    for _ in range(2):
        encoder, llm = FakeEncoder(), FakeLLM()
        embed_images(encoder, dataset, store=store, on_load=lambda name, _seconds: loads.append(name))
        embed_texts(llm, dataset, store=store, on_load=lambda name, _seconds: loads.append(name))
    assert loads == ["fake", "fake-llm"]
    assert (encoder.loads, encoder.rows, llm.loads, llm.rows) == (0, 0, 0, 0)


def test_only_what_is_missing_is_computed_whatever_the_order(store: EmbeddingStore) -> None:
    embed_images(FakeEncoder(), drawings(10), store=store)
    larger = drawings(25)
    shuffled = replace(larger, samples=larger.samples[::-1])
    encoder = FakeEncoder()
    embeddings = embed_images(encoder, shuffled, store=store)
    assert encoder.rows == encoder.prepared == 15
    assert np.array_equal(embeddings.values, expected_images(shuffled))


def test_what_is_missing_can_be_counted_without_a_trace(store: EmbeddingStore) -> None:
    assert count_missing(FakeEncoder(), drawings(10), store=store) == 10
    assert count_missing(FakeLLM(), drawings(10), store=store) == 10
    embed_images(FakeEncoder(), drawings(4), store=store)
    embed_texts(FakeLLM(), drawings(3), store=store)
    assert count_missing(FakeEncoder(), drawings(10), store=store) == 6
    assert count_missing(FakeLLM(), drawings(10), store=store) == 7
    assert count_missing(FakeEncoder(), drawings(10), store=store, dtype="bfloat16") == 10
    assert len(shards(store)) == 2


def test_items_that_occur_twice_are_computed_once(store: EmbeddingStore) -> None:
    samples = tuple(Sample(f"s{i}", png((i % 3, 0, 0)), (f"text {i % 2}",), "chart") for i in range(12))
    dataset = Dataset("twice", with_groups(samples), "made up")
    encoder, llm = FakeEncoder(), FakeLLM()
    assert np.array_equal(embed_images(encoder, dataset, store=store).values, expected_images(dataset))
    assert np.array_equal(embed_texts(llm, dataset, store=store).values, expected_texts(dataset))
    assert (encoder.rows, llm.rows) == (3, 2)


@pytest.mark.parametrize("changed", [{"revision": "2"}, {"dtype": "bfloat16"}])
def test_another_model_or_arithmetic_is_computed_anew(store: EmbeddingStore, changed: dict[str, str]) -> None:
    dataset = drawings(4)
    embed_images(FakeEncoder(), dataset, store=store)
    encoder = FakeEncoder(revision=changed.get("revision", "1"))
    embed_images(encoder, dataset, store=store, dtype=changed.get("dtype", "auto"))
    assert encoder.rows == 4


def test_the_arithmetic_is_recorded(store: EmbeddingStore) -> None:
    for dtype, recorded in (("auto", "float32"), ("bfloat16", "bfloat16")):
        model = embed_images(FakeEncoder(), drawings(3), store=store, dtype=dtype).model
        assert model.params == {"l2": False, "dtype": recorded}


def test_lengths_are_taken_off_after_the_cache(store: EmbeddingStore) -> None:
    dataset = drawings(5)
    unit = embed_images(FakeEncoder(l2=True), dataset, store=store).values
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    encoder = FakeEncoder(l2=False)
    raw = embed_images(encoder, dataset, store=store).values
    assert encoder.rows == 0
    assert np.array_equal(raw, expected_images(dataset))


def test_a_vector_without_direction_is_an_error_that_names_its_sample(store: EmbeddingStore) -> None:
    class Zero(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            return super().forward(batch) * [[row[0] != 2] for row in batch]

    with pytest.raises(ModelError, match="'s2' is zero"):
        embed_images(Zero(l2=True), drawings(5), store=store)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_names_its_sample_and_is_never_kept(
    store: EmbeddingStore, value: float
) -> None:
    class Overflows(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            out = super().forward(batch)
            out[[row[0] in (13, 14) for row in batch], 1] = value
            return out

    overflowing = Overflows()
    with pytest.raises(ModelError, match="fake: 2 of 10 vectors are not finite, the first of sample 's13'"):
        embed_images(overflowing, drawings(20), store=store, batch_size=10)
    assert overflowing.unloads == 1
    sound = FakeEncoder()
    embed_images(sound, drawings(20), store=store)
    assert sound.rows == 10  # the batch before was kept, none of the bad one


def test_the_model_is_freed_whatever_happens(store: EmbeddingStore) -> None:
    class Fails(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            raise RuntimeError("a driver fell over")

    class Stopped(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            raise KeyboardInterrupt

    class Missing(FakeEncoder):
        def load(self, device: str, dtype: str) -> None:
            raise ModelError("no weights")

    for failing, error in ((Fails(), RuntimeError), (Stopped(), KeyboardInterrupt), (Missing(), ModelError)):
        with pytest.raises(error):
            embed_images(failing, drawings(3), store=store)
        assert failing.unloads == 1
    encoder = FakeEncoder()
    embed_images(encoder, drawings(3), store=store)
    assert (encoder.loads, encoder.unloads) == (1, 1)


def test_out_of_memory_names_the_batch_and_the_way_out(store: EmbeddingStore) -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch's is called."""

    class Large(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            raise OutOfMemoryError

    with pytest.raises(ModelError, match=r"out of memory with 8 samples a batch.*--align-batch-size"):
        embed_images(Large(), drawings(20), store=store, batch_size=8)

    class LargeLLM(FakeLLM):
        def forward(self, batch: Sequence[Sequence[int]]) -> Any:
            raise MemoryError

    # There is no option for the size of a batch of texts.
    with pytest.raises(ModelError, match=r"out of memory with.*give --align-device cpu or --align-quantize"):
        embed_texts(LargeLLM(), drawings(20), store=store)


def test_weights_that_do_not_fit_are_one_line(store: EmbeddingStore) -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch's is called."""

    class Huge(FakeEncoder):
        def load(self, device: str, dtype: str) -> None:
            raise ModelError("torch can't use device 'cuda'") from OutOfMemoryError("CUDA\nout of memory")

    with pytest.raises(ModelError, match=r"^fake: out of memory while its weights were loaded; give --align"):
        embed_images(Huge(), drawings(3), store=store)


@pytest.mark.parametrize("shape", [(3,), (2, 4), (3, 4, 5)])
def test_another_shape_than_a_row_a_sample_is_an_error(store: EmbeddingStore, shape: tuple[int, ...]) -> None:
    class Odd(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            return np.ones(shape)

    with pytest.raises(ModelError, match=r"expected vectors \[3, d\], got shape"):
        embed_images(Odd(), drawings(3), store=store)
    assert not shards(store)


def test_images_are_prepared_in_threads_a_bounded_way_ahead(store: EmbeddingStore) -> None:
    class Slow(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            time.sleep(0.01)
            return super().forward(batch)

    encoder = Slow()
    embed_images(encoder, drawings(80), store=store, batch_size=8)
    assert all(name.startswith("alignbench-decode") for name in encoder.threads)
    assert 8 < encoder.most_ahead <= 16


def test_no_thread_outlives_the_work(store: EmbeddingStore) -> None:
    import threading

    class Fails(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        embed_images(Fails(), drawings(50), store=store, batch_size=4)
    assert not [t for t in threading.enumerate() if t.name.startswith("alignbench-decode")]


def broken(name: str, blue: int = 3) -> Sample:
    """A sample whose image looks well until it is decoded."""
    content = bytearray(png((1, 2, blue), (64, 64)))
    content[content.index(b"IDAT") + 12] ^= 0xFF
    return Sample(name, bytes(content), ("a",), "chart")


def test_an_image_that_cannot_be_decoded_names_its_sample(store: EmbeddingStore) -> None:
    dataset = Dataset("d", (broken("bad"), *drawings(3).samples), "made up")
    with pytest.raises(DataError, match=r"^sample 'bad': image [^;]*: broken or truncated[^;]*$"):
        embed_images(FakeEncoder(), dataset, store=store)


def test_all_images_that_cannot_be_decoded_are_named_at_once_and_the_others_kept(
    store: EmbeddingStore,
) -> None:
    good = drawings(20)
    bad = [broken(f"bad{i}", blue=i) for i in range(12)]
    dataset = Dataset("d", (*bad[:6], *good.samples, *bad[6:]), "made up")
    with pytest.raises(DataError, match=r"^sample 'bad0': .*; and 11 more .*: 'bad1', .*'bad9', \.\.\.$"):
        embed_images(FakeEncoder(), dataset, store=store, batch_size=4)
    encoder = FakeEncoder()
    embed_images(encoder, good, store=store)
    assert encoder.rows == 0


def test_an_image_that_changed_since_it_was_read_is_not_kept_under_its_old_name(
    store: EmbeddingStore, tmp_path: Path
) -> None:
    dataset = load_mixed(None, root=charts_and_tables(tmp_path / "root", n=2))
    image = dataset.samples[0].image
    assert isinstance(image, Path)
    image.write_bytes(png((99, 99, 99)))
    with pytest.raises(DataError, match="'chart_00': its image has changed"):
        embed_images(FakeEncoder(), dataset, store=store)


def test_a_text_without_tokens_names_its_sample(store: EmbeddingStore) -> None:
    with pytest.raises(DataError, match="'text-1': fake-llm makes no token"):
        embed_texts(FakeLLM(), ["a", ""], store=store)


def test_arguments_that_cannot_be_are_errors(store: EmbeddingStore) -> None:
    with pytest.raises(InputError, match="batch_size"):
        embed_images(FakeEncoder(), drawings(1), store=store, batch_size=0)
    with pytest.raises(InputError, match="max_tokens"):
        embed_texts(FakeLLM(), ["a"], store=store, max_tokens=0)
    with pytest.raises(InputError, match="nothing to embed"):
        embed_texts(FakeLLM(), [], store=store)


def test_the_longest_texts_come_first_and_batches_keep_to_the_budget(store: EmbeddingStore) -> None:
    llm = FakeLLM()
    embed_texts(llm, drawings(60), store=store, max_tokens=64)
    lengths = [length for batch in llm.batches for length in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert all(max(batch) * len(batch) <= 64 for batch in llm.batches)


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 100), st.integers(1, 9))
def test_text_batches_take_each_text_once_within_budget(
    lengths: list[int], max_tokens: int, max_rows: int
) -> None:
    batches = list(text_batches(lengths, max_tokens, max_rows))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[row] for row in batch) * len(batch) <= max_tokens
        assert len(batch) <= max_rows


def test_progress_is_told_of_what_is_missing_only(store: EmbeddingStore) -> None:
    embed_images(FakeEncoder(), drawings(5), store=store)
    progress = Watched()
    embed_images(FakeEncoder(), drawings(12), store=store, batch_size=4, progress=progress)
    assert progress.events == [("start", 7, "fake: images"), 4, 3, "close"]
    progress = Watched()
    embed_images(FakeEncoder(), drawings(12), store=store, progress=progress)
    assert progress.events == []


def test_progress_is_closed_on_an_error(store: EmbeddingStore) -> None:
    class Fails(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            raise RuntimeError("in the middle")

    progress = Watched()
    with pytest.raises(RuntimeError):
        embed_images(Fails(), drawings(5), store=store, progress=progress)
    assert progress.events[-1] == "close"


def test_a_third_party_needs_embed_alone(store: EmbeddingStore) -> None:
    dataset, theirs = drawings(40), OnlyEmbed()
    embeddings = embed_images(theirs, dataset, store=store, batch_size=16)
    expected = expected_images(dataset)
    assert np.allclose(embeddings.values, expected / np.linalg.norm(expected, axis=1, keepdims=True))
    assert (embeddings.model.name, embeddings.model.side, embeddings.model.params) == (
        "theirs",
        "vision",
        {"l2": True},
    )
    assert embeddings.model.weights == "custom"
    texts = embed_texts(OnlyEmbed(), dataset, store=store)
    assert np.allclose(texts.values, [0.6, 0.8])
    assert texts.model.side == "text"


def test_without_a_fingerprint_nothing_is_kept(store: EmbeddingStore) -> None:
    theirs = OnlyEmbed()
    for _ in range(2):
        embed_images(theirs, drawings(5), store=store)
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
        embed_images(theirs, drawings(5), store=store)
    assert theirs.rows == 5


def test_what_is_known_only_after_a_download_is_in_the_key(store: EmbeddingStore) -> None:
    class Downloaded(FakeEncoder):
        def fingerprint(self) -> dict[str, Any]:
            return {"source": "hub", "preprocessing": "known" if self.loads else "not here yet"}

    embed_images(Downloaded(), drawings(5), store=store)
    at_hand = Downloaded(loads=1)
    embed_images(at_hand, drawings(5), store=store)
    assert at_hand.rows == 0


def test_a_damaged_shard_is_computed_anew_with_a_warning(store: EmbeddingStore) -> None:
    dataset = drawings(10)
    before = embed_images(FakeEncoder(), dataset, store=store)
    (shard,) = shards(store)
    content = bytearray(shard.read_bytes())
    content[-3] ^= 0x01  # one bit of one number
    shard.write_bytes(bytes(content))
    encoder = FakeEncoder()
    with pytest.warns(DamagedShardWarning):
        after = embed_images(encoder, dataset, store=store)
    assert encoder.rows == 10
    assert np.array_equal(before.values, after.values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed_images(FakeEncoder(), dataset, store=store)


def test_many_rows_are_many_shards(store: EmbeddingStore) -> None:
    dataset = drawings(600)
    embed_images(FakeEncoder(), dataset, store=store)
    assert len(shards(store)) == 3
    assert np.array_equal(embed_images(FakeEncoder(), dataset, store=store).values, expected_images(dataset))


SLOW_RUN = """
import sys, time
from pathlib import Path
from alignbench.embed import EmbeddingStore, embed_images
from alignbench.tests.embed_fakes import FakeEncoder, drawings

class Slow(FakeEncoder):
    def forward(self, batch):
        time.sleep(0.02 if self.rows < int(sys.argv[3]) else 600)
        return super().forward(batch)

encoder = Slow()
embed_images(encoder, drawings(int(sys.argv[2])), store=EmbeddingStore(Path(sys.argv[1])), batch_size=32)
print("rows", encoder.rows, "loads", encoder.loads, flush=True)
"""


def slow_run(root: Path, n: int, stuck_after: int = 10**6) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, str(root), str(n), str(stuck_after)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_run_resumes_at_the_shard(store: EmbeddingStore) -> None:
    run = slow_run(store.root, 1200, stuck_after=700)
    deadline = time.monotonic() + 60
    while len(shards(store)) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(run.pid, signal.SIGKILL)
    output, _ = run.communicate(timeout=60)
    assert output == ""
    kept = len(shards(store))
    assert kept == 2

    dataset, encoder = drawings(1200), FakeEncoder()
    embeddings = embed_images(encoder, dataset, store=store)
    assert encoder.rows == 1200 - 256 * kept
    assert np.array_equal(embeddings.values, expected_images(dataset))


def test_two_processes_at_once_encode_once(store: EmbeddingStore) -> None:
    outputs = [run.communicate(timeout=60)[0] for run in [slow_run(store.root, 400) for _ in range(2)]]
    assert sorted(output.strip() for output in outputs) == ["rows 0 loads 0", "rows 400 loads 1"]
