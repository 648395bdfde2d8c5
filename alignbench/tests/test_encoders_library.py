"""timm and open_clip by spec, from checkpoints that are made here, and preprocessing without cropping."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import open_clip
import pytest
import timm
import timm.data
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load_file, save_file

from alignbench.encoders import resolve
from alignbench.encoders.preprocess import fit_image
from alignbench.encoders.timm_models import is_convolutional
from alignbench.errors import ConfigError, ModelError, WeightsMissingError
from alignbench.tests import tiny_models as tiny

if TYPE_CHECKING:
    from pathlib import Path

OPEN_CLIP: dict[str, Any] = {
    "embed_dim": 20,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
VIT = "vit_tiny_patch16_224"
CONVOLUTIONAL = "test_convnext"


pytestmark = pytest.mark.usefixtures("one_torch_thread")


def loaded(spec: str, **options: Any) -> Any:
    handle = resolve(spec, **{"l2": False, **options})
    handle.load("cpu", "float32")
    return handle


@pytest.fixture(scope="module")
def open_clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny architecture of open_clip, registered under a name, and a checkpoint of it."""
    folder = tmp_path_factory.mktemp("open_clip")
    (folder / "tiny-openclip.json").write_text(json.dumps(OPEN_CLIP), encoding="utf-8")
    open_clip.add_model_config(folder)
    model = tiny.scattered(open_clip.create_model("tiny-openclip", pretrained=None))
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "weights.safetensors")
    return folder / "weights.safetensors"


@pytest.mark.slow
@torch.no_grad()
def test_open_clip_gives_what_open_clip_gives(open_clip_file: Path) -> None:
    model, _, transform = open_clip.create_model_and_transforms(
        "tiny-openclip", pretrained=str(open_clip_file)
    )
    pixels = torch.stack([transform(image) for image in tiny.images()])
    made = loaded(f"oc=open_clip:tiny-openclip/{open_clip_file}")
    tiny.close(made.embed(tiny.images()), model.eval().encode_image(pixels).numpy())
    tiny.close(made.image_embed(tiny.images()), model.encode_image(pixels).numpy())
    tokens = open_clip.get_tokenizer("tiny-openclip")(tiny.TEXTS)
    tiny.close(made.text_embed(tiny.TEXTS), model.encode_text(tokens).numpy())
    assert made.info.family == "open_clip"


def test_open_clip_gives_patches_and_hidden_layers(open_clip_file: Path) -> None:
    spec = f"open_clip:tiny-openclip/{open_clip_file}"
    patches = loaded(spec).patches(tiny.images())
    assert patches.shape == (5, 16, 64)
    tiny.close(loaded(spec, pooling="mean").embed(tiny.images()), patches.mean(axis=1))
    tiny.close(loaded(spec, layer=2).embed(tiny.images()), patches.mean(axis=1))
    assert np.abs(loaded(spec, layer=1).embed(tiny.images()) - patches.mean(axis=1)).max() > 0.01
    every = loaded(spec)
    states = every.forward_layers([every.preprocess(image) for image in tiny.images()])
    assert every.first_layer == 1
    assert states.shape[1] == 3  # two blocks, and the output
    tiny.close(states[:, 1], patches.mean(axis=1))
    with pytest.raises(ModelError, match="layers 1 to 2"):
        loaded(spec, layer=0).embed(tiny.images())


def test_a_folder_of_open_clip_loads(open_clip_file: Path, tmp_path: Path) -> None:
    how = {"mean": [0.5] * 3, "std": [0.5] * 3, "size": [32, 32], "resize_mode": "squash", "mode": "RGB"}
    how |= {"interpolation": "bicubic"}
    config = {"model_cfg": OPEN_CLIP, "preprocess_cfg": how}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "open_clip_model.safetensors").write_bytes(open_clip_file.read_bytes())
    made = loaded(str(tmp_path))
    assert made.info.family == "open_clip"
    # It squashes by itself, with a mean of its own.
    assert made.preprocess(tiny.images()[0]).shape == (3, 32, 32)
    white = made.preprocess(Image.new("RGB", (50, 20), "white"))
    assert white.min().item() == pytest.approx(1.0)
    assert made.embed(tiny.images()).shape == (5, 20)


