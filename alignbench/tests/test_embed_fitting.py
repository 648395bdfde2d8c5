"""Where memory runs out, batches become smaller, every row keeps its vector, and the run says so once."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from alignbench.embed import Embedder, EmbeddingStore
from alignbench.embed.fitting import Fitting
from alignbench.errors import AlignbenchWarning, ModelError
from alignbench.tests.embed_fakes import FakeEncoder, FakeLLM, drawings, expected_images, expected_texts

if TYPE_CHECKING:
    from collections.abc import Sequence


class OutOfMemoryError(RuntimeError):
    """As torch's is called."""


class Small(FakeEncoder):
    """Has memory for so many images."""

    fits = 5

    def forward(self, batch: Sequence[list[int]]) -> Any:
        if len(batch) > self.fits:
            self.batches.append(0)
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        return super().forward(batch)


class SmallLLM(FakeLLM):
    """Has memory for so many tokens, padding included."""

    fits = 60

    def forward(self, batch: Sequence[Sequence[int]]) -> Any:
        if len(batch) * max(map(len, batch)) > self.fits:
            raise ModelError("its forward pass fails") from MemoryError()
        return super().forward(batch)


def test_images_go_on_in_halves_that_last(store: EmbeddingStore) -> None:
    encoder, data = Small(), drawings(20)
    with pytest.warns(AlignbenchWarning) as said:
        found = Embedder(store, batch_size=16).images(encoder, data)
    assert np.array_equal(found.values, expected_images(data))
    # 16 and 8 fail, once each; the rest of the first batch and the second one begin at 4.
    assert encoder.batches == [0, 0, 4, 4, 4, 4, 4]
    line = (
        "fake: out of memory with {} images a batch; it goes on with {}, "
        "which changes the vectors by rounding at most"
    )
    assert [str(one.message) for one in said] == [line.format(16, 8), line.format(8, 4)]


def test_what_fits_is_learnt_once_for_all_shards(store: EmbeddingStore) -> None:
    encoder, data = Small(), drawings(20)
    with pytest.warns(AlignbenchWarning) as said:
        found = Embedder(store, batch_size=10, shard_rows=10).images(encoder, data)
    assert np.array_equal(found.values, expected_images(data))
    assert encoder.batches == [0, 5, 5, 5, 5]
    assert len(said) == 1
    llm = SmallLLM()
    llm.fits = 100
    with pytest.warns(AlignbenchWarning) as said:
        texts = Embedder(store, shard_rows=10).texts(llm, data)
    assert np.array_equal(texts.values, expected_texts(data))
    assert len(said) == 1


def test_texts_keep_to_the_tokens_that_fit(store: EmbeddingStore) -> None:
    llm, data = SmallLLM(), drawings(20)
    with pytest.warns(AlignbenchWarning, match=r"^fake-llm: out of memory with \d texts a batch"):
        found = Embedder(store).texts(llm, data)
    assert np.array_equal(found.values, expected_texts(data))
    assert all(len(batch) * max(batch) <= SmallLLM.fits for batch in llm.batches)
    # Shorter texts are more in a batch again.
    assert max(map(len, llm.batches)) > len(llm.batches[0])


def test_a_single_item_that_does_not_fit_is_one_line_with_the_way_out(store: EmbeddingStore) -> None:
    encoder = Small()
    encoder.fits = 0
    with (
        pytest.warns(AlignbenchWarning, match="it goes on with 1,"),
        pytest.raises(ModelError, match=r"^fake: out of memory with a single image; give --align-device cpu"),
    ):
        Embedder(store, batch_size=2).images(encoder, drawings(3))
    llm = SmallLLM()
    llm.fits = 0
    with (
        pytest.warns(AlignbenchWarning),
        pytest.raises(ModelError, match=r"out of memory with a single text; give .* or --align-quantize"),
    ):
        Embedder(store).texts(llm, drawings(3))


def test_other_errors_are_not_tried_again() -> None:
    calls = []

    def fails(batch: Sequence[Any]) -> Any:
        calls.append(len(batch))
        raise ValueError("shapes")

    with pytest.raises(ValueError, match="shapes"):
        Fitting(fails, "fake", "images")([1, 2, 3, 4])
    assert calls == [4]


def test_a_failed_pass_is_freed_before_the_next_one() -> None:
    class Activations:
        pass

    held: list[weakref.ref[Activations]] = []

    def forward(batch: Sequence[int]) -> Any:
        assert all(one() is None for one in held), "the memory of the pass before is still taken"
        activations = Activations()
        held.append(weakref.ref(activations))
        if len(batch) > 1:
            raise OutOfMemoryError
        return np.ones((1, 2))

    with pytest.warns(AlignbenchWarning):
        assert Fitting(forward, "fake", "images")([1, 2]).shape == (2, 2)
    assert len(held) == 3


def test_a_stack_on_the_device_is_halved_like_a_list() -> None:
    def forward(batch: Any) -> Any:
        if len(batch) > 3:
            raise MemoryError
        return batch.numpy()

    pixels: Any = torch.arange(14.0).reshape(7, 2)
    with pytest.warns(AlignbenchWarning):
        assert np.array_equal(Fitting(forward, "fake", "images")(pixels), pixels.numpy())
