"""The files of VLMs: how a part is named, which files it needs, and what is refused."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from alignbench.embed.models import run
from alignbench.encoders import resolve
from alignbench.encoders.families import part_family
from alignbench.errors import ConfigError, ModelError, WeightsMissingError
from alignbench.findings import read_run
from alignbench.llms import resolve as resolve_llm
from alignbench.tests import tiny_models as tiny
from alignbench.tests import tiny_vlms
from alignbench.tests.tiny_vlms import part
from alignbench.weights import hub
from alignbench.weights.parts import VLMS

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def copied(vlms: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: shutil.copytree(vlms(name), tmp_path / name)


def newer(key: str) -> str:
    """Return the key of a LLaVA and its like as newer versions of transformers write it."""
    key = key.replace("language_model.lm_head.", "lm_head.").replace(
        "language_model.model.", "language_model."
    )
    return key if key.startswith("lm_head") else f"model.{key}"


def older_tower(key: str) -> str:
    return re.sub(r"^vision_tower\.", "vision_tower.vision_model.", key)


def newer_qwen(key: str) -> str:
    if key.startswith("visual."):
        return f"model.{key}"
    return re.sub(r"^model\.(?!visual)", "model.language_model.", key)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "rename"),
    [
        ("llava", newer),
        ("llava", older_tower),
        ("llava_next", newer),
        ("internvl", newer),
        ("paligemma2", newer),
        ("gemma3", newer),
        ("gemma3", older_tower),
        ("qwen2_5_vl", newer_qwen),
    ],
)
def test_both_layouts_of_keys_give_the_same(
    vlms: Callable[[str], Path], copied: Callable[[str], Path], family: str, rename: Callable[[str], str]
) -> None:
    other = copied(family)
    tiny.rename_keys(other, rename)
    for name, items in (("vision", tiny.images(2)), ("projected", tiny.images(2)), ("text", tiny.TEXTS)):
        assert np.array_equal(part(other, name).embed(items), part(vlms(family), name).embed(items))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llava_next", "qwen2_5_vl", "smolvlm"])
def test_only_the_shards_of_the_part_are_opened(
    vlms: Callable[[str], Path], copied: Callable[[str], Path], family: str
) -> None:
    folder = copied(family)
    is_text = re.compile(r"(language_model|model\.text_model|model\.(layers|embed_tokens|norm)|lm_head)\b")
    of_text, of_vision = tiny_vlms.sharded(folder, lambda key: bool(is_text.match(key)))
    expected = {name: part(vlms(family), name).embed(tiny.images(2)) for name in ("vision", "projected")}
    text = part(vlms(family), "text").embed(tiny.TEXTS)
    vision_bytes = of_vision.read_bytes()
    of_vision.write_bytes(b"damaged")
    tiny.close(part(folder, "text").embed(tiny.TEXTS), text)
    of_vision.write_bytes(vision_bytes)
    of_text.unlink()
    for name, values in expected.items():
        model = part(folder, name)
        tiny.close(model.embed(tiny.images(2)), values)
        assert model.locate().weights == (of_vision,)


def test_the_identity_of_a_part_is_that_of_its_files(copied: Callable[[str], Path]) -> None:
    folder = copied("llava")
    of_text, _ = tiny_vlms.sharded(folder, lambda key: key.startswith("language_model"))
    before = {name: resolve(f"{folder}#{name}").fingerprint() for name in ("vision", "projected")}
    assert before["vision"] != before["projected"]
    assert before["vision"]["source"] == f"{folder}#vision"
    tensors = load_file(of_text)
    tensors["language_model.lm_head.weight"] += 1
    save_file(tensors, of_text, metadata={"format": "pt"})
    assert resolve(f"{folder}#vision").fingerprint() == before["vision"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "name", "key"),
    [
        ("llava", "vision", "vision_tower.encoder.layers.1.mlp.fc1.bias"),
        ("llava", "projected", "multi_modal_projector.linear_2.bias"),
        ("llava", "text", "language_model.model.layers.0.mlp.up_proj.weight"),
        ("llava_next", "projected", "image_newline"),
        ("gemma3", "projected", "multi_modal_projector.mm_soft_emb_norm.weight"),
        ("smolvlm", "projected", "model.connector.modality_projection.proj.weight"),
        ("qwen3_vl", "projected", "model.visual.merger.norm.weight"),
        ("llama4", "vision", "vision_model.class_embedding"),
    ],
)
def test_a_missing_weight_of_the_part_is_refused_and_of_another_is_not(
    copied: Callable[[str], Path], family: str, name: str, key: str
) -> None:
    folder = copied(family)
    keys = set(load_file(folder / "model.safetensors"))
    assert key in keys
    tiny.rename_keys(folder, lambda own: None if own == key else own)
    with pytest.raises(ModelError, match="missing from the checkpoint"):
        part(folder, name)
    with pytest.raises(ModelError, match="missing from the checkpoint"):
        (resolve_llm if name == "text" else resolve)(f"{folder}#{name}").examine()
    part(folder, "vision" if name == "text" else "text")


def test_a_projector_of_another_width_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("llava_next")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "image_newline": torch.zeros(7)}, path, metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"of another shape in the checkpoint, as 'image_newline' \(\(7,\) for"
    ):
        part(folder, "projected")
    part(folder, "vision")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("audio_tower.layers.0.weight", "no place in any part of a llava model, as 'audio_tower.layers.0"),
        ("vision_tower.encoder.layers.3.mlp.fc1.bias", "have no place in CLIPVisionModel"),
        ("vision_tower.encoder.layers.0.mlp.fc1.weight_scale", "belong to quantized weights"),
        ("model.vision_tower.pre_layrnorm.bias", "twice, under two prefixes"),
    ],
)
def test_a_weight_that_would_change_the_part_is_refused(
    copied: Callable[[str], Path], key: str, message: str
) -> None:
    folder = copied("llava")
    path = folder / "model.safetensors"
    save_file({**load_file(path), key: torch.ones(48)}, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=message):
        part(folder, "vision")


def test_numbers_that_are_none_are_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("llava")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["multi_modal_projector.linear_2.bias"][0] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})
    tokens = part(folder, "projected")
    with pytest.raises(ModelError, match="1 of 1 vectors are not finite"):
        run(tokens.forward, [tokens.preprocess(tiny.images(1)[0])], "tokens", ["0"], "vision")
    assert np.isfinite(part(folder, "vision").embed(tiny.images(1))).all()


def test_a_tower_that_is_not_known_is_refused(copied: Callable[[str], Path]) -> None:
    folder = copied("llava")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tiny.edit_config(folder, vision_config={**config["vision_config"], "model_type": "vivit"})
    with pytest.raises(
        ModelError, match="the tower of this llava model is a 'vivit', which is not known here"
    ):
        resolve(f"{folder}#vision").locate()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{llava}#tower", "no part #tower; the parts of a VLM are #vision .*#projected .*#text"),
        ("{llava}#", "no part #; the parts of a VLM are"),
        ("{llava}#text", "#text of a VLM is an LLM; give it to --llms"),
        ("timm:resnet18#vision", "timm: names no VLM; leave out #vision"),
        ("mini-clip#vision", "mini-clip is no VLM"),
    ],
)
def test_a_spec_of_no_part_says_what_to_write(vlms: Callable[[str], Path], spec: str, message: str) -> None:
    with pytest.raises((ConfigError, ModelError), match=message):
        resolve(spec.format(llava=vlms("llava")))


def test_a_model_that_is_no_vlm_has_no_parts(folders: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match=r"'clip' in config.json is no VLM .* there is no #vision of it"):
        resolve(f"{folders('clip')}#vision").locate()
    with pytest.raises(ModelError, match="is no VLM"):
        resolve_llm(f"{folders('llama')}#text").locate()


def test_the_layout_of_a_vlms_own_code_names_the_conversion(copied: Callable[[str], Path]) -> None:
    folder = copied("internvl")
    tiny.edit_config(folder, model_type="internvl_chat")
    with pytest.raises(ModelError, match="take the repository whose name ends in -hf, the same weights"):
        resolve(f"{folder}#vision").locate()


@pytest.mark.slow
def test_the_plan_shows_pixels_only_where_they_do_not_depend_on_the_image(
    vlms: Callable[[str], Path],
) -> None:
    for name in ("vision", "projected"):
        fixed: Any = resolve(f"{vlms('llava')}#{name}")
        assert fixed.pixels.resized == "centre crop"
        assert fixed.pixels == part(vlms("llava"), name).pixels
        for family in ("llava_next", "smolvlm", "qwen3_vl"):
            free: Any = resolve(f"{vlms(family)}#{name}")
            assert free.pixels is part(vlms(family), name).pixels is None


@pytest.mark.slow
def test_a_flat_configuration_of_an_llm_is_read(
    vlms: Callable[[str], Path], copied: Callable[[str], Path]
) -> None:
    """Qwen2.5-VL's own repositories have the entries of the LLM beside `vision_config`."""
    folder = copied("qwen2_5_vl")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    own = {key: value for key, value in config["text_config"].items() if key not in ("model_type", "dtype")}
    tiny.edit_config(folder, text_config=None, **own)
    for name, items in (("projected", tiny.images(2)), ("text", tiny.TEXTS)):
        assert np.array_equal(part(folder, name).embed(items), part(vlms("qwen2_5_vl"), name).embed(items))


