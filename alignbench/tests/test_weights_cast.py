"""Linear layers held in autocast's dtype: the same bits as when autocast casts them in every batch."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from alignbench.encoders import resolve as resolve_encoder
from alignbench.llms import resolve as resolve_llm
from alignbench.llms.families import BY_MODEL_TYPE
from alignbench.tests import tiny_llms
from alignbench.tests import tiny_models as tiny
from alignbench.weights import loading
from alignbench.weights.loading import cast_ahead, computing
from alignbench.weights.precision import Precision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AUTOCAST = Precision("float32", autocast="bfloat16")
# These settings alone do not make these small, or valid: each is a checkpoint with settings of its own.
LAST_LAYER_ALONE = ("gemma3n", "gemma3n_text")  # the states of others are several vectors per token
SHAPED = (
    *LAST_LAYER_ALONE,
    *("deepseek_v3", "gemma4", "gemma4_text", "gpt_oss", "llama4", "mistral3", "qwen3_5"),
)
PLAIN_TYPES = sorted(set(BY_MODEL_TYPE) - {"gemma3", "internlm2", *SHAPED})


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def linear_dtypes(model: Any) -> set[torch.dtype]:
    return {module.weight.dtype for module in model.modules() if type(module) is torch.nn.Linear}


def vectors(resolve: Callable[..., Any], folder: Path, inputs: Any, **options: Any) -> list[Any]:
    handle = resolve(str(folder), l2=False, **options)
    handle.load("cpu", "bfloat16")
    found = [handle.embed(inputs)]
    if hasattr(handle, "patches"):
        found.append(handle.patches(inputs))
    if getattr(handle, "has_text", False):
        found += [handle.text_embed(tiny.TEXTS), handle.image_embed(inputs)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("family", [*tiny.ENCODERS, *tiny.LLMS, *SHAPED])
def test_vectors_are_the_same_to_the_last_bit(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    resolve: Callable[..., Any] = resolve_llm
    inputs: Any = tiny.TEXTS
    if family in tiny.ENCODERS:
        resolve, inputs = resolve_encoder, tiny.images()
        tiny.ENCODERS[family](folder)
    else:
        tiny_llms.written(family, folder)
    for options in ({},) if family in LAST_LAYER_ALONE else ({}, {"layer": 1}):
        ahead = vectors(resolve, folder, inputs, **options)
        with monkeypatch.context() as patch:
            patch.setattr(loading, "cast_ahead", lambda model, _precision: model)
            in_every_batch = vectors(resolve, folder, inputs, **options)
        for ours, plain in zip(ahead, in_every_batch, strict=True):
            np.testing.assert_array_equal(ours, plain)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("model_type", PLAIN_TYPES)
def test_states_are_the_same_to_the_last_bit(model_type: str) -> None:
    shape = {**tiny.TEXT, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if model_type.startswith("gpt"):
        shape.pop("num_key_value_heads")
    else:
        shape["head_dim"] = 6
    config = transformers.AutoConfig.for_model(model_type, **shape)
    model = tiny.scattered(transformers.AutoModel.from_config(config))
    ahead = cast_ahead(copy.deepcopy(model), AUTOCAST)
    ids = torch.arange(27).reshape(3, 9) + 5
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    with computing(AUTOCAST, "cpu"):
        plain, ours = (
            made(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            for made in (model, ahead)
        )
    assert ours.dtype is plain.dtype is torch.float32
    assert torch.equal(plain, ours)


def test_linear_layers_alone_are_cast(tmp_path: Path) -> None:
    handle: Any = resolve_llm(str(tiny.llama(tmp_path / "model")))
    handle.load("cpu", "bfloat16")
    model = handle.running().model.model
    assert linear_dtypes(model) == {torch.bfloat16}
    assert model.embed_tokens.weight.dtype is model.norm.weight.dtype is torch.float32


def test_without_autocast_nothing_is_cast() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3))
    assert linear_dtypes(cast_ahead(model, Precision("float32"))) == {torch.float32}
    assert linear_dtypes(cast_ahead(model.bfloat16(), Precision("bfloat16"))) == {torch.bfloat16}


def test_a_tied_weight_stays_as_its_other_owner_needs_it() -> None:
    embedding, head = torch.nn.Embedding(5, 3), torch.nn.Linear(3, 5, bias=False)
    head.weight = embedding.weight
    cast_ahead(torch.nn.Sequential(embedding, head), AUTOCAST)
    assert embedding.weight.dtype is torch.float32
    assert head.weight is embedding.weight


def test_a_layer_of_another_kind_is_left_alone() -> None:
    class Quantized(torch.nn.Linear):
        pass

    layer = Quantized(3, 3)
    cast_ahead(torch.nn.Sequential(layer), AUTOCAST)
    assert layer.weight.dtype is torch.float32


@pytest.mark.parametrize(
    ("precision", "rounded"), [(Precision("float32"), False), (AUTOCAST, True), (Precision("bfloat16"), True)]
)
def test_float32_is_not_rounded_on_a_gpu(precision: Precision, rounded: bool) -> None:
    """By default, convolutions in float32 have inputs of ten bits on a GPU."""
    before = torch.backends.cudnn.allow_tf32
    with computing(precision, "cpu"):
        assert torch.backends.cudnn.allow_tf32 is (before and rounded)
    assert torch.backends.cudnn.allow_tf32 is before