def test_an_unknown_tag_of_open_clip_says_what_there_is() -> None:
    with pytest.raises(ModelError, match=r"Did you mean 'laion2b_s34b_b79k'\?"):
        resolve("open_clip:ViT-B-32/laion2b_s34b").locate()
    with pytest.raises(ModelError, match=r"Did you mean 'ViT-B-32'\?"):
        resolve("open_clip:ViT-B32/openai").locate()


@pytest.mark.parametrize("allowed", [False, True])
def test_consent_to_pickles_reaches_a_tag_of_open_clip(
    allowed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    handle: Any = resolve("open_clip:ViT-B-32/laion2b_s34b_b79k", allow_pickle=allowed)
    repository = handle.source.inner.label
    folder = tmp_path / f"models--{repository.replace('/', '--')}" / "snapshots" / "main"
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text("{}", encoding="utf-8")
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert (handle.source.local() is not None) == allowed


def test_a_checkpoint_that_lacks_weights_is_refused(open_clip_file: Path, tmp_path: Path) -> None:
    tensors = load_file(open_clip_file)
    del tensors["visual.ln_post.weight"]
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"visual\.ln_post\.weight"):
        loaded(f"open_clip:tiny-openclip/{tmp_path / 'w.safetensors'}")


@pytest.fixture(scope="module")
def timm_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("timm")
    files = {}
    for name in ("test_vit", CONVOLUTIONAL):
        model = tiny.scattered(timm.create_model(name, pretrained=False, num_classes=7))
        files[name] = folder / f"{name}.safetensors"
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, files[name])
    return files


@pytest.mark.parametrize("name", ["test_vit", CONVOLUTIONAL])
@torch.no_grad()
def test_timm_gives_what_timm_gives(name: str, timm_files: dict[str, Path]) -> None:
    model = timm.create_model(name, pretrained=False, num_classes=0).eval()
    model.load_state_dict(load_file(timm_files[name]), strict=False)
    data: Any = timm.data
    transform = data.create_transform(**data.resolve_model_data_config(model), is_training=False)
    pixels = torch.stack([transform(image) for image in tiny.images()])
    made = loaded(f"timm:{name}@{timm_files[name]}")
    tiny.close(made.embed(tiny.images()), model(pixels).numpy(), 1e-4)
    assert (made.info.family, made.info.params["pooling"]) == ("timm", "pooler")


@pytest.mark.slow
def test_timms_vit_has_cls_patches_and_layers(timm_files: dict[str, Path]) -> None:
    spec = f"timm:test_vit@{timm_files['test_vit']}"
    patches = loaded(spec).patches(tiny.images())
    tiny.close(loaded(spec, pooling="mean").embed(tiny.images()), patches.mean(axis=1))
    cls = loaded(spec, pooling="cls").embed(tiny.images())
    assert np.abs(cls - patches.mean(axis=1)).max() > 0.01
    last = loaded(spec, layer=-1, pooling="cls").embed(tiny.images())
    assert last.shape == cls.shape
    assert np.abs(last - loaded(spec, layer=1, pooling="cls").embed(tiny.images())).max() > 0.01
    every = loaded(spec)
    states = every.forward_layers([every.preprocess(image) for image in tiny.images()])
    count = len(every.layer_poolings)
    tiny.close(states[:, -2 * count + every.layer_poolings.index("cls")], last)
    output = loaded(spec, pooling="cls").embed(tiny.images())
    tiny.close(states[:, -count + every.layer_poolings.index("cls")], output)