@pytest.mark.parametrize("family", ["llava", "qwen3_vl", "gemma3"])
def test_a_vlm_without_a_part_names_them(vlms: Callable[[str], Path], family: str) -> None:
    with pytest.raises(
        ModelError, match=r"is a whole VLM; name the part that is meant, with #vision .* or #projected"
    ):
        resolve(str(vlms(family))).locate()
    if family != "gemma3":  # its text side has always been loaded without a word
        with pytest.raises(ModelError, match=r"is a whole VLM; name the part that is meant, with #text"):
            resolve_llm(str(vlms(family))).locate()


def test_names_and_aliases_take_parts(vlms: Callable[[str], Path], tmp_path: Path) -> None:
    sources = {"mine": str(vlms("llava")), "image": f"{vlms('llava')}#projected"}
    assert resolve("mine#vision", sources=sources).info.name == "mine-vision"
    assert resolve("after=mine#vision", sources=sources).info.name == "after"
    tokens: Any = resolve("image", sources=sources, l2=False)
    tokens.load("cpu", "float32")
    tiny.close(tokens.embed(tiny.images()), part(vlms("llava"), "projected").embed(tiny.images()))
    with pytest.raises(ModelError, match="is already a part of a VLM"):
        resolve("image#vision", sources=sources)
    odd = shutil.copytree(vlms("llava"), tmp_path / "odd#text")
    with pytest.raises(ModelError, match="is a whole VLM; name the part"):
        resolve(str(odd)).locate()  # a folder of that name, not a part
    assert resolve(f"{odd}#vision").info.source.endswith("odd#text#vision")


