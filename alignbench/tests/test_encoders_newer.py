"""SigLIP 2 with NaFlex, MetaCLIP 2 and a CLIP vision tower saved alone, against transformers itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from alignbench.encoders import resolve
from alignbench.errors import ModelError
from alignbench.tests import own_vision, tiny_vision
from alignbench.tests import tiny_models as tiny
from alignbench.weights.loading import quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

hf: Any = transformers

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.mark.parametrize("family", ["siglip2_naflex", "siglip2_vision"])
def test_naflex_gives_what_transformers_gives(family: str, vision_folder: Callable[[str], Path]) -> None:
    model, inputs = own_vision.naflex(vision_folder(family))
    with torch.no_grad():
        out = model(**inputs, output_hidden_states=True)
    there = inputs["pixel_attention_mask"][..., None].float()
    assert len({int(count) for count in there.sum(1)}) > 1  # the images have different numbers of patches
    ours = tiny.load(vision_folder(family), l2=False)
    tiny.close(ours.embed(tiny.images()), out.pooler_output.numpy())
    means = [(state * there).sum(1) / there.sum(1) for state in (*out.hidden_states, out.last_hidden_state)]
    layers = ours.forward_layers([ours.preprocess(image) for image in tiny.images()])
    tiny.close(layers, torch.stack(means, dim=1).numpy())


def test_the_images_beside_it_change_nothing_for_naflex(vision_folder: Callable[[str], Path]) -> None:
    for pooling in ("pooler", "mean"):
        model = tiny.load(vision_folder("siglip2_vision"), l2=False, pooling=pooling)
        together = model.embed(tiny.images())
        tiny.close(model.embed(tiny.images(), batch_size=1), together)
        tiny.close(model.embed(tiny.images()[::-1], batch_size=2)[::-1], together)


@pytest.mark.slow
def test_naflex_gives_maps_of_square_images_only(vision_folder: Callable[[str], Path]) -> None:
    wide = tiny.load(vision_folder("siglip2_vision"))
    for maps in (wide.patches, wide.attention):
        with pytest.raises(ModelError, match="square with --align-fit pad or squash"):
            maps(tiny.images())
    square = tiny.load(vision_folder("siglip2_vision"), fit="squash")
    patches = square.patches(tiny.images())
    assert patches.shape == (5, 16, 32)
    mean = tiny.load(vision_folder("siglip2_vision"), fit="squash", pooling="mean", l2=False)
    tiny.close(patches.mean(axis=1), mean.embed(tiny.images()))
    np.testing.assert_allclose(square.attention(tiny.images()).sum(axis=1), 1, atol=1e-5)


def test_naflex_says_before_a_load_what_it_does(vision_folder: Callable[[str], Path]) -> None:
    model: Any = resolve(str(vision_folder("siglip2_naflex")))
    model.examine()
    assert (model.poolings, model.pooling) == (("pooler", "mean"), "pooler")
    with pytest.raises(ModelError, match=r"layers 0 .* to 3"):
        resolve(str(vision_folder("siglip2_naflex")), layer=9).examine()
    assert not model.notes


def test_a_missing_weight_of_naflex_is_refused(vision_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tiny_vision.MAKERS["siglip2_vision"](tmp_path / "model")
    tiny.rename_keys(folder, lambda key: None if key.endswith("layers.1.mlp.fc1.weight") else key)
    with pytest.raises(ModelError, match=r"1 of the \d+ weights of Siglip2VisionModel are missing"):
        tiny.load(folder)


@pytest.mark.slow
def test_metaclip2_has_clips_outputs_and_texts(vision_folder: Callable[[str], Path]) -> None:
    folder = vision_folder("metaclip2")
    with quiet(), torch.no_grad():
        whole = hf.MetaClip2Model.from_pretrained(folder).eval()
        inputs = [
            hf.AutoImageProcessor.from_pretrained(folder)(images=image, return_tensors="pt")["pixel_values"]
            for image in tiny.images()
        ]
        out = whole.vision_model(torch.cat(inputs))
        images = whole.get_image_features(pixel_values=torch.cat(inputs)).pooler_output
        tokens = hf.AutoTokenizer.from_pretrained(folder)(
            tiny.TEXTS, padding=True, truncation=True, max_length=20, return_tensors="pt"
        )
        texts = whole.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).pooler_output
    tiny.close(tiny.load(folder, l2=False).embed(tiny.images()), out.pooler_output.numpy())
    model = tiny.load(folder, l2=False, pooling="projected")
    tiny.close(model.embed(tiny.images()), images.numpy())
    tiny.close(model.text_embed(tiny.TEXTS), texts.numpy())
    tiny.close(model.patches(tiny.images()), out.last_hidden_state[:, 1:].numpy())
    assert model.info.family == "clip"


@pytest.mark.parametrize("says", [True, False], ids=["architectures", "no architectures"])
def test_a_clip_vision_tower_saved_alone_works_for_what_it_has(
    says: bool, vision_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = vision_folder("clip_vision")
    if not says:
        folder = tiny_vision.MAKERS["clip_vision"](tmp_path / "model")
        tiny.edit_config(folder, architectures=None)
    with quiet(), torch.no_grad():
        model = hf.CLIPVisionModel.from_pretrained(folder).eval()
        processor = hf.AutoImageProcessor.from_pretrained(folder)
        each = [processor(images=image, return_tensors="pt")["pixel_values"] for image in tiny.images()]
        out = model(torch.cat(each), output_hidden_states=True)
    ours = tiny.load(folder, l2=False)
    tiny.close(ours.embed(tiny.images()), out.pooler_output.numpy())
    tiny.close(ours.patches(tiny.images()), out.last_hidden_state[:, 1:].numpy())
    tiny.close(tiny.load(folder, l2=False, layer=1).embed(tiny.images()), out.hidden_states[1][:, 0].numpy())
    assert ours.attention(tiny.images()).shape == (5, 16)
    with pytest.raises(ModelError, match="no text tower"):
        ours.shared_patches(tiny.images())
    if says:
        with pytest.raises(ModelError, match="this clip model has no 'projected' pooling"):
            resolve(str(folder), pooling="projected").locate()
    else:
        with pytest.raises(ModelError, match="projected"):
            tiny.load(folder, pooling="projected")
