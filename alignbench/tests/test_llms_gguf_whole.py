"""GGUF files that lack tensors, hold others, are split, cut off, or lie: all of the model, or one line."""

from __future__ import annotations

import importlib.util
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from alignbench.errors import ModelError, WeightsMissingError
from alignbench.llms import resolve
from alignbench.llms.gguf_header import read_header
from alignbench.llms.gguf_model import llama3_factors
from alignbench.llms.gguf_parts import join
from alignbench.tests import tiny_models as tiny
from alignbench.tests import tiny_texts
from alignbench.tests.tiny_gguf import tensors_of, write_gguf

if TYPE_CHECKING:
    from pathlib import Path

hf: Any = transformers
pytestmark = [
    pytest.mark.usefixtures("one_torch_thread", "own_cache"),
    pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="the gguf extra is not installed"),
]


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return tiny.llama(tmp_path / "llama")


def states(spec: str) -> Any:
    handle: Any = resolve(spec, l2=False)
    handle.load("cpu", "float32")
    return handle.forward([[1, 9, 30, 4], [1, 7]])


def split(folder: Path, target: Path, name: str = "m") -> list[Path]:
    """Write a LLaMA in three parts, as gguf-split does."""
    tensors = list(tensors_of(folder).items())
    files = [target / f"{name}-{i + 1:05}-of-00003.gguf" for i in range(3)]
    for i, file in enumerate(files):
        write_gguf(file, folder, dict(tensors[i::3]), split=(i, 3, len(tensors)))
    return files


@pytest.mark.parametrize("lost", ["blk.1.ffn_down.weight", "output_norm.weight", "token_embd.weight"])
def test_a_tensor_that_is_missing_is_named(lost: str, llama: Path, tmp_path: Path) -> None:
    kept = {name: tensor for name, tensor in tensors_of(llama).items() if name != lost}
    file = write_gguf(tmp_path / "x.gguf", llama, kept)
    ours = {"blk.1.ffn_down": "model.layers.1.mlp.down_proj", "output_norm": "model.norm"}
    named = ours.get(lost.removesuffix(".weight"), "model.embed_tokens")
    with pytest.raises(ModelError, match=rf"missing from the checkpoint, as '{named}\.weight'"):
        states(f"gguf:{file}")


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("blk.0.attn_q.bias", "have no place in LlamaForCausalLM, as 'blk.0.attn_q.bias'"),
        ("blk.3.attn_norm.weight", "have no place in LlamaForCausalLM, as 'blk.3.attn_norm.weight'"),
        ("blk.0.attn_q.weight.lora_a", "belong to quantized weights or to an adapter"),
        ("blk.0.attn_q.input_scale", "belong to quantized weights or to an adapter"),
        ("blk.0.attn_q.scale", "have no place in LlamaForCausalLM, as 'blk.0.attn_q.scale'"),
    ],
)
def test_a_tensor_that_would_be_left_out_is_refused(
    extra: str, said: str, llama: Path, tmp_path: Path
) -> None:
    tensors = {**tensors_of(llama), extra: np.ones(24, dtype=np.float32)}
    with pytest.raises(ModelError) as caught:
        states(f"gguf:{write_gguf(tmp_path / 'x.gguf', llama, tensors)}")
    assert said in str(caught.value)


@pytest.mark.slow
def test_any_part_of_a_split_file_stands_for_all(llama: Path, tmp_path: Path) -> None:
    whole = states(f"gguf:{write_gguf(tmp_path / 'whole.gguf', llama)}")
    digests = set()
    for file in split(llama, tmp_path):
        np.testing.assert_array_equal(states(f"gguf:{file}"), whole)
        digests.add(resolve(f"gguf:{file}").locate().revision)
    assert len(digests) == 1


def test_the_digest_is_of_every_part(llama: Path, tmp_path: Path) -> None:
    files = split(llama, tmp_path)
    before = resolve(f"gguf:{files[0]}").locate().revision
    content = files[2].read_bytes()
    files[2].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert resolve(f"gguf:{files[0]}").locate().revision != before