def test_a_part_from_the_hub_needs_only_its_shards(
    copied: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "unreachable", lambda: "there is no network")
    folder = copied("llava")
    of_text, _ = tiny_vlms.sharded(folder, lambda key: key.startswith("language_model"))
    of_text.unlink()
    shutil.copytree(folder, tmp_path / "hub" / "models--org--vlm" / "snapshots" / "c0ffee")
    model: Any = resolve("hf:org/vlm@c0ffee#projected")
    assert (model.info.name, model.locate().source) == ("vlm-projected", "org/vlm#projected")
    assert model.locate().at_hand
    with pytest.raises(WeightsMissingError, match="there is no network"):
        resolve_llm("hf:org/vlm@c0ffee#text").locate()


def test_the_page_lists_every_family_with_its_poolings() -> None:
    page = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    table = page.partition("| `model_type` | poolings of `#vision` |")[2].partition("\n\n")[0]
    rows = [re.split(r"\s*\|\s*", row)[1:4] for row in table.splitlines()[2:]]
    listed = {name: row for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert set(listed) == set(VLMS)
    for name, (_, poolings, patches) in listed.items():
        for tower, end in (("clip_vision_model", " (CLIP)"), ("siglip_vision_model", " (SigLIP)")):
            config = {"model_type": name, "vision_config": {"model_type": tower}}
            vision, projected = (part_family(config, of, name) for of in ("vision", "projected"))
            said = ", ".join(vision.poolings) + (end if name.startswith("llava") else "")
            assert said in re.sub(r", after.*", "", poolings), name
            assert projected.poolings == ("mean",)
            with_patches = [not of.no_patches for of in (vision, projected)]
            assert {"both": [True, True], "`#vision`": [True, False], "none": [False, False]}[
                patches
            ] == with_patches, name


@pytest.mark.slow
def test_the_pages_comparison_runs(
    vlms: Callable[[str], Path], folders: Callable[[str], Path], pytester: pytest.Pytester
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
    command = re.search(r"alignbench compare \\\n(?:.*\\\n)*.*", page)
    assert command is not None
    words = shlex.split(command[0].replace("\\\n", " "))[1:]
    spec = re.compile(r"hf:[\w-]+/([\w.-]+)")
    places = {"llava-1.5-7b-hf": vlms("llava"), "clip-vit-large-patch14-336": folders("clip")}
    words = [spec.sub(lambda found: str(places[found[1]]), word) for word in words]
    fast = ["--n-samples=12", "--permutations=19", "--epochs=2", "--splits=2", "--no-figures"]
    fast += ["--projectors", "linear", "--output-dir=out"]
    pytester.run(sys.executable, "-m", "alignbench", *words, *fast)
    _, scores = read_run(pytester.path / "out" / "latest")
    found = {score.encoder: score.value for score in scores if score.metric == "calibrated_cka"}
    assert set(found) == {"before", "after", "tokens"}
    assert len(set(found.values())) == 3
