"""Vision models without an adapter here: what is refused when they are loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from alignbench.encoders import any_vision
from alignbench.errors import ModelError
from alignbench.tests import tiny_models as tiny
from alignbench.tests import tiny_vision

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


hf: Any = transformers
WEIGHTS = "model.safetensors"

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def copied(vision_folder: Callable[[str], Path], family: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file in vision_folder(family).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def edited(folder: Path, edit: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def key_of(tensors: dict[str, torch.Tensor], part: str) -> str:
    return next(key for key in sorted(tensors) if part in key)


def without_one(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[key_of(tensors, "layers.1.mlp.fc1.weight")]


def one_too_many(tensors: dict[str, torch.Tensor]) -> None:
    key = key_of(tensors, "layers.1.mlp.fc1.weight")
    tensors[key.replace("weight", "weight_scale")] = torch.ones(1)


def a_layer_beyond(tensors: dict[str, torch.Tensor]) -> None:
    key = key_of(tensors, "layers.1.mlp.fc1.weight")
    tensors[key.replace("layers.1.", "layers.7.")] = tensors[key].clone()


def of_another_shape(tensors: dict[str, torch.Tensor]) -> None:
    tensors[key_of(tensors, "layers.1.mlp.fc1.bias")] = torch.zeros(7)


def not_a_number(tensors: dict[str, torch.Tensor]) -> None:
    tensors[key_of(tensors, "layers.1.mlp.fc1.weight")][3, 3] = float("nan")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without_one, r"1 of the \d+ weights of MLCDVisionModel are missing .*fc1.weight"),
        (one_too_many, r"weight_scale.*refused"),
        (a_layer_beyond, r"have no place in MLCDVisionModel, as .*layers\.7"),
        (of_another_shape, r"of another shape in the checkpoint, as .*\(7,\)"),
        (not_a_number, r"MLCDVisionModel: 'cls' vectors of an image of noise are not finite"),
    ],
)
def test_a_damaged_checkpoint_is_refused(
    damage: Callable[[dict[str, torch.Tensor]], None],
    said: str,
    vision_folder: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    folder = copied(vision_folder, "mlcd", tmp_path / "model")
    edited(folder, damage)
    with pytest.raises(ModelError, match=said):
        tiny.load(folder)


def test_a_configuration_far_beyond_its_weights_fills_no_memory(
    vision_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(vision_folder, "mlcd", tmp_path / "model")
    tiny.edit_config(folder, intermediate_size=10_000_000)
    with pytest.raises(
        ModelError, match=r"describes 1,\d+,\d+,\d+ parameters, and the weights hold \d\d,\d+"
    ):
        tiny.load(folder)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "nobody-knows", "image_size": 32}, "known neither here nor to the installed transf"),
        ({"model_type": "llama", "num_channels": 3}, "'llama' is no vision encoder: it reads texts"),
        ({"model_type": "aya_vision"}, "'aya_vision' is no vision encoder: it reads texts, or gen"),
        ({"model_type": "videomae"}, "'videomae' takes videos"),
        ({"model_type": "bert", "vocab_size": 5}, "no vision encoder that is known here"),
    ],
)
def test_a_model_that_gives_no_vector_of_an_image_is_refused(
    config: dict[str, Any], said: str, vision_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(vision_folder, "mlcd", tmp_path / "model")
    tiny.edit_config(folder, **{"architectures": None, "image_size": None, "num_channels": None, **config})
    if config["model_type"] == "bert":
        tiny.edit_config(folder, patch_size=None)
    with pytest.raises(ModelError, match=said):
        tiny.load(folder)


def of_its_neighbours(out: Any) -> None:
    out.last_hidden_state = out.last_hidden_state - 0.1 * out.last_hidden_state.mean(0, keepdim=True)


def of_chance(out: Any) -> None:
    out.last_hidden_state = out.last_hidden_state + 0.1 * torch.randn_like(out.last_hidden_state)


@pytest.mark.parametrize("change", [of_its_neighbours, of_chance])
def test_a_vector_that_depends_on_other_images_or_on_chance_is_refused(
    change: Callable[[Any], None], vision_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_vision.changed_forward(monkeypatch, change)
    with pytest.raises(ModelError, match="depend on the batch or on chance; it is refused"):
        tiny.load(vision_folder("mlcd"))


def test_patches_that_are_hidden_at_random_are_refused(
    vision_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(any_vision, "_SHOW_EVERYTHING", {})
    with pytest.raises(ModelError, match="which of it are patches can't be told"):
        tiny.load(vision_folder("vit_mae"))


def turned(out: Any) -> None:
    states = [torch.cat([state[:, :1], state[:, 1:].flip(1)], dim=1) for state in out.hidden_states or ()]
    out.hidden_states = tuple(states)


def backwards(out: Any) -> None:
    out.hidden_states = tuple(state.flip(1) for state in out.hidden_states or ())


def test_tokens_in_another_order_give_no_maps(
    vision_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_vision.changed_forward(monkeypatch, turned)
    model = tiny.load(vision_folder("mlcd"))
    assert model.embed(tiny.images()).shape == (5, 32)
    for maps in (model.patches, model.attention):
        with pytest.raises(ModelError, match="does not return its patches row by row"):
            maps(tiny.images())


def test_a_cls_token_behind_the_patches_is_refused(
    vision_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_vision.changed_forward(monkeypatch, backwards)
    with pytest.raises(ModelError, match="the first 1 of its tokens are not those that stand in front"):
        tiny.load(vision_folder("mlcd"))


def test_a_projection_that_the_model_does_not_apply_is_refused(
    vision_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    features = hf.ChineseCLIPModel.get_image_features

    def other(self: Any, **kwargs: Any) -> Any:
        out = features(self, **kwargs)
        out.pooler_output = -out.pooler_output
        return out

    monkeypatch.setattr(hf.ChineseCLIPModel, "get_image_features", other)
    with pytest.raises(ModelError, match="its projection is not what its image features go through"):
        tiny.load(vision_folder("chinese_clip"))


def test_a_processor_must_give_images_of_one_size(
    vision_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(vision_folder, "ijepa", tmp_path / "model")
    processor = hf.CLIPImageProcessor(size={"shortest_edge": 32}, do_center_crop=False)
    processor.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"its processor makes \(3, 32, \d+\) .* try --align-fit pad"):
        tiny.load(folder)