def test_parts_that_are_links_are_found_by_the_links_names(llama: Path, tmp_path: Path) -> None:
    (tmp_path / "snapshot").mkdir()
    for i, file in enumerate(split(llama, tmp_path)):
        blob = file.rename(tmp_path / f"blob{i}")
        (tmp_path / "snapshot" / file.name).symlink_to(blob)
    handle = resolve(f"gguf:{tmp_path / 'snapshot' / 'm-00002-of-00003.gguf'}")
    assert len(handle.locate().weights) == 3


def test_a_part_that_is_not_there_is_named(llama: Path, tmp_path: Path) -> None:
    files = split(llama, tmp_path)
    files[1].unlink()
    with pytest.raises(WeightsMissingError, match=r"1 of 3 parts are not in .*, as m-00002-of-00003\.gguf"):
        resolve(f"gguf:{files[0]}")


def test_a_part_under_another_name_says_how_it_must_be_called(llama: Path, tmp_path: Path) -> None:
    file = split(llama, tmp_path)[0].rename(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match=r"one of 3 parts .*NAME-00001-of-00003\.gguf.*--merge"):
        resolve(f"gguf:{file}")


def test_parts_that_contradict_each_other_are_refused(llama: Path, tmp_path: Path) -> None:
    files = split(llama, tmp_path)
    content = files[1].read_bytes()
    files[1].write_bytes(files[2].read_bytes())
    with pytest.raises(ModelError, match="by its name it is part 2 of 3, but it says that it is part 3 of 3"):
        resolve(f"gguf:{files[0]}")
    files[1].write_bytes(content)
    some = dict(list(tensors_of(llama).items())[1::3][1:])
    write_gguf(files[1], llama, some, split=(1, 3, 30))
    with pytest.raises(ModelError, match="it says that the model has 30 tensors, and there are 29"):
        resolve(f"gguf:{files[0]}")
    first = dict(list(tensors_of(llama).items())[0::3])
    write_gguf(files[1], llama, first, split=(1, 3, 30))
    with pytest.raises(ModelError, match="two of its 3 parts hold the tensor"):
        resolve(f"gguf:{files[0]}")


def test_joined_parts_hold_the_bytes_of_the_tensors(llama: Path, tmp_path: Path) -> None:
    import gguf

    join(split(llama, tmp_path), tmp_path / "joined.gguf")
    found = {tensor.name: tensor.data for tensor in gguf.GGUFReader(tmp_path / "joined.gguf").tensors}
    expected = tensors_of(llama)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].reshape(values.shape), values)


@pytest.mark.parametrize("part", [0, 2])
def test_a_file_that_is_cut_off_within_its_last_tensor_is_refused(
    part: int, llama: Path, tmp_path: Path
) -> None:
    file = split(llama, tmp_path)[part]
    header = read_header(file)
    last = max(header.tensors, key=lambda tensor: tensor.offset)
    file.write_bytes(file.read_bytes()[: header.data + last.offset + 4 * math.prod(last.shape) - 4])
    with pytest.raises(ModelError, match=r"it is cut off within its tensor"):
        states(f"gguf:{file}")


def test_tensors_that_share_their_data_are_refused(llama: Path, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "x.gguf", llama)
    tensor = next(t for t in read_header(file).tensors if t.name == "blk.1.ffn_down.weight")
    content = file.read_bytes()
    named = struct.pack("<Q", len(tensor.name)) + tensor.name.encode()
    at = content.index(named) + len(named) + 4 + 8 * len(tensor.shape) + 4
    file.write_bytes(content[:at] + struct.pack("<Q", 0) + content[at + 8 :])
    with pytest.raises(ModelError, match="overlap"):
        states(f"gguf:{file}")


@pytest.mark.parametrize(
    ("at", "form", "value", "said"),
    [
        (4, "<I", 3 << 24, "another byte order"),
        (4, "<I", 1, "version 1"),
        (8, "<Q", 1 << 60, "it counts"),
        (16, "<Q", 1 << 60, "it counts"),
        (24, "<Q", 1 << 60, "a text of"),
    ],
)
def test_a_header_that_lies_is_refused_at_once(
    at: int, form: str, value: int, said: str, llama: Path, tmp_path: Path
) -> None:
    file = write_gguf(tmp_path / "x.gguf", llama)
    content = bytearray(file.read_bytes())
    struct.pack_into(form, content, at, value)
    file.write_bytes(content)
    with pytest.raises(ModelError, match=f"not a GGUF file that can be read here .*{said}"):
        resolve(f"gguf:{file}")


