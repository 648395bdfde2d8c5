"""Several encoders over the same images in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import alignbench
from alignbench.embed import Embedder, extract_multi_encoder
from alignbench.errors import ConfigError, InputError, ModelError, UnknownNameError
from alignbench.tests.data_files import png
from alignbench.tests.embed_fakes import FakeEncoder, OnlyEmbed, drawings, expected_images

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.datasets import Dataset
    from alignbench.embed import EmbeddingStore


@dataclass
class Broken:
    name: str = "broken"

    def embed(self, images: Any) -> Any:
        return np.full((len(images), 2), np.nan)


def test_each_encoder_gives_what_it_gives_alone(store: EmbeddingStore) -> None:
    dataset, fake, theirs = drawings(12), FakeEncoder(), OnlyEmbed()
    found = extract_multi_encoder([fake, theirs], dataset, store=store, batch_size=5)
    assert list(found) == ["fake", "theirs"]
    assert np.array_equal(found["fake"].values, expected_images(dataset))
    assert np.allclose(np.linalg.norm(found["theirs"].values, axis=1), 1)
    assert found["fake"].ids == found["theirs"].ids == tuple(sample.id for sample in dataset.samples)
    assert (fake.loads, fake.unloads, fake.batches) == (1, 1, [5, 5, 2])
    again = extract_multi_encoder({"mine": fake}, dataset, store=store)
    assert np.array_equal(again["mine"].values, found["fake"].values)
    assert fake.loads == 1  # the store has them


@pytest.mark.slow
def test_names_are_resolved_with_their_settings_and_kept_as_runs_keep_them(store: EmbeddingStore) -> None:
    dataset = drawings(3)
    found = alignbench.extract_multi_encoder(["random-vit", "other=random-vit"], dataset, l2=False)
    assert list(found) == ["random-vit", "other"]
    assert np.array_equal(found["random-vit"].values, found["other"].values)
    assert found["random-vit"].model.params["l2"] is False
    named = extract_multi_encoder({"a": "random-vit", "b": FakeEncoder()}, dataset, store=store, l2=False)
    assert list(named) == ["a", "b"]
    assert np.allclose(named["a"].values, found["other"].values, atol=1e-5)


def test_images_are_given_as_they_are_or_as_files(store: EmbeddingStore, tmp_path: Path) -> None:
    data = png((7, 8, 9), (4, 6))
    (tmp_path / "one.png").write_bytes(data)
    colours = Image.new("RGB", (5, 5), (1, 2, 3))
    turned = Image.new("RGB", (2, 3), (4, 5, 6))
    turned.getexif()[0x0112] = 6
    grey = Image.new("CMYK", (3, 3), (0, 0, 0, 0))
    given: list[Any] = [colours, tmp_path / "one.png", str(tmp_path / "one.png"), turned, grey]
    found = extract_multi_encoder([FakeEncoder()], given, store=store)["fake"]
    assert found.ids == tuple(f"image-{i}" for i in range(5))
    assert found.values.tolist() == [
        [1, 2, 3, 5, 5],
        [7, 8, 9, 4, 6],
        [7, 8, 9, 4, 6],
        [4, 5, 6, 3, 2],
        [255, 255, 255, 3, 3],
    ]


def test_an_encoder_that_fails_ends_the_call_and_loses_nothing(store: EmbeddingStore) -> None:
    dataset, fake = drawings(4), FakeEncoder()
    with pytest.raises(ModelError, match="broken: 4 of 4 vectors are not finite"):
        extract_multi_encoder([fake, Broken()], dataset, store=store)
    Embedder(store).images(fake, dataset)
    assert fake.loads == 1


@pytest.mark.parametrize(
    ("encoders", "images", "error", "says"),
    [
        ([], drawings(2), InputError, "encoders: expected at least one"),
        ("random-vit", drawings(2), InputError, "expected several, got 'random-vit'; give a list"),
        ([FakeEncoder(), FakeEncoder()], drawings(2), InputError, "two are called 'fake'"),
        ([FakeEncoder(), "random-vti"], drawings(2), UnknownNameError, "Did you mean 'random-vit'"),
        ({"a b=": "random-vit"}, drawings(2), ConfigError, "a b"),
        ([FakeEncoder()], [], InputError, "images: expected at least one"),
        ([FakeEncoder()], [3], InputError, "image 0: expected a file, or an image of pillow .* got int"),
        ([FakeEncoder()], [Image.new("F", (2, 2))], InputError, "image 0: .* got one of mode F"),
    ],
)  # fmt: skip
def test_what_can_t_be_embedded_is_said_before_anything_is_loaded(
    encoders: Any, images: Dataset, error: type[Exception], says: str, store: EmbeddingStore
) -> None:
    with pytest.raises(error, match=says):
        extract_multi_encoder(encoders, images, store=store)
    handles = encoders.values() if isinstance(encoders, dict) else encoders
    assert not any(encoder.loads for encoder in handles if isinstance(encoder, FakeEncoder))