def test_a_convolutional_model_has_places_but_no_cls(timm_files: dict[str, Path]) -> None:
    spec = f"timm:{CONVOLUTIONAL}@{timm_files[CONVOLUTIONAL]}"
    made = loaded(spec)
    assert is_convolutional(made.running().model.model)
    patches = made.patches(tiny.images())
    assert patches.ndim == 3
    tiny.close(loaded(spec, pooling="mean").embed(tiny.images()), patches.mean(axis=1), 1e-4)
    assert loaded(spec, layer=1).embed(tiny.images()).ndim == 2
    assert made.poolings == ("pooler", "mean")
    with pytest.raises(ModelError, match=r"this timm model has no 'cls' pooling.*available: pooler, mean"):
        loaded(spec, pooling="cls")


def test_a_timm_checkpoint_that_lacks_weights_is_refused(timm_files: dict[str, Path], tmp_path: Path) -> None:
    tensors = load_file(timm_files["test_vit"])
    del tensors["blocks.1.attn.qkv.weight"]
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"missing from the checkpoint.*blocks\.1\.attn\.qkv\.weight"):
        loaded(f"timm:test_vit@{tmp_path / 'w.safetensors'}")


def test_a_pickled_checkpoint_needs_consent(timm_files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(load_file(timm_files["test_vit"]), path)
    with pytest.raises(ModelError, match="a pickle"):
        resolve(f"timm:test_vit@{path}")
    as_pickle = loaded(f"timm:test_vit@{path}", allow_pickle=True).embed(tiny.images())
    exact = loaded(f"timm:test_vit@{timm_files['test_vit']}").embed(tiny.images())
    np.testing.assert_array_equal(as_pickle, exact)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"no checkpoint .*gone\.safetensors"):
        resolve(f"timm:test_vit@{tmp_path / 'gone.safetensors'}")


def timm_folder(folder: Path, weights: Path, **config: Any) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(weights.read_bytes())
    (folder / "config.json").write_text(json.dumps({"architecture": "test_vit", **config}), encoding="utf-8")
    return folder


def test_a_folder_of_timm_takes_shape_and_pixels_from_its_config(
    timm_files: dict[str, Path], tmp_path: Path
) -> None:
    pixels = {"input_size": [3, 96, 96], "mean": [0.5] * 3, "std": [0.5] * 3, "url": "https://example.org/x"}
    config = {"model_args": {"img_size": 96, "num_classes": 7}, "pretrained_cfg": {**pixels, "tag": "mine"}}
    weights = {
        key: value for key, value in load_file(timm_files["test_vit"]).items() if not key.startswith("head.")
    }
    model = tiny.scattered(timm.create_model("test_vit", pretrained=False, num_classes=0, img_size=96))
    weights["pos_embed"] = model.state_dict()["pos_embed"]
    save_file(weights, tmp_path / "w.safetensors")
    made = loaded(str(timm_folder(tmp_path / "model", tmp_path / "w.safetensors", **config)))
    white = made.preprocess(Image.new("RGB", (96, 96), "white"))
    assert (white.shape, white.min().item()) == ((3, 96, 96), pytest.approx(1.0))
    assert made.running().model.model.num_classes == 0


