"""Folders of open_clip: the file that was digested is loaded, and the configuration leads nowhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import open_clip
import pytest
from safetensors.torch import load_file, save_file

from alignbench.encoders import resolve
from alignbench.errors import ModelError
from alignbench.tests import tiny_models as tiny
from alignbench.tests.test_encoders_library import OPEN_CLIP

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a tiny model of open_clip."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": OPEN_CLIP}), encoding="utf-8")
    model = tiny.scattered(
        open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    )
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )
    return folder


def variant(plain: Path, folder: Path, text: dict[str, Any] | None = None, **vision: Any) -> Path:
    """Copy the folder with other settings of the towers."""
    config = {
        **OPEN_CLIP,
        "vision_cfg": {**OPEN_CLIP["vision_cfg"], **vision},
        "text_cfg": {**OPEN_CLIP["text_cfg"], **(text or {})},
    }
    folder.mkdir(exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}), encoding="utf-8")
    file = "open_clip_model.safetensors"
    (folder / file).write_bytes((plain / file).read_bytes())
    return folder


def loaded(folder: Path) -> Any:
    handle: Any = resolve(str(folder), l2=False)
    handle.load("cpu", "float32")
    return handle


def test_the_file_that_is_digested_is_the_one_that_is_loaded(plain: Path, tmp_path: Path) -> None:
    folder = variant(plain, tmp_path / "both")
    tensors = load_file(folder / "open_clip_model.safetensors")
    save_file({key: tensor * 1.5 for key, tensor in tensors.items()}, folder / "model.safetensors")
    handle = loaded(folder)
    [file] = handle.locate().weights
    (tmp_path / "one").mkdir()
    only = variant(plain, tmp_path / "one")
    (only / "open_clip_model.safetensors").write_bytes(file.read_bytes())
    np.testing.assert_array_equal(handle.embed(tiny.images()), loaded(only).embed(tiny.images()))


@pytest.mark.parametrize(("lost", "added"), [("visual.ln_post.weight", None), (None, "visual.ln_post.extra")])
def test_every_key_has_its_place(lost: str | None, added: str | None, plain: Path, tmp_path: Path) -> None:
    folder = variant(plain, tmp_path / "model")
    file = folder / "open_clip_model.safetensors"
    tensors = {key: tensor for key, tensor in load_file(file).items() if key != lost}
    if added:
        tensors[added] = tensors["visual.ln_post.weight"].clone()
    save_file(tensors, file)
    with pytest.raises(ModelError, match=f"as '{lost or added}'"):
        loaded(folder)


@pytest.mark.parametrize("examined", [True, False])
def test_weights_of_another_width_are_told_before_and_in_a_load(
    examined: bool, plain: Path, tmp_path: Path
) -> None:
    handle: Any = resolve(str(variant(plain, tmp_path / "wider", mlp_ratio=3.0)))
    said = r"6 of the \d+ weights .* of another shape .*, as '.*c_fc.bias' \(\(256,\) for \(192,\)\);"
    with pytest.raises(ModelError, match=said):
        handle.examine() if examined else handle.load("cpu", "float32")


def test_what_open_clip_fits_to_a_model_is_no_other_shape(plain: Path, tmp_path: Path) -> None:
    side = OPEN_CLIP["vision_cfg"]["image_size"]
    longer = {"context_length": OPEN_CLIP["text_cfg"]["context_length"] + 3}
    folder = variant(plain, tmp_path / "larger", longer, image_size=2 * side)
    file = folder / "open_clip_model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "logit_scale": tensors["logit_scale"].reshape(1)}, file)
    handle: Any = resolve(str(folder))
    handle.examine()
    assert np.isfinite(loaded(folder).embed(tiny.images())).all()


@pytest.mark.parametrize("name", ["hf-hub:org/name", "../other", "/etc/passwd", "local-dir:/srv/x", 5])
def test_a_name_in_the_configuration_that_is_a_path_is_refused(
    name: Any, plain: Path, tmp_path: Path
) -> None:
    for key, folder in (
        ("hf_model_name", variant(plain, tmp_path / "a", {"hf_model_name": name})),
        ("hf_tokenizer_name", variant(plain, tmp_path / "b", {"hf_tokenizer_name": name})),
        ("timm_model_name", variant(plain, tmp_path / "c", timm_model_name=name)),
    ):
        with pytest.raises(ModelError, match=f"has {key} = |{key} in open_clip_config"):
            loaded(folder)


def test_the_configuration_cannot_allow_the_code_in_its_folder(plain: Path, tmp_path: Path) -> None:
    text = {"hf_tokenizer_name": "org/name", "tokenizer_kwargs": {"trust_remote_code": True}}
    folder, marker = variant(plain, tmp_path / "model", text), tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Words: pass\n", encoding="utf-8")
    settings = {"tokenizer_class": "Words", "auto_map": {"AutoTokenizer": ["evil.Words", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    handle = loaded(folder)
    with pytest.raises(ModelError, match="its tokenizer can't be had"):
        handle.text_embed(tiny.TEXTS)
    assert not marker.exists()
