"""Model files that are malformed in one way each: one line of ours, soon, and no third party's traceback."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import open_clip
import pytest
import timm
from safetensors.torch import save_file

from alignbench import cli, encoders, llms
from alignbench.errors import AlignbenchError, ModelError
from alignbench.tests import tiny_models as tiny
from alignbench.tests import tiny_texts
from alignbench.tests.damaged_models import (
    CONFIG,
    DEEP,
    TENSOR,
    WEIGHTS,
    config,
    edited,
    fifo,
    header,
    linked,
    listening,
    message_of,
    more_words,
    moved,
    part,
    soon,
    tokens,
    written,
)
from alignbench.tests.toys import RECORD, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alignbench.tests.damaged_models import Damage


pytestmark = pytest.mark.usefixtures("one_torch_thread")


OF_LLMS: dict[str, tuple[str, Damage]] = {
    # --- values of config.json
    "a width as text": ("llama", config(hidden_size="24")),
    "a width as list of texts": ("llama", config(hidden_size=["24"])),
    "a width that is true": ("llama", config(hidden_size=True)),
    "another width than the weights": ("llama", config(hidden_size=48)),
    "more words than the weights": ("llama", config(vocab_size=161)),
    "no heads": ("llama", config(num_attention_heads=0)),
    "heads that do not divide the width": ("llama", config(num_attention_heads=5)),
    "a negative head": ("llama", config(head_dim=-6)),
    "another middle width than the weights": ("llama", config(intermediate_size=41)),
    "a million layers": ("llama", config(num_hidden_layers=1_000_000)),
    "four layers of three": ("llama", config(num_hidden_layers=4)),
    "layers by a number of 400 digits": ("llama", config(num_hidden_layers=10**400)),
    "a billion labels": ("llama", config(num_labels=10**9)),
    "labels that are no object": ("llama", config(id2label=[1])),
    "labels by other keys than numbers": ("llama", config(id2label={"a": "b"})),
    "an unknown activation": ("llama", config(hidden_act="swan")),
    "an activation that is a number": ("llama", config(hidden_act=5)),
    "an epsilon as text": ("llama", config(rms_norm_eps="small")),
    "rotary embeddings as text": ("llama", config(rope_parameters="fast")),
    "rotary embeddings of an unknown kind": ("llama", config(rope_parameters={"rope_type": "swan"})),
    "a dtype that torch has not": ("llama", config(dtype="float99")),
    "layers of unknown types": ("qwen2", config(layer_types=["swan"] * 3)),
    "a list as model_type": ("llama", config(model_type=["llama"])),
    "a number as model_type": ("llama", config(model_type=5)),
    "padding beyond the words": ("llama", config(pad_token_id=1_000_000)),
    "padding as text": ("llama", config(pad_token_id="0")),
    "a part of the configuration that is a number": ("gemma3", config(text_config=5)),
    "a part with a width as text": ("gemma3", part("text_config", hidden_size="24")),
    "a part with a million layers": ("gemma3", part("text_config", num_hidden_layers=1_000_000)),
    "a fused layout without heads": ("internlm2", config(num_key_value_heads=None)),
    "a fused layout of other heads": ("internlm2", config(num_key_value_heads=4)),
    # --- quantized weights
    "a quantization that is text": ("llama", config(quantization_config="awq")),
    "a quantization without a method": ("llama", config(quantization_config={"bits": 4})),
    "an unknown quantization": ("llama", config(quantization_config={"quant_method": "swan"})),
    "a quantization by a list": ("llama", config(quantization_config={"quant_method": ["awq"]})),
    "a part that is quantized": ("gemma3", part("text_config", quantization_config={"quant_method": "swan"})),
    # --- code, or weights, from elsewhere
    "a repository of kernels": ("llama", config(attn_implementation="org/kernel")),
    "a repository of kernels under another name": ("llama", config(_attn_implementation="org/kernel@main:f")),
    "a repository of kernels in a part": ("gemma3", part("text_config", attn_implementation="org/kernel")),
    "a repository of kernels by parts": ("llama", config(attn_implementation={"": "paged|org/kernel"})),
    "experts from a repository": ("llama", config(experts_implementation="org/kernel")),
    "other weights than those that are checked": ("llama", config(transformers_weights="other.safetensors")),
    "classes that are replaced": ("llama", config(fusion_config={"x": True})),
    # --- JSON
    "a configuration nested 100,000 deep": ("llama", written(CONFIG, '{"a":' + DEEP + "}")),
    "a configuration that is no text": ("llama", written(CONFIG, b"\xff\xfe\x00{}")),
    "a configuration with a number of 10,000 digits": (
        "llama",
        written(CONFIG, '{"a":' + "9" * 10_000 + "}"),
    ),
    "a tokenizer nested 100,000 deep": ("llama", written("tokenizer.json", DEEP)),
    "a tokenizer's configuration nested 100,000 deep": ("llama", written("tokenizer_config.json", DEEP)),
    "an index nested 100,000 deep": ("llama", moved(WEIGHTS, f"{WEIGHTS}.index.json", DEEP)),
    # --- tokenizers
    "an empty tokenizer": ("llama", written("tokenizer.json", "{}")),
    "a tokenizer that is a list": ("llama", written("tokenizer.json", "[]")),
    "a tokenizer of an unknown kind": ("llama", tokens(lambda t: t.update(model={"type": "Swan"}))),
    "words by text": ("llama", tokens(lambda t: t["model"].update(vocab={"a": "b"}))),
    "merges of unknown words": ("llama", tokens(lambda t: t["model"].update(merges=[["zz", "yy"]]))),
    "a regular expression that does not end": (
        "llama",
        tokens(
            lambda t: t.update(
                pre_tokenizer={
                    "type": "Split",
                    "pattern": {"Regex": "("},
                    "behavior": "Removed",
                    "invert": False,
                }
            )
        ),
    ),
    "a template with an unknown token": (
        "llama",
        tokens(lambda t: t["post_processor"].update(special_tokens={})),
    ),
    "a word beyond the vectors": ("llama", more_words),
    "a class of tokenizer that is a number": ("llama", edited("tokenizer_config.json", tokenizer_class=5)),
    "special tokens that are numbers": ("llama", edited("tokenizer_config.json", bos_token=5)),
    "a SentencePiece model that is none": ("internlm2", written("tokenizer.model", b"\x00\x01swan")),
    # --- files that must not be opened
    "a FIFO as weights": ("llama", fifo(WEIGHTS)),
    "a FIFO as configuration": ("llama", fifo(CONFIG)),
    "a FIFO as tokenizer": ("llama", fifo("tokenizer.json")),
    "a FIFO as generation settings": ("llama", fifo("generation_config.json")),
    "a FIFO as index": ("llama", fifo(f"{WEIGHTS}.index.json")),
    "a socket as weights": ("llama", listening(WEIGHTS)),
    "a device as configuration": ("llama", linked(CONFIG, "/dev/zero")),
    "a device as weights": ("llama", linked(WEIGHTS, "/dev/zero")),
    # --- weights
    "empty weights": ("llama", written(WEIGHTS, b"")),
    "a header longer than its file": ("llama", written(WEIGHTS, header({}, length=2**62))),
    "a header nested 100,000 deep": ("llama", written(WEIGHTS, header(b'{"a":' + DEEP.encode() + b"}"))),
    "a header that is a list": ("llama", written(WEIGHTS, header([]))),
    "a tensor that is a number": ("llama", written(WEIGHTS, header({"a": 5}))),
    "a tensor of a negative size": (
        "llama",
        written(WEIGHTS, header({"a": {**TENSOR, "shape": [-2]}}, b"0" * 8)),
    ),
    "a tensor without a shape": ("llama", written(WEIGHTS, header({"a": {"dtype": "F32"}}))),
    "a tensor of an unknown dtype": (
        "llama",
        written(WEIGHTS, header({"a": {**TENSOR, "dtype": "X9"}}, b"0" * 8)),
    ),
    "a tensor that ends beyond its file": (
        "llama",
        written(WEIGHTS, header({"a": {**TENSOR, "shape": [2**40], "data_offsets": [0, 2**42]}}, b"0" * 8)),
    ),
}

OF_ENCODERS: dict[str, tuple[str, Damage]] = {
    "a patch of nothing": ("clip", part("vision_config", patch_size=0)),
    "a patch of another size than the weights": ("clip", part("vision_config", patch_size=16)),
    "an image of another size than the weights": ("clip", part("vision_config", image_size=64)),
    "an image of a million pixels a side": ("vit", config(image_size=10**6)),
    "an image of texts": ("vit", config(image_size=["32", "32"])),
    "another width of vision than the weights": ("siglip", part("vision_config", hidden_size=64)),
    "a million layers of vision": ("siglip", part("vision_config", num_hidden_layers=1_000_000)),
    "a million layers of text": ("clip", part("text_config", num_hidden_layers=1_000_000)),
    "vision that is a list": ("clip", config(vision_config=[])),
    "a shared space of another width": ("clip", config(projection_dim=21)),
    "registers as text": ("dinov2_with_registers", config(num_register_tokens="3")),
    "other registers than the weights": ("dinov2_with_registers", config(num_register_tokens=4)),
    "a ratio as text": ("dinov2", config(mlp_ratio="2")),
    "an original layout without a width": ("internvit", config(hidden_size=None)),
    "an original layout of other heads": ("internvit", config(num_attention_heads=5)),
    "a projector of another width": ("paligemma", config(text_config={"num_hidden_layers": 10**9})),
    "a processor of another size": (
        "clip",
        edited("preprocessor_config.json", size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48}),
    ),
    "a processor of another number of patches": (
        "siglip",
        edited("preprocessor_config.json", size={"height": 48, "width": 48}),
    ),
    "a processor with a size of text": ("dinov2", edited("preprocessor_config.json", crop_size="large")),
    "a processor with a negative size": (
        "dinov2",
        edited("preprocessor_config.json", crop_size={"height": -4, "width": -4}),
    ),
    "a processor without a size": ("dinov2", edited("preprocessor_config.json", crop_size={}, size={})),
    "a mean of two colours": ("vit", edited("preprocessor_config.json", image_mean=[0.5, 0.5])),
    "a mean of text": ("vit", edited("preprocessor_config.json", image_mean="grey")),
    "an unknown processor": ("vit", edited("preprocessor_config.json", image_processor_type="SwanProcessor")),
    "a processor by a number": ("vit", edited("preprocessor_config.json", image_processor_type=5)),
    "a way of resizing that is none": ("vit", edited("preprocessor_config.json", resample=99)),
    "a processor nested 100,000 deep": ("vit", written("preprocessor_config.json", DEEP)),
    "a processor that is a list": ("vit", written("preprocessor_config.json", "[]")),
    "a FIFO as processor": ("vit", fifo("preprocessor_config.json")),
    "a FIFO as encoder's weights": ("vit", fifo(WEIGHTS)),
}


@pytest.mark.parametrize("kind", OF_LLMS)
def test_a_malformed_llm_is_one_line(kind: str, folders: Callable[[str], Path], tmp_path: Path) -> None:
    family, damage = OF_LLMS[kind]
    folder = shutil.copytree(folders(family), tmp_path / "damaged")
    damage(folder)
    message_of(llms.resolve, folder, tiny.TEXTS)


@pytest.mark.parametrize("kind", OF_ENCODERS)
def test_a_malformed_encoder_is_one_line(kind: str, folders: Callable[[str], Path], tmp_path: Path) -> None:
    family, damage = OF_ENCODERS[kind]
    folder = shutil.copytree(folders(family), tmp_path / "damaged")
    damage(folder)
    message_of(encoders.resolve, folder, tiny.images())


OPEN_CLIP: dict[str, Any] = {
    "embed_dim": 20,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
SHOWN = {"mean": [0.5] * 3, "std": [0.5] * 3, "size": [32, 32], "interpolation": "bicubic"}
LIBRARIES: dict[str, tuple[str, dict[str, Any]]] = {
    "an architecture by a number": ("timm", {"architecture": 5}),
    "a depth of a million": ("timm", {"model_args": {"depth": 10**6}}),
    "a depth that the weights have not": ("timm", {"model_args": {"depth": 9_000}}),
    "a width as text": ("timm", {"model_args": {"embed_dim": "64"}}),
    "heads that do not divide": ("timm", {"model_args": {"num_heads": 7}}),
    "an image of no pixels": ("timm", {"model_args": {"img_size": 0}}),
    "pixels that are text": ("timm", {"pretrained_cfg": {"input_size": "large"}}),
    "an unknown interpolation": ("timm", {"pretrained_cfg": {"interpolation": "swan"}}),
    "a model that is text": ("open_clip", {"model_cfg": "ViT-B-32"}),
    "a model without text": ("open_clip", {"model_cfg": {**OPEN_CLIP, "text_cfg": None}}),
    "a model without vision": (
        "open_clip",
        {"model_cfg": {"embed_dim": 20, "text_cfg": OPEN_CLIP["text_cfg"]}},
    ),
    "layers as text": ("open_clip", {"model_cfg": {**OPEN_CLIP, "vision_cfg": {"layers": "two"}}}),
    "a million layers": ("open_clip", {"model_cfg": {**OPEN_CLIP, "vision_cfg": {"layers": 10**6}}}),
    "layers that the weights have not": (
        "open_clip",
        {"model_cfg": {**OPEN_CLIP, "vision_cfg": {**OPEN_CLIP["vision_cfg"], "layers": 9_000}}},
    ),
    "words that the weights have not": (
        "open_clip",
        {"model_cfg": {**OPEN_CLIP, "text_cfg": {**OPEN_CLIP["text_cfg"], "vocab_size": 10**8}}},
    ),
    "a text tower of another repository": (
        "open_clip",
        {"model_cfg": {**OPEN_CLIP, "text_cfg": {"hf_model_name": "org/name"}}},
    ),
    "a vision tower of another repository": (
        "open_clip",
        {"model_cfg": {**OPEN_CLIP, "vision_cfg": {"timm_model_name": "hf-hub:org/name"}}},
    ),
    "an unknown way to resize": ("open_clip", {"preprocess_cfg": {**SHOWN, "resize_mode": "swan"}}),
    "a mean of texts": ("open_clip", {"preprocess_cfg": {**SHOWN, "mean": ["a", "b", "c"]}}),
}


@pytest.fixture(scope="module")
def library_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders as timm and open_clip write them."""
    made = {name: tmp_path_factory.mktemp(name) for name in ("timm", "open_clip")}
    model = timm.create_model("test_vit", pretrained=False, num_classes=0)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, made["timm"] / WEIGHTS)
    (made["timm"] / CONFIG).write_text('{"architecture": "test_vit"}', encoding="utf-8")
    config = {"model_cfg": OPEN_CLIP, "preprocess_cfg": SHOWN}
    (made["open_clip"] / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    both = open_clip.create_model(f"local-dir:{made['open_clip']}", load_weights=False)
    tensors = {key: value.contiguous() for key, value in both.state_dict().items()}
    save_file(tensors, made["open_clip"] / "open_clip_model.safetensors")
    return made


@pytest.mark.parametrize("library", ["timm", "open_clip"])
def test_the_folder_that_is_damaged_below_is_sound(library: str, library_folders: dict[str, Path]) -> None:
    handle: Any = encoders.resolve(str(library_folders[library]))
    handle.load("cpu", "float32")
    assert len(handle.embed(tiny.images())) == 5


@pytest.mark.parametrize("kind", LIBRARIES)
def test_a_malformed_model_of_a_library_is_one_line(
    kind: str, library_folders: dict[str, Path], tmp_path: Path
) -> None:
    library, changes = LIBRARIES[kind]
    folder = shutil.copytree(library_folders[library], tmp_path / "damaged")
    edited(CONFIG if library == "timm" else "open_clip_config.json", **changes)(folder)
    message_of(encoders.resolve, folder, tiny.images())


SAID_IN_THE_PLAN = {
    "llm": (
        "a width as text",
        "another width than the weights",
        "more words than the weights",
        "a million layers",
        "four layers of three",
        "a billion labels",
        "padding beyond the words",
        "an unknown quantization",
        "a repository of kernels",
        "other weights than those that are checked",
        "a configuration nested 100,000 deep",
        "a FIFO as weights",
        "a FIFO as tokenizer",
        "a device as configuration",
        "a header longer than its file",
        "a tensor that ends beyond its file",
    ),
    "encoder": (
        "a patch of another size than the weights",
        "an image of a million pixels a side",
        "a million layers of text",
        "a processor of another size",
        "a processor of another number of patches",
        "a FIFO as processor",
    ),
}


@pytest.mark.parametrize(
    ("side", "kind"), [(s, kind) for s, kinds in SAID_IN_THE_PLAN.items() for kind in kinds]
)
def test_what_the_files_show_is_said_before_anything_is_loaded(
    side: str, kind: str, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    family, damage = (OF_LLMS if side == "llm" else OF_ENCODERS)[kind]
    folder = shutil.copytree(folders(family), tmp_path / "damaged")
    damage(folder)
    handle: Any = (llms if side == "llm" else encoders).resolve(str(folder))
    with soon(), pytest.raises(AlignbenchError):
        handle.locate()


@pytest.mark.parametrize(
    "method", ["awq", "gptq", "bitsandbytes", "compressed-tensors", "fp8", "mxfp4", "gguf"]
)
def test_a_quantized_model_says_so_before_anything_is_loaded(
    method: str, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders("qwen2"), tmp_path / "damaged")
    tiny.edit_config(folder, quantization_config={"quant_method": method, "bits": 4})
    with pytest.raises(ModelError, match=rf"quantized \('{method}'\).*weights that are not quantized"):
        llms.resolve(str(folder)).locate()


def test_a_padding_token_without_a_vector_is_not_used(folders: Callable[[str], Path], tmp_path: Path) -> None:
    sound: Any = llms.resolve(str(folders("llama")))
    folder = shutil.copytree(folders("llama"), tmp_path / "model")
    made = tiny_texts.tokenizer()
    made.add_tokens([f"<x{i}>" for i in range(150)])
    made.pad_token = "<x149>"
    made.save_pretrained(folder)
    padded: Any = llms.resolve(str(folder))
    tiny.close(padded.embed(tiny.TEXTS), sound.embed(tiny.TEXTS))


@pytest.mark.parametrize("asked", ["eager", "flash_attention_2", "flex_attention"])
@pytest.mark.parametrize("family", ["llama", "gemma3", "clip"])
def test_a_configuration_does_not_choose_the_attention(
    family: str, asked: str, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders(family), tmp_path / "model")
    tiny.edit_config(folder, attn_implementation=asked, _attn_implementation=asked)
    handle: Any = (encoders if family == "clip" else llms).resolve(str(folder))
    handle.load("cpu", "float32")
    model = handle.running().model.model
    assert model.config._attn_implementation == "sdpa"


def test_a_run_says_what_is_wrong_instead_of_its_plan_and_loads_nothing(
    project: pytest.Pytester, folders: Callable[[str], Path]
) -> None:
    folder = shutil.copytree(folders("llama"), project.path / "damaged")
    tiny.edit_config(folder, num_hidden_layers=1_000_000)
    project.makepyfile(test_it=RECORD)
    result = run(project, "--llms=./damaged")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: damaged: its configuration has num_hidden_layers = 1000000; expected*"]
    )
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_the_doctor_says_it_too(
    folders: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(folders("llama"), tmp_path / "damaged")
    tiny.edit_config(folder, quantization_config={"quant_method": "swan"})
    assert cli.main(["doctor", f"--llms=x={folder}", "--encoders=random-vit", "--device=cpu"]) == 1
    assert "its weights are quantized ('swan')" in capsys.readouterr().out
