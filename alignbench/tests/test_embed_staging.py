"""A batch goes to the model's device while the one before is computed, and the vectors stay the same."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from alignbench.datasets import load_mixed
from alignbench.embed import Embedder, EmbeddingStore, Shelf
from alignbench.embed.batches import image_batches, threads_of
from alignbench.embed.cache import ROWS_PER_SHARD
from alignbench.encoders import Encoder, resolve
from alignbench.tests.embed_fakes import FakeEncoder, drawings, expected_images, shards
from alignbench.weights.transfer import sent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image


@dataclass
class Stages(FakeEncoder):
    """Has a device of its own: only what was staged can be computed."""

    stagers: list[str] = field(default_factory=list)
    staged_now: threading.Event = field(default_factory=threading.Event)

    def staged(self, batch: Sequence[Any]) -> Sequence[Any]:
        self.stagers.append(threading.current_thread().name)
        if len(self.stagers) == 2:
            self.staged_now.set()
        return ("there", *batch)

    def forward(self, batch: Sequence[Any]) -> Any:
        assert batch[0] == "there"
        out = super().forward(batch[1:])
        if len(self.batches) == 1:
            assert self.staged_now.wait(timeout=10), "the second batch waits for the first one"
        return out


def test_the_next_batch_is_staged_while_one_is_computed(store: EmbeddingStore) -> None:
    encoder, data = Stages(), drawings(20)
    found = Embedder(store, batch_size=8).images(encoder, data)
    assert np.array_equal(found.values, expected_images(data))
    assert all(name.startswith("alignbench-stage") for name in encoder.stagers)
    assert encoder.batches == [8, 8, 4]


def test_a_shard_is_written_while_the_next_is_computed_and_an_error_of_writing_is_the_runs(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = threading.Event()

    class Counts(FakeEncoder):
        def forward(self, batch: Sequence[Any]) -> Any:
            if self.batches:
                second.set()
            return super().forward(batch)

    write = Shelf.write

    def waits(self: Shelf, items: Sequence[str], vectors: Any) -> None:
        assert second.wait(timeout=10), "the second shard waits for the first one's disk"
        write(self, items, vectors)

    monkeypatch.setattr(Shelf, "write", waits)
    data = drawings(ROWS_PER_SHARD + 8)
    found = Embedder(store, batch_size=ROWS_PER_SHARD).images(Counts(), data)
    assert np.array_equal(found.values, expected_images(data))
    assert len(shards(store)) == 2

    def fails(self: Shelf, items: Sequence[str], vectors: Any) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(Shelf, "write", fails)
    with pytest.raises(RuntimeError, match="the disk is gone"):
        Embedder(EmbeddingStore(None)).images(FakeEncoder(), drawings(3))
    assert not [of.name for of in threading.enumerate() if of.name.startswith("alignbench-")]


def test_an_error_of_an_earlier_write_is_the_runs_and_what_was_computed_after_it_is_kept(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, asked = Shelf.write, []

    def fails_once(self: Shelf, items: Sequence[str], vectors: Any) -> None:
        asked.append(len(items))
        if len(asked) == 1:
            raise RuntimeError("the disk is gone")
        write(self, items, vectors)

    monkeypatch.setattr(Shelf, "write", fails_once)
    with pytest.raises(RuntimeError, match="the disk is gone"):
        Embedder(store, batch_size=64).images(FakeEncoder(), drawings(3 * ROWS_PER_SHARD))
    assert asked == [ROWS_PER_SHARD] * 2
    assert len(shards(store)) == 1


def test_what_was_computed_before_ctrl_c_is_kept_and_images_ahead_are_dropped(store: EmbeddingStore) -> None:
    ahead, stopped = threading.Event(), threading.Event()

    class Stopped(FakeEncoder):
        def preprocess(self, image: Image) -> list[int]:
            features = super().preprocess(image)
            if features[0] + 256 * features[1] >= 600:
                ahead.set()
                assert stopped.wait(timeout=10)
            return features

        def forward(self, batch: Sequence[list[int]]) -> Any:
            if self.batches:
                assert ahead.wait(timeout=10)
                stopped.set()
                raise KeyboardInterrupt
            return super().forward(batch)

    encoder = Stopped()
    with pytest.raises(KeyboardInterrupt):
        Embedder(store, batch_size=300).images(encoder, drawings(1200))
    assert Embedder(store).count_missing(encoder, drawings(1200)) == 900
    assert 600 < encoder.prepared < 900
    assert not [of.name for of in threading.enumerate() if of.name.startswith("alignbench-")]


def test_a_batch_of_one_more_is_a_batch_of_its_own() -> None:
    data = drawings(9)
    found = list(image_batches(data.samples, lambda image: image.size, 4, stage=tuple))
    assert [positions for positions, _ in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert [of for _, batch in found for of in batch] == [sample.open_image().size for sample in data.samples]
    assert list(image_batches((), lambda image: image, 4)) == []


def test_an_error_of_staging_is_the_runs(store: EmbeddingStore) -> None:
    class Broken(Stages):
        def staged(self, batch: Sequence[Any]) -> Sequence[Any]:
            raise RuntimeError("the device is gone")

    with pytest.raises(RuntimeError, match="the device is gone"):
        Embedder(store, batch_size=4).images(Broken(), drawings(20))
    assert not [of.name for of in threading.enumerate() if of.name.startswith("alignbench-")]


def test_vectors_of_staged_batches_are_the_same_to_the_last_bit() -> None:
    encoder = resolve("mini-clip")
    assert isinstance(encoder, Encoder)
    images = [sample.open_image() for sample in load_mixed(2).samples]
    encoder.load("cpu", "float32")
    batch = [encoder.preprocess(image) for image in images]
    staged: Any = encoder.staged(batch)
    assert isinstance(staged, torch.Tensor)
    assert np.array_equal(encoder.forward(staged), encoder.forward(batch))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 80 bytes"),
        MemoryError(),
    ],
    ids=["of the device", "of torch on a CPU", "of Python"],
)
def test_a_batch_without_room_is_staged_later(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    from alignbench.encoders import tower

    def full(values: torch.Tensor, device: str) -> torch.Tensor:
        raise error

    monkeypatch.setattr(tower, "sent", full)
    encoder = resolve("mini-clip")
    assert isinstance(encoder, Encoder)
    encoder.load("cpu", "float32")
    batch = [encoder.preprocess(sample.open_image()) for sample in load_mixed(1).samples]
    assert encoder.staged(batch) is batch


def test_a_copy_to_a_gpu_is_pinned_in_a_stream_of_its_own_and_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a GPU: what is asked of torch, and in which order."""
    asked: list[str] = []

    class Stream:
        def __init__(self, device: str) -> None:
            self.device = device

        def synchronize(self) -> None:
            asked.append(f"wait for {self.device}")

    class Values:
        def pin_memory(self) -> Values:
            asked.append("pin")
            return self

        def to(self, device: str, *, non_blocking: bool) -> Values:
            asked.append(f"copy to {device}{' at once' if not non_blocking else ''}")
            return self

        def record_stream(self, stream: str) -> None:
            asked.append(f"keep for {stream}")

    @contextmanager
    def entered(stream: Stream) -> Iterator[None]:
        asked.append("enter")
        yield
        asked.append("leave")

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", entered)
    monkeypatch.setattr(torch.cuda, "default_stream", lambda device: f"kernels of {device}")
    values: Any = Values()
    assert sent(values, "cuda:7") is values
    copied = ["enter", "pin", "copy to cuda:7", "leave", "wait for cuda:7", "keep for kernels of cuda:7"]
    assert asked == copied
    sent(values, "cuda:7")  # the same stream: each has memory of its own
    assert asked == 2 * copied


def test_only_a_gpu_needs_a_copy_and_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    values = torch.ones(2)
    assert sent(values, "cpu") is values
    monkeypatch.setattr("alignbench.embed.batches.available_cores", lambda: 12)
    assert (threads_of("cpu"), threads_of("mps"), threads_of("cuda:1")) == (4, 4, 12)
