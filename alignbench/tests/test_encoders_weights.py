"""Weights that are broken, missing, hostile or far away: an error each, never a random model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from alignbench.encoders import resolve
from alignbench.errors import ModelError, WeightsMissingError
from alignbench.llms import resolve as resolve_llm
from alignbench.tests import tiny_models as tiny
from alignbench.tests.tiny_models import as_pickle, load
from alignbench.weights import precision
from alignbench.weights.digest import files_digest, parameter_count
from alignbench.weights.text import one_line

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("family", "lost"),
    [
        ("clip", "vision_model.encoder.layers.1.mlp.fc1.weight"),
        ("clip", "visual_projection.weight"),
        ("siglip", "vision_model.head.probe"),
        ("dinov2", "layernorm.bias"),
        ("internvit", "encoder.layers.2.attn.qkv.bias"),
        ("paligemma", "vision_tower.post_layernorm.weight"),
        ("paligemma", "multi_modal_projector.linear.bias"),
    ],
)
def test_a_missing_weight_is_an_error_and_not_random(family: str, lost: str, tmp_path: Path) -> None:
    folder = tiny.ENCODERS[family](tmp_path / "model")
    assert lost in load_file(folder / "model.safetensors")
    tiny.rename_keys(folder, lambda key: None if key == lost else key)
    with pytest.raises(ModelError, match=r"missing from the checkpoint.*would be random"):
        load(folder)


@pytest.mark.parametrize(
    ("family", "lost"),
    [
        ("llama", "model.norm.weight"),
        ("gemma3", "language_model.model.layers.0.mlp.up_proj.weight"),
        ("internlm2", "model.layers.1.attention.wqkv.weight"),
    ],
)
def test_a_missing_weight_of_an_llm_is_an_error(family: str, lost: str, tmp_path: Path) -> None:
    folder = tiny.LLMS[family](tmp_path / "model")
    assert lost in load_file(folder / "model.safetensors")
    tiny.rename_keys(folder, lambda key: None if key == lost else key)
    with pytest.raises(ModelError, match="missing from the checkpoint"):
        resolve_llm(str(folder)).load("cpu", "float32")


def test_keys_under_an_unknown_prefix_are_missing_keys(tmp_path: Path) -> None:
    folder = tiny.paligemma(tmp_path / "model")
    tiny.rename_keys(folder, lambda key: key.replace("vision_tower.", "vision_tower.other."))
    with pytest.raises(ModelError, match="missing from the checkpoint"):
        load(folder)


def test_a_weight_of_another_shape_is_an_error(tmp_path: Path) -> None:
    folder = tiny.dinov2(tmp_path / "model")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["layernorm.weight"] = torch.ones(7)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="Dinov2Model"):
        load(folder)


def test_a_cut_off_file_is_an_error(tmp_path: Path) -> None:
    folder = tiny.dinov2(tmp_path / "model")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError):
        load(folder)


def test_a_file_that_is_no_safetensors_is_an_error(tmp_path: Path) -> None:
    folder = tiny.dinov2(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n" * 3)
    with pytest.raises(ModelError, match="not a safetensors file"):
        load(folder)


def test_an_unknown_model_type_is_called_unknown(tmp_path: Path) -> None:
    folder = tiny.dinov2(tmp_path / "model")
    tiny.edit_config(folder, model_type="swan")
    with pytest.raises(ModelError, match=r"model_type 'swan' is known neither here nor to"):
        load(folder)


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_broken_config_is_an_error(content: str, tmp_path: Path) -> None:
    folder = tiny.dinov2(tmp_path / "model")
    (folder / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"config\.json"):
        load(folder)


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    folder = tiny.dinov2(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsMissingError, match=r"no model\.safetensors"):
        load(folder)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = tiny.dinov2(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {k: f"model-0000{k}-of-00002.safetensors" for k in "12"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(WeightsMissingError, match="1 of 2 weight files missing, as 'model-00002-of-00002"):
        load(folder)


def test_shards_load_like_one_file(tmp_path: Path) -> None:
    whole, parts = tiny.dinov2(tmp_path / "whole"), tiny.dinov2(tmp_path / "parts")
    tensors = load_file(parts / "model.safetensors")
    names = sorted(tensors)
    weight_map = {key: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, key in enumerate(names)}
    for file in set(weight_map.values()):
        mine = {key: tensors[key] for key in names if weight_map[key] == file}
        save_file(mine, parts / file, metadata={"format": "pt"})
    (parts / "model.safetensors").unlink()
    (parts / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map}), encoding="utf-8"
    )
    np.testing.assert_array_equal(load(parts).embed(tiny.images()), load(whole).embed(tiny.images()))


def test_a_pickle_is_refused_unless_it_is_asked_for(tmp_path: Path) -> None:
    whole = load(tiny.dinov2(tmp_path / "whole")).embed(tiny.images())
    folder = as_pickle(tiny.dinov2(tmp_path / "model"))
    with pytest.raises(ModelError, match=r"a pickle.*--align-allow-pickle"):
        load(folder)
    np.testing.assert_array_equal(load(folder, allow_pickle=True).embed(tiny.images()), whole)


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def test_an_allowed_pickle_still_runs_no_code(tmp_path: Path) -> None:
    folder = as_pickle(tiny.dinov2(tmp_path / "model"))
    tensors = torch.load(folder / "pytorch_model.bin", weights_only=True)
    hostile = {**tensors, "layernorm.bias": Hostile(str(tmp_path / "ran"))}
    torch.save(hostile, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="more than tensors"):
        load(folder, allow_pickle=True)
    assert not (tmp_path / "ran").exists()


def test_code_in_the_folder_is_never_run(tmp_path: Path) -> None:
    folder = tiny.internvit(tmp_path / "model")
    marker = tmp_path / "ran"
    for name in ("modeling_intern_vit.py", "configuration_intern_vit.py"):
        (folder / name).write_text(f"open({str(marker)!r}, 'w')\n", encoding="utf-8")
    load(folder)
    assert not marker.exists()


def test_what_a_file_says_cannot_steer_the_terminal() -> None:
    said = one_line(ValueError("bad \x1b[2Jtype\n\x9b31m \u202eevil\x07, é"))
    assert said == "ValueError: bad [2Jtype 31m evil, é"


def test_a_folder_without_preprocessor_says_what_to_save(tmp_path: Path) -> None:
    folder = tiny.dinov2(tmp_path / "model")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"no usable preprocessor_config\.json"):
        load(folder)


def test_a_digest_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    first, second = tiny.dinov2(tmp_path / "a"), tiny.dinov2(tmp_path / "b")
    digest = files_digest([first / "model.safetensors"])
    assert digest.startswith("sha256:")
    assert files_digest([second / "model.safetensors"]) == digest
    (second / "model.safetensors").write_bytes((first / "model.safetensors").read_bytes()[:-1] + b"\x01")
    assert files_digest([second / "model.safetensors"]) != digest


def test_a_large_file_is_known_by_header_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alignbench.weights import digest

    monkeypatch.setattr(digest, "READ_WHOLE", 10)
    file = tiny.dinov2(tmp_path / "a") / "model.safetensors"
    before = files_digest([file])
    assert before.startswith("header:")
    assert files_digest([file]) == before
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"\x01")
    assert files_digest([file]) != before


def test_parameters_are_counted_without_torch(tmp_path: Path) -> None:
    path = tiny.dinov2(tmp_path / "a") / "model.safetensors"
    assert parameter_count([path]) == sum(tensor.numel() for tensor in load_file(path).values())


@pytest.mark.parametrize(
    ("device", "dtype", "parameters", "capability", "bf16", "expected"),
    [
        ("cpu", "auto", 10, None, True, "bfloat16-autocast"),
        ("cpu", "auto", 10, None, False, "float32"),
        ("auto", "auto", 10, None, True, "bfloat16-autocast"),
        ("cpu", "bfloat16", int(9e9), None, False, "bfloat16-autocast"),
        ("cuda", "auto", 10, 8.0, False, "bfloat16-autocast"),
        ("cuda:1", "auto", int(7e9), 8.0, False, "bfloat16"),
        ("auto", "auto", int(7e9), 9.0, True, "bfloat16"),
        ("cuda", "auto", int(7e9), 7.5, True, "float16"),
        ("cuda", "auto", 10, 7.5, True, "float32"),
        ("cuda", "float16", 10, 7.5, True, "float16-autocast"),
        ("cuda", "float32", int(7e9), 8.0, True, "float32"),
    ],
)
def test_the_arithmetic_follows_hardware_and_size(
    device: str,
    dtype: str,
    parameters: int,
    capability: float | None,
    bf16: bool,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "gpu_capability", lambda: capability)
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: bf16)
    assert precision.resolve_precision(device, dtype, parameters).name == expected


def test_a_family_that_overflows_never_gets_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "gpu_capability", lambda: 7.5)
    assert precision.resolve_precision("cuda", "auto", int(7e9), fp16_safe=False).name == "float32"
    with pytest.raises(ModelError, match="float16 overflows"):
        precision.resolve_precision("cuda", "float16", fp16_safe=False)


@pytest.mark.parametrize(
    ("dtype", "message"), [("float16", "float16 is for GPUs"), ("int8", "expected a dtype of")]
)
def test_an_arithmetic_that_would_mislead_is_refused(dtype: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        precision.resolve_precision("cpu", dtype)


def test_the_arithmetic_is_known_before_the_load_and_holds_after_it(tmp_path: Path) -> None:
    handle: Any = resolve(str(tiny.dinov2(tmp_path / "model")))
    foreseen = handle.effective_dtype("cpu", "auto")
    handle.load("cpu", "auto")
    assert handle.info.params["dtype"] == foreseen


def test_a_device_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ModelError, match=r"can't use device 'cuda'.*--align-device cpu"):
        resolve(str(tiny.dinov2(tmp_path / "model"))).load("cuda", "float32")
