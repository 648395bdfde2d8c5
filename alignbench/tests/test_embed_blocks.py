"""Vectors in blocks are those of the whole, whatever is missing or damaged; a session's parts are aligned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import alignbench as ab
from alignbench.embed import DamagedShardWarning, Embedder
from alignbench.embed.cache import rows_per_shard
from alignbench.errors import AlignbenchWarning, InputError, ModelError, UnknownNameError
from alignbench.metrics import Moments, linear_cka
from alignbench.projectors.patches import grid
from alignbench.tests.embed_fakes import FakeEncoder, FakeLLM, drawings, shards

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.embed import EmbeddingStore

TOYS: dict[str, Any] = {"encoders": "mini-clip", "llms": "mini-llama", "device": "cpu"}


def whole(embedder: Embedder, model: Any, data: Any, rows: int) -> np.ndarray[Any, Any]:
    blocks = list(embedder.blocks(model, data, rows))
    assert [len(block.ids) for block in blocks[:-1]] == [rows] * (len(blocks) - 1)
    assert [i for block in blocks for i in block.ids] == [sample.id for sample in data.samples]
    return np.concatenate([block.values for block in blocks])


@pytest.mark.parametrize("rows", [1, 7, 300, 1000])
def test_blocks_are_the_whole(store: EmbeddingStore, rows: int) -> None:
    data, encoder, llm = drawings(600 if rows > 7 else 20), FakeEncoder(l2=True), FakeLLM()
    embedder = Embedder(store)
    assert np.array_equal(whole(embedder, encoder, data, rows), embedder.images(encoder, data).values)
    assert np.array_equal(whole(embedder, llm, data, rows), embedder.texts(llm, data).values)
    assert (encoder.loads, llm.loads) == (1, 1)


def test_one_model_is_in_memory_at_a_time(store: EmbeddingStore) -> None:
    data, encoder, llm = drawings(20), FakeEncoder(), FakeLLM()
    embedder = Embedder(store)
    for _ in zip(embedder.blocks(encoder, data, 4), embedder.blocks(llm, data, 4), strict=True):
        assert encoder.loads == encoder.unloads
        assert llm.loads == llm.unloads


def test_a_shard_that_breaks_midway_is_computed_anew(store: EmbeddingStore) -> None:
    data, embedder = drawings(600), Embedder(store)
    expected = embedder.images(FakeEncoder(), data).values
    encoder = FakeEncoder()
    blocks = embedder.blocks(encoder, data, 100)
    found = [next(blocks).values]
    for shard in shards(store):
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.warns(DamagedShardWarning):
        found += [block.values for block in blocks]
    assert np.array_equal(np.concatenate(found), expected)
    assert 0 < encoder.rows <= 600


def test_what_cannot_be_stored_or_read_again(store: EmbeddingStore, tmp_path: Path) -> None:
    class Unnamed:
        def embed(self, images: Sequence[Any]) -> Any:
            return [[1.0, image.size[0]] for image in images]

    data = drawings(20)
    assert len(whole(Embedder(store), Unnamed(), data, 6)) == 20  # not cached, so it is held
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(AlignbenchWarning, match="for this run only"):
        found = whole(Embedder(type(store)(tmp_path / "file")), FakeEncoder(), data, 6)
    assert np.array_equal(found, Embedder(store).images(FakeEncoder(), data).values)


def test_vectors_of_two_widths_are_an_error_in_either_way(store: EmbeddingStore) -> None:
    class Odd(FakeEncoder):
        def forward(self, batch: Sequence[list[int]]) -> Any:
            out = super().forward(batch)
            return out if self.rows <= 256 else out[:, :1]

    data, embedder = drawings(320), Embedder(store, batch_size=64)
    with pytest.raises(ModelError, match=r"fake: its vectors differ in shape"):
        embedder.images(Odd(), data)
    with pytest.raises(ModelError, match=r"fake: its vectors differ in shape"):
        list(embedder.blocks(Odd(revision="2"), data, 320))


def test_texts_are_tokenized_a_shard_at_a_time(store: EmbeddingStore) -> None:
    data = drawings(100)
    expected = Embedder(store).texts(FakeLLM(), data).values
    asked: list[int] = []

    class Counting(FakeLLM):
        def tokenize(self, texts: Sequence[str]) -> Any:
            asked.append(len(texts))
            return super().tokenize(texts)

    found = Embedder(type(store)(None), shard_rows=30).texts(Counting(), data).values
    assert np.array_equal(found, expected)
    assert asked == [30, 30, 30, 10]


@pytest.fixture(scope="module")
def session() -> ab.Session:
    return ab.Session(**TOYS, data="synthetic", n_samples=4, seed=1)


@pytest.mark.slow
def test_chunks_of_a_session_are_its_pair(session: ab.Session) -> None:
    pair = session.pair("mini-clip", "mini-llama")
    parts = list(session.chunks("mini-clip", session.llms["mini-llama"], rows=5))
    assert [len(part) for part in parts] == [5, 5, 2]
    assert np.array_equal(np.concatenate([part.x.values for part in parts]), pair.x.values)
    assert np.array_equal(np.concatenate([part.y.values for part in parts]), pair.y.values)
    assert tuple(label for part in parts for label in part.labels) == pair.labels
    assert tuple(group for part in parts for group in part.groups) == pair.groups
    assert (parts[0].x.model, parts[0].y.model) == (pair.x.model, pair.y.model)
    moments = Moments.of_chunks((part.x.values, part.y.values, part.labels) for part in parts)
    assert moments.linear_cka() == pytest.approx(linear_cka(pair.x.values, pair.y.values), abs=1e-12)
    with pytest.raises(InputError, match="at least one, got none"):
        Moments.of_chunks([])


def test_chunks_of_arrays_are_mapped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("x", "y"):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((50, 6)))
    session = ab.Session(encoders=f"x=npy:{tmp_path / 'x.npy'}", llms=f"y=npy:{tmp_path / 'y.npy'}")
    parts = list(session.chunks("x", "y", rows=20))
    pair = session.pair("x", "y")
    assert [len(part) for part in parts] == [20, 20, 10]
    assert np.array_equal(np.concatenate([part.x.values for part in parts]), pair.x.values)
    assert parts[2].x.ids == pair.x.ids[40:]


def test_chunks_are_refused_at_once(session: ab.Session, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rows: expected at least 1, got 0"):
        session.chunks("mini-clip", "mini-llama", rows=0)
    with pytest.raises(UnknownNameError, match="unknown LLM 'mini-lama'"):
        session.chunks("mini-clip", "mini-lama")
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.standard_normal((50, 6)))
    without_texts = ab.Session(encoders=f"x=npy:{tmp_path / 'x.npy'}", llms="mini-llama", data=drawings(12))
    assert without_texts.dataset.has_texts
    with pytest.raises(ModelError, match="50 rows"):
        list(without_texts.chunks("x", "mini-llama"))


class Patched(FakeEncoder):
    """Gives 100 patches of 4 numbers of an image, which differ from image to image."""

    def patches(self, images: Sequence[Any]) -> Any:
        rng = [np.random.default_rng(image.getpixel((0, 0))) for image in images]
        return np.stack([one.standard_normal((100, 4), dtype=np.float32) for one in rng])


def test_patches_are_averaged_as_they_are_read(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, embedder = drawings(40), Embedder(store)
    whole_ones = embedder.patches(Patched(), data)
    monkeypatch.setattr("alignbench.embed.embedder.IMAGES_AT_ONCE", 7)
    averaged = embedder.patches(Patched(), data, most=16)
    assert np.array_equal(averaged.values, grid(whole_ones.values, 16))
    assert (averaged.count, averaged.values.shape) == (100, (40, 16, 4))
    assert np.array_equal(embedder.patches(Patched(), data, most=100).values, whole_ones.values)
    assert whole_ones.count == 100


def test_a_shard_of_large_rows_has_few_of_them() -> None:
    assert rows_per_shard(3072) == 256
    assert rows_per_shard(2**20) == 64
    assert rows_per_shard(2**40) == 1
