"""Vectors and moments that workers compute have the same bits as those of this process, whoever is lost."""

from __future__ import annotations

import copy
import random
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from alignbench.embed import Embedder, EmbeddingStore
from alignbench.embed.moments import moments_of
from alignbench.errors import AlignbenchWarning, ConfigError, DataError, WorkerLostError
from alignbench.executors import MergeTree, Piece, cut
from alignbench.metrics.moments import Moments
from alignbench.tests.embed_fakes import FakeEncoder, FakeLLM, OnlyEmbed, Watched, drawings, shards

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from alignbench.embed.work import Embedded
    from alignbench.executors import Work


class Portable(FakeEncoder):
    """A fake encoder that can be sent to workers, where it is fresh."""

    def __deepcopy__(self, memo: Any) -> Portable:
        return type(self)()


class BatchedEncoder(Portable):
    """An encoder whose vectors show which images were in the batch."""

    def forward(self, batch: Sequence[list[int]]) -> NDArray[np.float32]:
        super().forward(batch)
        together = float(np.sum(batch))
        return np.array([[*row, together] for row in batch], dtype=np.float32)


class BatchedLLM(FakeLLM):
    """An LLM whose vectors show which texts were in the batch."""

    def forward(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        vectors = super().forward(batch)
        return np.column_stack([vectors, np.full(len(batch), vectors.sum())]).astype(np.float32)


class Elsewhere:
    """Workers in this process, each with its own copy of the work; who does what and when is drawn."""

    def __init__(self, seed: int = 0, workers: int = 3, twice: Sequence[int] = ()) -> None:
        self._draw = random.Random(seed)
        self._workers = workers
        self._twice = frozenset(twice)
        self.results: list[Any] = []

    def each(self, work: Work[Any, Any], pieces: Sequence[Piece[Any]]) -> Iterator[tuple[int, Any]]:
        with ExitStack() as stack:
            workers = [stack.enter_context(copy.deepcopy(work).opened()) for _ in range(self._workers)]
            for place in self._draw.sample(range(len(pieces)), len(pieces)):
                result = self._draw.choice(workers)(pieces[place].content)
                if place in self._twice:
                    self.results.append(self._draw.choice(workers)(pieces[place].content))
                self.results.append(result)
                yield place, result


def embedder(root: Path | None, **fields: Any) -> Embedder:
    return Embedder(EmbeddingStore(root), **{"batch_size": 3, "max_tokens": 64, "shard_rows": 10, **fields})


@pytest.mark.parametrize("seed", range(3))
def test_vectors_are_the_same_whoever_computes_the_shards(tmp_path: Path, seed: int) -> None:
    data = drawings(47)
    here, there = embedder(tmp_path / "here"), embedder(tmp_path / "there", elsewhere=Elsewhere(seed))
    assert np.array_equal(
        here.images(BatchedEncoder(), data).values, there.images(BatchedEncoder(), data).values
    )
    assert np.array_equal(here.texts(BatchedLLM(), data).values, there.texts(BatchedLLM(), data).values)


def test_the_batches_of_this_process_do_not_reach_across_shards() -> None:
    encoder, llm = Portable(), FakeLLM()
    at = embedder(None)
    at.images(encoder, drawings(25))
    at.texts(llm, drawings(25))
    assert encoder.batches == [3, 3, 3, 1, 3, 3, 3, 1, 3, 2]
    assert sum(len(of) for of in llm.batches[: len(llm.batches) // 2]) < 25
    ends, rows = [], 0
    for batch in llm.batches:
        rows += len(batch)
        ends.append(rows)
    assert {10, 20, 25} <= set(ends)


def test_a_shard_that_is_stored_is_not_computed_again(tmp_path: Path) -> None:
    workers = Elsewhere(1, twice=(0, 2))
    encoder = embedder(tmp_path, elsewhere=workers).images(BatchedEncoder(), drawings(30))
    again: list[Embedded] = workers.results
    assert sorted(done.computed for done in again) == [0, 0, 10, 10, 10]
    assert np.array_equal(encoder.values, embedder(None).images(BatchedEncoder(), drawings(30)).values)


def test_a_worker_learns_once_what_fits_into_its_memory(tmp_path: Path) -> None:
    class Small(Portable):
        def forward(self, batch: Sequence[list[int]]) -> NDArray[np.float32]:
            if len(batch) > 2:
                raise MemoryError
            return super().forward(batch)

    with pytest.warns(AlignbenchWarning) as said:
        found = embedder(tmp_path, batch_size=4, elsewhere=Elsewhere(workers=2)).images(Small(), drawings(47))
    assert np.array_equal(found.values, embedder(None).images(Portable(), drawings(47)).values)
    line = (
        "fake: out of memory with 4 images a batch; it goes on with 2, "
        "which changes the vectors by rounding at most"
    )
    assert [str(one.message) for one in said] == [line] * 2


def test_workers_also_keep_what_is_wanted_beside(tmp_path: Path) -> None:
    class Patched(Portable):
        def patches(self, images: Sequence[Any]) -> NDArray[np.float32]:
            return np.array([[image.getpixel((0, 0)), (*image.size, 1)] for image in images], np.float32)

    data = drawings(25)
    here, there = embedder(None), embedder(tmp_path, elsewhere=Elsewhere())
    there.images(Patched(), data, beside=["patches"])
    assert there.count_missing(Patched(), data, "patches") == 0
    assert np.array_equal(there.patches(Patched(), data).values, here.patches(Patched(), data).values)


@pytest.mark.parametrize("left", [1, 4, 9])
def test_what_a_lost_worker_stored_of_a_shard_does_not_change_its_batches(tmp_path: Path, left: int) -> None:
    data, whole = drawings(20), embedder(None).texts(BatchedLLM(), drawings(20)).values

    class Lost(Elsewhere):
        """The first worker stores only some rows of the first shard; then another one gets the shard."""

        def each(self, work: Any, pieces: Sequence[Piece[Any]]) -> Iterator[tuple[int, Any]]:
            store = EmbeddingStore(work.root)
            with work.opened() as do:
                do(pieces[0].content)
            (shard,) = shards(store)
            tensors = load_file(shard)
            shelf = store.shelf({**BatchedLLM().fingerprint(), "dtype": ""})
            shard.unlink()
            shelf.write([row.tobytes().hex() for row in tensors["items"][:left]], tensors["vectors"][:left])
            yield from super().each(work, pieces)

    values = embedder(tmp_path, elsewhere=Lost()).texts(BatchedLLM(), data).values
    assert np.array_equal(values, whole)
    # What was there is not stored again.
    assert sum(len(load_file(shard)["items"]) for shard in shards(EmbeddingStore(tmp_path))) == 20


def test_progress_loads_and_texts_that_were_cut_are_told_once(tmp_path: Path) -> None:
    progress, loads = Watched(), []
    at = embedder(
        tmp_path,
        elsewhere=Elsewhere(2, workers=2),
        progress=progress,
        on_load=lambda model, seconds: loads.append(model),
    )
    at.images(Portable(), drawings(25))
    assert progress.events[0] == ("start", 25, "fake: images")
    assert sum(progress.events[1:-1]) == 25
    assert progress.events[-1] == "close"
    assert 1 <= len(loads) <= 2


def test_images_that_can_not_be_used_are_named_together_over_all_shards(tmp_path: Path) -> None:
    data = drawings(30)
    bad = {3, 15, 29}

    class Refusing(Portable):
        def preprocess(self, image: Any) -> list[int]:
            features = super().preprocess(image)
            if features[0] in bad:
                raise DataError(f"image {features[0]} is torn")
            return features

    for workers in (None, Elsewhere()):
        at = embedder(tmp_path / str(workers is None), elsewhere=workers)
        with pytest.raises(DataError, match=r"^sample 's\d+': image \d+ is torn; and 2 more that can't"):
            at.images(Refusing(), data)
        assert at.count_missing(Portable(), data) == 3


def test_a_model_without_a_fingerprint_is_embedded_here_and_the_run_says_so(tmp_path: Path) -> None:
    model = OnlyEmbed()
    with pytest.warns(AlignbenchWarning, match=r"theirs: it has no fingerprint\(\), .* of the cluster"):
        embedder(tmp_path, elsewhere=Elsewhere()).images(model, drawings(12))
    assert model.rows == 12


def test_workers_that_write_into_another_folder_are_found_out(tmp_path: Path) -> None:
    class Apart(Elsewhere):
        def each(self, work: Any, pieces: Sequence[Piece[Any]]) -> Iterator[tuple[int, Any]]:
            yield from super().each(replace(work, root=tmp_path / "own"), pieces)

    with pytest.raises(
        WorkerLostError, match=r"^fake: 25 vectors .* not in .*/shared, the first of shard 1 "
    ):
        embedder(tmp_path / "shared", elsewhere=Apart()).images(Portable(), drawings(25))


def test_workers_with_another_arithmetic_are_refused(tmp_path: Path) -> None:
    class OfItsMachine(Portable):
        here = True

        def effective_dtype(self, device: str, dtype: str) -> str:
            return "float32" if self.here else "bfloat16"

        def __deepcopy__(self, memo: Any) -> OfItsMachine:
            other = OfItsMachine()
            other.here = False
            return other

    with pytest.raises(ConfigError, match="a worker would compute in bfloat16, this process in float32"):
        embedder(tmp_path, elsewhere=Elsewhere()).images(OfItsMachine(), drawings(5))


@pytest.mark.slow
def test_moments_of_shards_are_merged_in_the_same_tree_here_and_elsewhere(tmp_path: Path) -> None:
    plain = drawings(64)
    typed = [
        replace(sample, data_type="chart" if i % 3 else "table") for i, sample in enumerate(plain.samples)
    ]
    data = replace(plain, samples=tuple(typed))
    here = moments_of(embedder(tmp_path / "here"), Portable(), FakeLLM(), data)
    for seed in range(3):
        at = embedder(tmp_path / "there", elsewhere=Elsewhere(seed, twice=(1,)))
        there = moments_of(at, Portable(), FakeLLM(), data)
        assert there.linear_cka().hex() == here.linear_cka().hex()
        assert there.cross.outer.tobytes() == here.cross.outer.tobytes()
        assert there.x.outer.tobytes() == here.x.outer.tobytes()
        assert there.linear_cka_within_mean().hex() == here.linear_cka_within_mean().hex()
    x, y = embedder(None).images(Portable(), data).values, embedder(None).texts(FakeLLM(), data).values
    tree = MergeTree(7, Moments.merge)
    for s in cut(range(64), 10, 64):
        rows = slice(s.start, s.stop)
        tree.add(s.number, Moments.from_arrays(x[rows], y[rows], data.labels[rows]))
    assert tree.result().linear_cka().hex() == here.linear_cka().hex()
    assert here.n == 64
    of_all = Moments.from_arrays(x, y, data.labels)
    assert here.linear_cka() == pytest.approx(of_all.linear_cka(), abs=1e-12)
    assert here.linear_cka_within_mean() == pytest.approx(of_all.linear_cka_within_mean(), abs=1e-12)


def test_moments_of_models_that_are_not_stored_are_taken_here(tmp_path: Path) -> None:
    data = drawings(30)
    with pytest.warns(AlignbenchWarning, match="instead of the cluster"):
        moments = moments_of(embedder(tmp_path, elsewhere=Elsewhere()), OnlyEmbed(), FakeLLM(), data)
    assert moments.n == 30
