"""Each family of encoders against transformers called directly, on a tiny checkpoint of its architecture."""

from __future__ import annotations

import gc
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from alignbench.encoders import resolve
from alignbench.errors import ModelError
from alignbench.tests import own_vision
from alignbench.tests import tiny_models as tiny
from alignbench.weights import handle
from alignbench.weights.loading import quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


hf: Any = transformers
FAMILIES = list(tiny.ENCODERS)


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def encoder(folder: Path, **options: Any) -> Any:
    made: Any = resolve(str(folder), **{"l2": False, **options})
    made.load("cpu", "float32")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_each_pooling_gives_what_transformers_gives(family: str, folders: Callable[[str], Path]) -> None:
    folder = folders(family)
    expected = own_vision.adapted(family, folder)
    patches = expected.pop("patches")
    for pooling, values in expected.items():
        if family.startswith(("dinov2", "vit", "internvit")) and pooling == "pooler":
            continue
        tiny.close(encoder(folder, pooling=pooling).embed(tiny.images()), values.numpy())
    tiny.close(encoder(folder).patches(tiny.images()), patches.numpy())


@pytest.mark.parametrize(
    ("family", "pooling"),
    [
        ("clip", "cls"),
        ("siglip", "pooler"),
        ("dinov2", "cls"),
        ("vit", "cls"),
        ("internvit", "mean"),
        ("paligemma", "projected"),
    ],
)
def test_the_default_pooling_is_the_familys(
    family: str, pooling: str, folders: Callable[[str], Path]
) -> None:
    handle = resolve(str(folders(family)))
    assert handle.info.params["pooling"] == pooling
    assert handle.info.family == family


@pytest.mark.parametrize("family", FAMILIES)
def test_the_batch_size_changes_nothing(family: str, folders: Callable[[str], Path]) -> None:
    made = encoder(folders(family))
    whole = made.embed(tiny.images(), batch_size=5)
    tiny.close(made.embed(tiny.images(), batch_size=1), whole)
    tiny.close(made.embed(tiny.images(), batch_size=2), whole)


@pytest.mark.parametrize("family", FAMILIES)
def test_two_loads_give_the_same_bits(family: str, folders: Callable[[str], Path]) -> None:
    first, second = encoder(folders(family)), encoder(folders(family))
    np.testing.assert_array_equal(first.embed(tiny.images()), second.embed(tiny.images()))


@pytest.mark.parametrize("family", FAMILIES)
def test_autocast_agrees_with_float32(family: str, folders: Callable[[str], Path]) -> None:
    exact = encoder(folders(family), l2=True)
    rough: Any = resolve(str(folders(family)))
    rough.load("cpu", "bfloat16")
    assert rough.info.params["dtype"] == "bfloat16-autocast"
    cosine = (exact.embed(tiny.images()) * rough.embed(tiny.images())).sum(axis=1)
    assert cosine.min() >= 0.999


@pytest.mark.parametrize(
    ("family", "rename"),
    [
        ("paligemma", lambda key: key.replace("vision_tower.", "vision_tower.vision_model.")),
        ("paligemma", lambda key: key if key.startswith("language_model") else f"model.{key}"),
        ("paligemma", lambda key: f"model.{key}".replace("vision_tower.", "vision_tower.vision_model.")),
        ("internvit", lambda key: f"vision_model.{key}"),
    ],
)
def test_other_key_layouts_give_the_same_vectors(
    family: str, rename: Callable[[str], str], folders: Callable[[str], Path], tmp_path: Path
) -> None:
    other = tiny.ENCODERS[family](tmp_path / "model")
    tiny.rename_keys(other, rename)
    tiny.close(encoder(other).embed(tiny.images()), encoder(folders(family)).embed(tiny.images()), 1e-6)


