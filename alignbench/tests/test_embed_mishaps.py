"""What embedding says and keeps when something is wrong: vectors, images, memory, arguments."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.datasets import Dataset, Sample, load_mixed
from alignbench.embed import Embedder, EmbeddingStore
from alignbench.errors import DataError, InputError, ModelError
from alignbench.tests.data_files import charts_and_tables, png
from alignbench.tests.embed_fakes import (
    FakeEncoder,
    FakeLLM,
    drawings,
    shards,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image


def test_a_vector_without_direction_is_an_error_that_names_its_sample(store: EmbeddingStore) -> None:
    class Zero(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            return super().forward(batch) * [[row[0] != 2] for row in batch]

    with pytest.raises(ModelError, match="'s2' is zero"):
        Embedder(store).images(Zero(l2=True), drawings(5))


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
        Embedder(store, batch_size=10).images(overflowing, drawings(20))
    assert overflowing.unloads == 1
    sound = FakeEncoder()
    Embedder(store).images(sound, drawings(20))
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
            Embedder(store).images(failing, drawings(3))
        assert failing.unloads == 1
    encoder = FakeEncoder()
    Embedder(store).images(encoder, drawings(3))
    assert (encoder.loads, encoder.unloads) == (1, 1)


def test_weights_that_do_not_fit_are_one_line(store: EmbeddingStore) -> None:
    class OutOfMemoryError(RuntimeError):
        """As torch's is called."""

    class Huge(FakeEncoder):
        def load(self, device: str, dtype: str) -> None:
            raise ModelError("torch can't use device 'cuda'") from OutOfMemoryError("CUDA\nout of memory")

    with pytest.raises(ModelError, match=r"^fake: out of memory while its weights were loaded; give --align"):
        Embedder(store).images(Huge(), drawings(3))


@pytest.mark.parametrize("shape", [(3,), (2, 4), (3, 4, 5)])
def test_another_shape_than_a_row_a_sample_is_an_error(store: EmbeddingStore, shape: tuple[int, ...]) -> None:
    class Odd(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            return np.ones(shape)

    with pytest.raises(ModelError, match=r"expected vectors \[3, d\], got shape"):
        Embedder(store).images(Odd(), drawings(3))
    assert not shards(store)


def test_images_are_prepared_in_threads_a_bounded_way_ahead(store: EmbeddingStore) -> None:
    ahead = threading.Event()

    class Waits(FakeEncoder):
        def preprocess(self, image: Image) -> list[int]:
            prepared = super().preprocess(image)
            if self.most_ahead >= 16:
                ahead.set()
            return prepared

        def forward(self, batch: Sequence[list[int]]) -> Any:
            assert ahead.wait(timeout=10), "images are not prepared while the model computes"
            return super().forward(batch)

    encoder = Waits()
    Embedder(store, batch_size=8).images(encoder, drawings(80))
    assert all(name.startswith("alignbench-decode") for name in encoder.threads)
    assert encoder.most_ahead == 16


def test_no_thread_outlives_the_work(store: EmbeddingStore) -> None:
    class Fails(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        Embedder(store, batch_size=4).images(Fails(), drawings(50))
    assert not [t for t in threading.enumerate() if t.name.startswith("alignbench-decode")]


def broken(name: str, blue: int = 3) -> Sample:
    """A sample whose image looks well until it is decoded."""
    content = bytearray(png((1, 2, blue), (64, 64)))
    content[content.index(b"IDAT") + 12] ^= 0xFF
    return Sample(name, bytes(content), ("a",), "chart")


def test_an_image_that_cannot_be_decoded_names_its_sample(store: EmbeddingStore) -> None:
    dataset = Dataset("d", (broken("bad"), *drawings(3).samples), "made up")
    with pytest.raises(DataError, match=r"^sample 'bad': image [^;]*: damaged: [^;]*$"):
        Embedder(store).images(FakeEncoder(), dataset)


def test_all_images_that_cannot_be_decoded_are_named_at_once_and_the_others_kept(
    store: EmbeddingStore,
) -> None:
    good = drawings(20)
    bad = [broken(f"bad{i}", blue=i) for i in range(12)]
    dataset = Dataset("d", (*bad[:6], *good.samples, *bad[6:]), "made up")
    with pytest.raises(DataError, match=r"^sample 'bad0': .*; and 11 more .*: 'bad1', .*'bad9', \.\.\.$"):
        Embedder(store, batch_size=4).images(FakeEncoder(), dataset)
    encoder = FakeEncoder()
    Embedder(store).images(encoder, good)
    assert encoder.rows == 0


def test_an_image_that_changed_since_it_was_read_is_not_kept_under_its_old_name(
    store: EmbeddingStore, tmp_path: Path
) -> None:
    dataset = load_mixed(None, root=charts_and_tables(tmp_path / "root", n=2))
    image = dataset.samples[0].image
    assert isinstance(image, Path)
    image.write_bytes(png((99, 99, 99)))
    with pytest.raises(DataError, match=r"'chart_00': image 'chart_00\.png': it has changed"):
        Embedder(store).images(FakeEncoder(), dataset)


def test_a_text_without_tokens_names_its_sample(store: EmbeddingStore) -> None:
    with pytest.raises(DataError, match="'text-1': fake-llm makes no token"):
        Embedder(store).texts(FakeLLM(), ["a", ""])


def test_arguments_that_cannot_be_are_errors(store: EmbeddingStore) -> None:
    with pytest.raises(InputError, match="batch_size"):
        Embedder(store, batch_size=0).images(FakeEncoder(), drawings(1))
    with pytest.raises(InputError, match="max_tokens"):
        Embedder(store, max_tokens=0).texts(FakeLLM(), ["a"])
    with pytest.raises(InputError, match="nothing to embed"):
        Embedder(store).texts(FakeLLM(), [])