@pytest.mark.parametrize(
    "config",
    [
        {"architecture": "hf-hub:org/name"},
        {"architecture": "local-dir:/somewhere"},
        {"architecture": "test_vit:x"},
        {"architecture": "no_such_model"},
        {"model_args": {"checkpoint_path": "/etc/passwd"}},
        {"model_args": {"pretrained": True}},
        {"model_args": {"pretrained_cfg_overlay": {"url": "https://example.org/x"}}},
        {"model_args": {"cache_dir": "/somewhere"}},
        {"model_args": {"features_only": True}},
        {"model_args": {"norm_layer": {"url": "https"}}},
        {"model_args": {"act_layer": ["relu", "https://example.org/x"]}},
        {"model_args": {"weights_path": "w"}},
        {"model_args": {"pretrained_filter_fn": "f"}},
        {"model_args": {"in_chans": 1}},
        {"model_args": ["img_size"]},
        {"pretrained_cfg": "hf-hub:org/name"},
    ],
    ids=str,
)
def test_a_config_of_timm_chooses_no_more_than_a_networks_shape(
    config: dict[str, Any], timm_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = timm_folder(tmp_path / "model", timm_files["test_vit"], **config)
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(ModelError, match=r"model_args|is no architecture of timm") as caught:
        loaded(str(folder))
    assert "\n" not in str(caught.value)


def test_timm_names_lead_to_timms_repositories() -> None:
    assert (
        resolve("timm:vit_base_patch16_224.augreg_in21k").info.source
        == "timm/vit_base_patch16_224.augreg_in21k"
    )
    assert resolve(f"timm:{VIT}@augreg_in21k").info.source == f"timm/{VIT}.augreg_in21k"
    handle: Any = resolve(f"timm:{VIT}")
    assert handle.source.inner.label == f"timm/{VIT}.augreg_in21k_ft_in1k"


def test_an_unknown_model_of_timm_says_what_was_meant() -> None:
    with pytest.raises(ModelError, match=r"'vit_bas_patch16_224' is no architecture of timm\. Did you mean"):
        resolve("timm:vit_bas_patch16_224").locate()


# --- how an image gets to the model's size


def framed(width: int, height: int) -> Image.Image:
    """Return a grey image with a red left and right edge: what a centre crop loses."""
    image = Image.new("RGB", (width, height), "grey")
    for x in (*range(width // 8), *range(width - width // 8, width)):
        image.paste((255, 0, 0), (x, 0, x + 1, height))
    return image


def redness(pixels: Any) -> float:
    return float((pixels[0] - pixels[2]).clamp(min=0.5).sub(0.5).mean())


@pytest.mark.parametrize("family", ["clip", "dinov2"])
def test_padding_and_squashing_keep_the_edges_that_native_crops(family: str, tmp_path: Path) -> None:
    folder = tiny.ENCODERS[family](tmp_path / "model")
    seen = {
        fit: loaded(str(folder), fit=fit).preprocess(framed(96, 32)) for fit in ("native", "pad", "squash")
    }
    assert {pixels.shape for pixels in seen.values()} == {(3, 32, 32)}
    assert redness(seen["native"]) < 0.01
    assert redness(seen["pad"]) > 0.05
    assert redness(seen["squash"]) > redness(seen["pad"])


@pytest.mark.parametrize("fit", ["pad", "squash"])
@pytest.mark.parametrize("family", ["clip", "dinov2"])
def test_after_fitting_the_processor_only_normalises(family: str, fit: str, tmp_path: Path) -> None:
    made = loaded(str(tiny.ENCODERS[family](tmp_path / "model")), fit=fit)
    processor = made.running().model.prepare.processor
    fitted = np.asarray(fit_image(framed(96, 32), fit, (32, 32)), dtype=np.float64) / 255
    expected = (fitted - np.array(processor.image_mean)) / np.array(processor.image_std)
    tiny.close(made.preprocess(framed(96, 32)).numpy(), expected.transpose(2, 0, 1), 1e-5)


def test_padding_keeps_the_shape_and_fills_with_white() -> None:
    padded = np.asarray(fit_image(Image.new("RGB", (100, 50), "black"), "pad", (32, 32)))
    assert padded.shape == (32, 32, 3)
    assert (padded[:8] == 255).all()
    assert (padded[24:] == 255).all()
    assert (padded[8:24] == 0).all()


def test_a_fit_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ModelError, match="expected a fit of native, pad, squash"):
        resolve("clip", fit="crop")  # type: ignore[arg-type]


def test_a_timm_spec_with_an_alias_that_breaks_ids_is_refused() -> None:
    with pytest.raises(ConfigError):
        resolve("my model=timm:test_vit.r160_in1k")