def test_paligemma_needs_no_word_about_its_missing_head(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    other = tiny.paligemma(tmp_path / "model")
    vision = json.loads((other / "config.json").read_text(encoding="utf-8"))["vision_config"]
    del vision["vision_use_head"]
    tiny.edit_config(other, vision_config=vision)
    tiny.close(encoder(other).embed(tiny.images()), encoder(folders("paligemma")).embed(tiny.images()), 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["clip", "siglip", "dinov2", "internvit", "paligemma"])
def test_a_hidden_layer_is_the_one_that_was_asked_for(family: str, folders: Callable[[str], Path]) -> None:
    folder = folders(family)
    last = encoder(folder, layer=3, pooling="mean").embed(tiny.images())
    np.testing.assert_array_equal(encoder(folder, layer=-1, pooling="mean").embed(tiny.images()), last)
    first = encoder(folder, layer=0, pooling="mean").embed(tiny.images())
    np.testing.assert_array_equal(encoder(folder, layer=-4, pooling="mean").embed(tiny.images()), first)
    assert np.abs(first - last).max() > 0.01
    with pytest.raises(ModelError, match=r"layers 0 \(embeddings\) to 3"):
        encoder(folder, layer=4, pooling="mean").embed(tiny.images())


def test_a_hidden_layer_is_transformers_hidden_state(folders: Callable[[str], Path]) -> None:
    folder = folders("dinov2")
    with quiet(), torch.no_grad():
        model = hf.Dinov2Model.from_pretrained(folder).eval()
        states = model(own_vision.pixels(folder), output_hidden_states=True).hidden_states
    tiny.close(encoder(folder, layer=2).embed(tiny.images()), states[2][:, 0].numpy())
    tiny.close(encoder(folder, layer=2).patches(tiny.images()), states[2][:, 1:].numpy())


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("siglip", {"pooling": "cls"}, "no CLS token.*available: pooler, mean"),
        ("paligemma", {"pooling": "cls"}, "no CLS token"),
        ("dinov2", {"pooling": "projected"}, "available: cls, pooler, mean"),
        ("internvit", {"pooling": "pooler"}, "available: cls, mean"),
        ("clip", {"pooling": "projected", "layer": 1}, "hidden layers of clip encoders"),
    ],
)
def test_a_pooling_that_the_family_lacks_is_refused_before_a_load(
    family: str, options: dict[str, Any], message: str, folders: Callable[[str], Path]
) -> None:
    with pytest.raises(ModelError, match=message):
        resolve(str(folders(family)), **options).locate()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_the_text_tower_shares_a_space_with_the_images(family: str, folders: Callable[[str], Path]) -> None:
    folder = folders(family)
    with quiet(), torch.no_grad():
        cls = {"clip": hf.CLIPModel, "siglip": hf.SiglipModel}[family]
        whole = cls.from_pretrained(folder).eval()
        texts = hf.AutoTokenizer.from_pretrained(folder)
        how = {"padding": True} if family == "clip" else {"padding": "max_length"}
        tokens = texts(tiny.TEXTS, truncation=True, max_length=20, return_tensors="pt", **how)
        if family == "siglip":
            tokens = {"input_ids": tokens["input_ids"]}
        of_texts = whole.get_text_features(**tokens).pooler_output.numpy()
        of_images = whole.get_image_features(pixel_values=own_vision.pixels(folder)).pooler_output.numpy()
    made = encoder(folder)
    assert made.has_text
    tiny.close(made.text_embed(tiny.TEXTS), of_texts)
    tiny.close(made.text_embed(tiny.TEXTS, batch_size=1), of_texts)
    tiny.close(made.image_embed(tiny.images()), of_images)


def test_a_family_without_texts_says_so(folders: Callable[[str], Path]) -> None:
    made = encoder(folders("dinov2"))
    assert not made.has_text
    with pytest.raises(ModelError, match="no text tower"):
        made.text_embed(["a chart"])
    with pytest.raises(ModelError, match="no text tower"):
        made.image_embed(tiny.images())


def test_unit_length_is_the_default(folders: Callable[[str], Path]) -> None:
    made: Any = resolve(str(folders("clip")))
    made.load("cpu", "float32")
    vectors = made.embed(tiny.images())
    assert made.info.params["l2"] is True
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert not np.allclose(
        np.linalg.norm(made.forward([made.preprocess(i) for i in tiny.images()]), axis=1), 1
    )


def test_the_width_is_the_checkpoints_not_a_tables(folders: Callable[[str], Path]) -> None:
    assert encoder(folders("clip"), pooling="projected").embed(tiny.images(1)).shape == (1, 20)
    assert encoder(folders("paligemma")).embed(tiny.images(1)).shape == (1, 24)


def test_unloading_frees_the_model_and_the_handle_stays_usable(folders: Callable[[str], Path]) -> None:
    made = encoder(folders("clip"))
    before = made.embed(tiny.images())
    made.unload()
    with pytest.raises(ModelError, match="is not loaded"):
        made.forward([])
    made.load("cpu", "float32")
    np.testing.assert_array_equal(made.embed(tiny.images()), before)


def test_nothing_of_a_large_model_waits_for_pythons_own_collection(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    collected = []
    monkeypatch.setattr(gc, "collect", lambda: collected.append(True))
    encoder(folders("clip")).unload()
    assert not collected
    monkeypatch.setattr(handle, "SMALL_MODEL", 0)
    encoder(folders("clip")).unload()
    assert collected


@pytest.mark.parametrize("family", ["clip", "siglip", "dinov2"])
def test_preprocessing_may_run_in_several_threads(family: str, folders: Callable[[str], Path]) -> None:
    made = encoder(folders(family))
    alone = [made.preprocess(image) for image in tiny.images(40)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(made.preprocess, tiny.images(40)))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    ("family", "whole", "part"),
    [
        ("clip", "CLIPModel", "CLIPVisionModelWithProjection"),
        ("siglip", "SiglipModel", "SiglipVisionModel"),
        ("dinov2", "Dinov2Model", "Dinov2ForImageClassification"),
    ],
)
def test_a_checkpoint_of_another_head_or_of_the_vision_side_alone_loads(
    family: str, whole: str, part: str, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    origin = folders(family)
    with quiet():
        model = getattr(hf, whole).from_pretrained(origin)
        config = getattr(model.config, "vision_config", model.config)
        if family == "clip":
            config.projection_dim = model.config.projection_dim
        other = getattr(hf, part)(config)
        inner = {"clip": "vision_model", "siglip": None, "dinov2": "dinov2"}[family]
        target = getattr(other, inner) if inner else other
        target.load_state_dict(getattr(model, "vision_model", model).state_dict())
        tiny.save(other, tmp_path, hf.AutoImageProcessor.from_pretrained(origin))
    made = encoder(tmp_path)
    assert not made.has_text
    np.testing.assert_array_equal(made.embed(tiny.images()), encoder(origin).embed(tiny.images()))
