"""The parts of VLMs against transformers' own models of the same files, on tiny checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from alignbench.encoders import resolve
from alignbench.errors import ModelError
from alignbench.llms import resolve as resolve_llm
from alignbench.tests import own_texts, own_vision, tiny_vlms
from alignbench.tests import tiny_models as tiny
from alignbench.tests.tiny_vlms import part
from alignbench.weights.loading import quiet
from alignbench.weights.parts import VLMS
from alignbench.weights.protocols import gives_patches

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


hf: Any = transformers
pytestmark = pytest.mark.usefixtures("one_torch_thread")
FAMILIES = list(tiny_vlms.VLMS)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_projected_is_what_the_llm_receives(vlms: Callable[[str], Path], family: str) -> None:
    model = part(vlms(family), "projected")
    expected = own_vision.image_tokens(vlms(family))
    tiny.close(model.embed(tiny.images()), np.stack([tokens.mean(0) for tokens in expected]))
    each = [model.patches([image])[0] for image in tiny.images()]
    for ours, theirs in zip(each, expected, strict=True):
        tiny.close(ours, theirs)
    assert model.poolings == ("mean",)
    assert each[0].shape[1] == tiny.TEXT["hidden_size"]  # the LLM's space


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_vision_is_the_vlms_own_tower(vlms: Callable[[str], Path], family: str) -> None:
    tokens = own_vision.tower_tokens(vlms(family), family)
    has_cls = family in ("llava", "llava_next", "internvl", "internvl_in_tiles")
    model = part(vlms(family), "vision", pooling="mean")
    expected = np.stack([of[int(has_cls) :].mean(0) for of in tokens])
    tiny.close(model.embed(tiny.images()), expected)
    assert ("cls" in model.poolings) == has_cls
    if not family.startswith("qwen"):
        tiny.close(model.patches(tiny.images()), np.stack([of[int(has_cls) :] for of in tokens]))


@pytest.mark.parametrize("family", FAMILIES)
def test_text_is_the_vlms_own_llm(vlms: Callable[[str], Path], family: str) -> None:
    tiny.close(part(vlms(family), "text").embed(tiny.TEXTS), own_texts.text_states(vlms(family)))


def test_a_part_has_its_label_however_its_files_are_asked_for(vlms: Callable[[str], Path]) -> None:
    source = part(vlms("llava"), "vision").source
    for located in (source.locate(), source.local(), source.fetch()):
        assert located.source == source.label
        assert source.label.endswith("#vision")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_do_not_depend_on_the_batch(vlms: Callable[[str], Path], family: str) -> None:
    for name in ("vision", "projected"):
        model = part(vlms(family), name)
        alone = np.concatenate([model.embed([image]) for image in tiny.images()])
        tiny.close(model.embed(tiny.images()), alone)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_dry_build_reads_no_numbers_and_knows_the_layers(vlms: Callable[[str], Path], family: str) -> None:
    for name in ("vision", "projected", "text"):
        (resolve_llm if name == "text" else resolve)(f"{vlms(family)}#{name}").examine()
    depth = 2 if family.startswith("qwen") else 3
    resolve(f"{vlms(family)}#vision", layer=depth).examine()
    with pytest.raises(ModelError, match=f"layer {depth + 1}: this model has layers 0"):
        resolve(f"{vlms(family)}#vision", layer=depth + 1).examine()
    with pytest.raises(ModelError, match="has no layers; those of its tower are in #vision"):
        resolve(f"{vlms(family)}#projected", layer=1).examine()


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", ["llava", "internvl", "gemma3", "smolvlm", "llama4", "qwen2_5_vl", "qwen3_vl"]
)
def test_hidden_layers_are_those_of_the_tower(vlms: Callable[[str], Path], family: str) -> None:
    model = part(vlms(family), "vision", pooling="mean")
    images = tiny.images()
    layers = model.forward_layers([model.preprocess(image) for image in images])
    poolings = model.layer_poolings
    one = part(vlms(family), "vision", pooling="mean", layer=1).embed(images)
    width = one.shape[1]  # Llama 4's output is wider than its layers
    tiny.close(layers[:, len(poolings) + poolings.index("mean"), :width], one)
    tiny.close(layers[:, -len(poolings) + poolings.index("mean")], model.embed(images))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llava", "internvl"])
def test_attention_of_a_tower_with_cls_is_its_last_layers(vlms: Callable[[str], Path], family: str) -> None:
    with quiet():
        tower = tiny_vlms.own_model(vlms(family)).model.vision_tower
    tower.set_attn_implementation("eager")
    pixels = torch.cat([inputs["pixel_values"] for inputs in own_vision.made_inputs(vlms(family))])
    with torch.no_grad():
        expected = tower(pixels, output_attentions=True).attentions[-1][:, :, 0, 1:].mean(1)
    tiny.close(part(vlms(family), "vision").attention(tiny.images()), expected.numpy())
    with pytest.raises(ModelError, match="no cls attention map"):
        part(vlms(family), "projected").attention(tiny.images(1), "cls")


def test_cls_of_a_clip_tower_is_that_of_the_clip_it_came_from(vlms: Callable[[str], Path]) -> None:
    with quiet():
        tower = tiny_vlms.own_model(vlms("llava")).model.vision_tower
    pixels = torch.cat([inputs["pixel_values"] for inputs in own_vision.made_inputs(vlms("llava"))])
    with torch.no_grad():
        expected = tower(pixels).pooler_output.numpy()
    model = part(vlms("llava"), "vision")
    assert model.pooling == "cls"
    tiny.close(model.embed(tiny.images()), expected)
    assert model.notes == (
        "llava-vision: the VLM's projector reads hidden layer -2 of this tower (--align-layer -2)",
    )


@pytest.mark.slow
def test_an_image_in_its_own_shape_has_no_size_to_fit(vlms: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match="read an image in its own shape"):
        part(vlms("qwen3_vl"), "vision", fit="pad")
    with pytest.raises(ModelError, match="different numbers of tokens here"):
        part(vlms("qwen3_vl"), "projected").patches(tiny.images())
    with pytest.raises(ModelError, match="ordered by the blocks that the tower merges"):
        part(vlms("qwen3_vl"), "vision").patches(tiny.images(1))
    assert part(vlms("llava_next"), "projected", fit="pad").embed(tiny.images()).shape == (5, 24)


def test_what_needs_patches_is_skipped_where_images_differ_in_them(vlms: Callable[[str], Path]) -> None:
    for family, of in (("llava", "projected"), ("llava_next", "vision")):
        assert gives_patches(resolve(f"{vlms(family)}#{of}"))
    for family, of in (("llava_next", "projected"), ("qwen3_vl", "vision"), ("qwen3_vl", "projected")):
        assert not gives_patches(resolve(f"{vlms(family)}#{of}"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_of_an_llm_continues_as_the_whole_vlm_does(vlms: Callable[[str], Path], family: str) -> None:
    llm: Any = resolve_llm(f"{vlms(family)}#text").with_head()
    if family.startswith("qwen"):
        with pytest.raises(ModelError, match="no class of this LLM alone with its head"):
            llm.load("cpu", "float32")
        return
    llm.load("cpu", "float32")
    with quiet():
        whole = tiny_vlms.own_model(vlms(family))
    ids = torch.tensor([[1, 5, 9, 20]])
    head = whole.language_model.lm_head if family == "llama4" else whole.lm_head
    with torch.no_grad():
        logits = head(own_texts.llm_of(whole)(input_ids=ids).last_hidden_state)
        if (cap := getattr(whole.config.text_config, "final_logit_softcapping", None)) is not None:
            logits = cap * torch.tanh(logits / cap)
        tiny.close(llm.decoder.model(input_ids=ids).logits, logits)


def test_projected_is_what_paligemma_has_always_been(vlms: Callable[[str], Path]) -> None:
    plain: Any = resolve(str(vlms("paligemma")), l2=False)
    plain.load("cpu", "float32")
    images = tiny.images()
    tiny.close(part(vlms("paligemma"), "projected").embed(images), plain.embed(images), 1e-6)
    assert plain.pooling == "projected"


def test_every_family_is_tried_here() -> None:
    assert {name.removesuffix("_in_tiles").replace("paligemma2", "paligemma") for name in FAMILIES} == set(
        VLMS
    )
