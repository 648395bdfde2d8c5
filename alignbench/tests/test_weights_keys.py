"""One check of keys for every load path: missing, of another shape, or left over with a meaning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from alignbench.encoders import resolve
from alignbench.errors import ModelError
from alignbench.llms import resolve as resolve_llm
from alignbench.tests import tiny_models as tiny
from alignbench.weights.keys import check_keys, check_names
from alignbench.weights.loading import read_tensors

if TYPE_CHECKING:
    from pathlib import Path

OWN = ["layers.0.attn.q.weight", "layers.1.attn.q.weight", "layers.1.attn.bias", "norm.weight", "embed.table"]


def add(folder: Path, **tensors: torch.Tensor) -> Path:
    """Add tensors to a checkpoint."""
    path = folder / "model.safetensors"
    save_file({**load_file(path), **tensors}, path, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    "key",
    [
        "layers.0.attn.q.bias",  # in a module with weights
        "layers.0.attn.q_norm.weight",  # in a layer
        "model.layers.0.attn.q.bias",  # below the prefix of a model with a head
        "layers.2.attn.q.weight",  # beyond the last layer
        "model.layers.7.attn.q.weight",
        "layers.0.attn.q.weight_scale",
        "tower.q_proj.weight_scale_inv",
        "tower.q_proj.weight.absmax",
        "tower.q_proj.qzeros",
        "tower.q_proj.scales",
        "base.tower.q_proj.lora_A.default.weight",
        "norm.zero_centered",
    ],
)
def test_a_key_that_means_another_arithmetic_is_refused(key: str) -> None:
    with pytest.raises(ModelError, match="1 weights of the checkpoint have no place in M, as"):
        check_keys("src", "M", unexpected=[key], own=OWN, prefix="model")


@pytest.mark.parametrize(
    "key",
    [
        "lm_head.weight",
        "classifier.bias",
        "logit_scale",
        "model.logit_bias",
        "text_model.layers.0.attn.q.weight",
        "embed.mask_token",
        "layers.0.attn.rotary.inv_freq",
        "layers.1.attn.bias",  # a buffer, which the model computes itself
        "head.classifier.4.weight",
    ],
)
def test_a_head_another_tower_and_what_has_no_effect_may_be_left_out(key: str) -> None:
    check_keys("src", "M", unexpected=[key], own=[*OWN, "head.classifier.1.weight"], prefix="model")


def test_a_checkpoint_of_this_model_alone_has_a_place_for_each_key() -> None:
    with pytest.raises(ModelError, match=r"'lm_head\.weight'; without them it would be another model"):
        check_keys("src", "M", unexpected=["lm_head.weight"], own=OWN, whole=True)


def test_what_is_missing_or_of_another_shape_is_named_with_the_shapes() -> None:
    with pytest.raises(ModelError, match="2 weights of M are missing from the checkpoint, as 'a'"):
        check_keys("src", "M", missing={"b", "a"})
    with pytest.raises(
        ModelError, match=r"of another shape in the checkpoint, as 'a' \(\(2, 3\) for \(4,\)\)"
    ):
        check_keys("src", "M", mismatched=[("a", (2, 3), (4,))])


@pytest.mark.parametrize(
    "name", ["res_scale1.scale", "logit_scale", "blocks.0.ls1.gamma", "base_layer.0.weight"]
)
def test_the_names_alone_judge_no_architecture_that_has_scales_of_its_own(name: str) -> None:
    check_names("src", [name])


@pytest.mark.parametrize("family", ["clip", "siglip", "dinov2", "internvit", "paligemma"])
def test_a_bias_that_the_configuration_denies_is_refused_in_every_family_of_encoders(
    family: str, tmp_path: Path
) -> None:
    folder = tiny.ENCODERS[family](tmp_path / "model")
    keys = [key for key in load_file(folder / "model.safetensors") if ".0." in key and key.endswith("weight")]
    block = next((key for key in keys if "vision" in key), keys[0])
    add(folder, **{block.removesuffix("weight") + "twist": torch.ones(3)})
    with pytest.raises(ModelError, match=r"have no place in .*twist"):
        tiny.load(folder)


@pytest.mark.parametrize("family", ["llama", "gemma3", "internlm2"])
def test_an_adapter_among_the_weights_of_an_llm_is_refused_before_it_is_loaded(
    family: str, tmp_path: Path
) -> None:
    folder = tiny.LLMS[family](tmp_path / "model")
    add(folder, **{"model.layers.0.mlp.up_proj.lora_A.weight": torch.ones(2, 3)})
    with pytest.raises(ModelError, match="belong to quantized weights or to an adapter"):
        resolve_llm(str(folder)).locate()


def test_a_configuration_with_fewer_layers_than_the_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = tiny.llama(tmp_path / "model")
    tiny.edit_config(folder, num_hidden_layers=1)
    with pytest.raises(ModelError, match=r"have no place in LlamaModel, as 'model\.layers\.1\."):
        resolve_llm(str(folder)).load("cpu", "float32")


def test_a_weight_of_another_shape_is_named(tmp_path: Path) -> None:
    folder = add(tiny.dinov2(tmp_path / "model"), **{"layernorm.weight": torch.ones(7)})
    with pytest.raises(
        ModelError, match=r"another shape in the checkpoint, as 'layernorm\.weight' \(\(7,\) for"
    ):
        tiny.load(folder)


@pytest.mark.parametrize("alone", [True, False])
def test_an_adapter_says_merge_it_first(alone: bool, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    if alone:
        folder.mkdir()
    else:
        tiny.llama(folder)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"adapter: merge it first .*merge_and_unload"):
        resolve_llm(str(folder)).locate()


def test_pickles_of_families_that_rename_keys_load_when_they_are_allowed(tmp_path: Path) -> None:
    whole = tiny.load(tiny.internvit(tmp_path / "whole")).embed(tiny.images())
    folder = tiny.as_pickle(tiny.internvit(tmp_path / "model"))
    np.testing.assert_array_equal(tiny.load(folder, allow_pickle=True).embed(tiny.images()), whole)


def test_a_pickle_of_a_whole_training_says_what_to_save(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {"a": torch.ones(2)}}, tmp_path / "w.bin")
    with pytest.raises(ModelError, match="no table of tensors by name"):
        read_tensors([tmp_path / "w.bin"])


def test_a_key_in_two_files_is_refused_if_the_values_differ(tmp_path: Path) -> None:
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for value, file in enumerate(files):
        save_file({"w": torch.full((2,), float(value)), "same": torch.ones(1)}, file)
    with pytest.raises(ModelError, match="'w' is in another file, too, with other values"):
        read_tensors(files)


def test_a_configuration_that_names_other_files_is_refused(tmp_path: Path) -> None:
    folder = tiny.llama(tmp_path / "model")
    settings = folder / "tokenizer_config.json"
    said = json.loads(settings.read_text(encoding="utf-8"))
    settings.write_text(
        json.dumps({**said, "fast_tokenizer_files": ["tokenizer.4.0.json"]}), encoding="utf-8"
    )
    handle: Any = resolve_llm(str(folder))
    with pytest.raises(ModelError, match=r"fast_tokenizer_files in tokenizer_config\.json names other files"):
        handle.load("cpu", "float32")
    for key in ("transformers_weights", "configuration_files"):
        vision = tiny.dinov2(tmp_path / key)
        tiny.edit_config(vision, **{key: "../other.safetensors"})
        with pytest.raises(ModelError, match=rf"{key} in config\.json names other files"):
            resolve(str(vision)).locate()