def test_a_million_layers_are_refused_before_one_is_built(llama: Path, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "x.gguf", llama)
    content = bytearray(file.read_bytes())
    key = b"llama.block_count"
    struct.pack_into("<I", content, content.index(key) + len(key) + 4, 1_000_000)
    file.write_bytes(content)
    with pytest.raises(ModelError, match="num_hidden_layers = 1000000; expected 1 to 10,000"):
        resolve(f"gguf:{file}").locate()


def test_a_list_before_the_architecture_is_passed_over(llama: Path, tmp_path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    early = {"early": gguf.GGUFValue(["a", "bc"], gguf.GGUFValueType.ARRAY)}
    writer.kv_data[0] = {**early, **writer.kv_data[0]}
    writer.add_array("numbers", [1, 2, 3])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert read_header(tmp_path / "x.gguf").values == {"general.architecture": "llama"}


@pytest.mark.slow
def test_a_tokenizer_beside_the_file_is_not_taken(llama: Path, tmp_path: Path) -> None:
    alone = resolve(f"gguf:{write_gguf(tmp_path / 'x.gguf', llama)}")
    alone.load("cpu", "float32")
    (tmp_path / "b").mkdir()
    beside = write_gguf(tmp_path / "b" / "y.gguf", llama)
    tiny_texts.tokenizer(40).save_pretrained(tmp_path / "b")
    (tmp_path / "b" / "adapter_config.json").write_text("{}", encoding="utf-8")
    other: Any = resolve(f"gguf:{beside}")
    other.load("cpu", "float32")
    assert other.tokenize(tiny.TEXTS) == alone.tokenize(tiny.TEXTS)


@pytest.mark.slow
def test_the_positions_of_llama_3_are_followed(llama: Path, tmp_path: Path) -> None:
    config, theta = hf.LlamaConfig.from_pretrained(llama), 5e5
    tiny.edit_config(llama, rope_parameters={"rope_type": "default", "rope_theta": theta})
    dims = config.hidden_size // config.num_attention_heads
    factors = llama3_factors(theta, dims, 8.0).astype(np.float32)
    file = write_gguf(tmp_path / "x.gguf", llama, {**tensors_of(llama), "rope_freqs.weight": factors})
    rope = {"rope_type": "llama3", "rope_theta": theta, "factor": 8.0, "low_freq_factor": 1.0}
    tiny.edit_config(
        llama, rope_parameters={**rope, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    )
    ids = [[1, *range(5, 100)]]
    ours: Any = resolve(f"gguf:{file}", l2=False)
    ours.load("cpu", "float32")
    reference: Any = resolve(str(llama), l2=False)
    reference.load("cpu", "float32")
    tiny.close(ours.forward(ids), reference.forward(ids), 1e-5)
    odd = {**tensors_of(llama), "rope_freqs.weight": np.linspace(1, 3, dims // 2, dtype=np.float32)}
    with pytest.raises(ModelError, match="stretches positions in another way"):
        states(f"gguf:{write_gguf(tmp_path / 'odd.gguf', llama, odd)}")
    even = {**tensors_of(llama), "rope_freqs.weight": np.ones(dims // 2, dtype=np.float32)}
    states(f"gguf:{write_gguf(tmp_path / 'even.gguf', llama, even)}")


@pytest.mark.parametrize("factor", [8.0, 32.0])
def test_the_factors_are_those_of_transformers(factor: float) -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {"rope_type": "llama3", "rope_theta": 5e5, "factor": factor, "low_freq_factor": 1.0}
    rope |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    config = hf.LlamaConfig(hidden_size=512, num_attention_heads=4, rope_parameters=rope)
    stretched, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = 5e5 ** -(np.arange(0, 128, 2) / 128)
    np.testing.assert_allclose(plain / stretched.numpy(), llama3_factors(5e5, 128, factor), rtol=1e-5)


def test_positions_that_transformers_would_not_stretch_are_refused(llama: Path, tmp_path: Path) -> None:
    file = write_gguf(
        tmp_path / "x.gguf", llama, llama__rope__scaling__type="yarn", llama__rope__scaling__factor="4"
    )
    with pytest.raises(ModelError, match=r"its positions are stretched .yarn, factor 4.*safetensors instead"):
        states(f"gguf:{file}")
