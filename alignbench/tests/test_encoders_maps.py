"""Attention maps and patches in the space of texts, against transformers called directly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from alignbench.encoders import resolve
from alignbench.errors import ModelError
from alignbench.tests import tiny_models as tiny
from alignbench.weights.loading import quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

hf: Any = transformers
WITH_CLS = {"clip": 1, "dinov2": 1, "dinov2_with_registers": 4, "vit": 1, "internvit_native": 1}


def pixels(made: Any, n: int = 5) -> torch.Tensor:
    return torch.stack([made.preprocess(image) for image in tiny.images(n)])


@torch.no_grad()
def eager_attention(family: str, folder: Path, inputs: torch.Tensor) -> torch.Tensor:
    names = {
        "clip": "CLIPVisionModel",
        "dinov2": "Dinov2Model",
        "dinov2_with_registers": "Dinov2WithRegistersModel",
        "vit": "ViTModel",
        "internvit_native": "InternVLVisionModel",
    }
    with quiet():
        model = getattr(hf, names[family]).from_pretrained(folder, attn_implementation="eager").eval()
    last: torch.Tensor = model(inputs, output_attentions=True).attentions[-1]
    return last


@pytest.mark.parametrize("family", list(WITH_CLS))
def test_cls_attention_is_the_last_layers_row_of_cls(family: str, folders: Callable[[str], Path]) -> None:
    made = tiny.load(folders(family))
    expected = eager_attention(family, folders(family), pixels(made))[:, :, 0, WITH_CLS[family] :].mean(1)
    tiny.close(made.attention(tiny.images()), expected.numpy())
    assert expected.sum(1).max() < 1  # the rest is what CLS pays to itself and to registers


def test_attention_of_an_original_internvit_is_that_of_the_native_one(
    folders: Callable[[str], Path],
) -> None:
    native, original = (
        tiny.load(folders(name)).running().model for name in ("internvit_native", "internvit")
    )
    inputs = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tiny.close(original.attention(inputs).numpy(), native.attention(inputs).numpy())


def test_asking_for_attention_changes_no_embedding(folders: Callable[[str], Path]) -> None:
    made = tiny.load(folders("dinov2"))
    before = made.embed(tiny.images())
    made.attention(tiny.images())
    np.testing.assert_array_equal(made.embed(tiny.images()), before)
    assert made.running().model.model.config._attn_implementation == "sdpa"


def test_pooling_attention_weighs_what_siglips_head_makes_of_the_patches(
    folders: Callable[[str], Path],
) -> None:
    made = tiny.load(folders("siglip"))
    tower = made.running().model
    weights = made.attention(tiny.images())
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    head = tower.model.head
    with torch.no_grad():
        tokens = tower.model(pixels(made)).last_hidden_state
        q, k, _ = head.attention.in_proj_weight.chunk(3)
        bq, bk, _ = head.attention.in_proj_bias.chunk(3)
        heads, width = 4, 8
        query = (head.probe[0] @ q.T + bq).reshape(heads, width)
        keys = (tokens @ k.T + bk).reshape(len(tokens), -1, heads, width)
        scores = torch.einsum("hw,bphw->bhp", query, keys) / width**0.5
    tiny.close(weights, scores.softmax(-1).mean(1).numpy())


@pytest.mark.parametrize(
    ("family", "kind", "message"),
    [
        ("siglip", "cls", "no cls attention map of siglip encoders: they have no CLS token; take .*pooling"),
        (
            "paligemma",
            "cls",
            "no cls attention map of paligemma encoders: they have no CLS token and no pool",
        ),
        ("paligemma", None, "no own attention map of paligemma encoders"),
        ("dinov2", "pooling", "they have no pooling attention"),
    ],
)
def test_attention_that_a_family_lacks_is_refused_before_a_load(
    family: str, kind: str | None, message: str, folders: Callable[[str], Path]
) -> None:
    made: Any = resolve(str(folders(family)))
    with pytest.raises(ModelError, match=message) as error:
        made.attention(tiny.images(), kind)
    assert not made.loaded
    assert "\n" not in str(error.value)


@torch.no_grad()
def test_clip_patches_by_value_and_raw_are_what_their_formulas_say(folders: Callable[[str], Path]) -> None:
    made = tiny.load(folders("clip"))
    with quiet():
        model = hf.CLIPModel.from_pretrained(folders("clip")).eval()
    vision = model.vision_model
    states = vision(pixels(made), output_hidden_states=True).hidden_states
    last = vision.encoder.layers[-1]
    v = last.self_attn.out_proj(last.self_attn.v_proj(last.layer_norm1(states[-2])))
    expected = {"value": v, "raw": states[-1]}
    found = made.shared_patches(tiny.images())
    assert set(found) == set(expected)
    for method, tokens in expected.items():
        shared = model.visual_projection(vision.post_layernorm(tokens))[:, 1:]
        tiny.close(found[method], torch.nn.functional.normalize(shared, dim=-1).numpy())


def test_raw_clip_patches_project_as_cls_does(folders: Callable[[str], Path]) -> None:
    made = tiny.load(folders("clip"))
    model = made.running().model.model
    whole = made.image_embed(tiny.images())
    with torch.no_grad():
        out = model.vision_model(pixels(made)).last_hidden_state
        shared = model.visual_projection(model.vision_model.post_layernorm(out))
    tiny.close(whole, torch.nn.functional.normalize(shared[:, 0], dim=-1).numpy())
    tiny.close(
        made.shared_patches(tiny.images())["raw"],
        torch.nn.functional.normalize(shared[:, 1:], dim=-1).numpy(),
    )


def test_siglip_patches_by_value_are_the_heads_output_for_each_patch_alone(
    folders: Callable[[str], Path],
) -> None:
    made = tiny.load(folders("siglip"))
    model = made.running().model.model
    found = made.shared_patches(tiny.images())
    with torch.no_grad():
        tokens = model(pixels(made)).last_hidden_state
        alone = model.head(tokens[1, 3].reshape(1, 1, -1))[0]
    tiny.close(found["value"][1, 3], torch.nn.functional.normalize(alone, dim=-1).numpy())
    tiny.close(found["raw"], torch.nn.functional.normalize(tokens, dim=-1).numpy())


@pytest.mark.parametrize("family", ["dinov2", "internvit", "paligemma", "vit"])
def test_families_without_texts_have_no_patches_among_them(
    family: str, folders: Callable[[str], Path]
) -> None:
    made: Any = resolve(str(folders(family)))
    with pytest.raises(ModelError, match="no patches in a space of texts"):
        made.shared_patches(tiny.images())
    assert not made.loaded


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_the_batch_size_changes_no_map(family: str, folders: Callable[[str], Path]) -> None:
    made = tiny.load(folders(family))
    whole, single = (made.shared_patches(tiny.images(), batch_size=size) for size in (5, 2))
    for method in whole:
        tiny.close(single[method], whole[method])
    tiny.close(made.attention(tiny.images(), batch_size=2), made.attention(tiny.images()))


def test_a_varied_handle_is_of_the_same_weights_with_other_options(folders: Callable[[str], Path]) -> None:
    made = tiny.load(folders("dinov2"))
    other = made.varied(fit="squash", pooling="mean")
    assert not other.loaded
    assert (other.name, other.source) == (made.name, made.source)
    assert (other.options.fit, other.options.pooling, other.options.l2) == ("squash", "mean", True)
    assert made.options.fit == "native"
