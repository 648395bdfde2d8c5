"""Vision models without an adapter here: what they give against transformers itself, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from alignbench import Session
from alignbench.encoders import any_vision, families, resolve
from alignbench.encoders.layout import as_tokens, layout_of
from alignbench.errors import LayersMissingError, ModelError
from alignbench.tests import tiny_models as tiny
from alignbench.tests import tiny_vision
from alignbench.weights.loading import quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

hf: Any = transformers
QUICK = ("chinese_clip", "dinov3_convnext", "vit_mae")
SLOW = ("aimv2", "ijepa", "mlcd", "resnet", "sam_vision", "swin")
FAMILIES = (*QUICK, *(pytest.param(family, marks=pytest.mark.slow) for family in SLOW))
WEIGHTS = "model.safetensors"

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a family's checkpoint, which nobody may change."""
    folders: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in folders:
            folders[family] = tiny_vision.MAKERS[family](tmp_path_factory.mktemp(family))
        return folders[family]

    return folder


def pixels(folder: Path) -> torch.Tensor:
    with quiet():
        processor = hf.AutoImageProcessor.from_pretrained(folder, backend="torchvision")
    each = [processor(images=image, return_tensors="pt")["pixel_values"] for image in tiny.images()]
    return torch.cat(each)


@torch.no_grad()
def reference(family: str, folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return what transformers itself gives: each pooling, the patches, and layer 1."""
    x = pixels(folder)
    with quiet():
        config = hf.AutoConfig.from_pretrained(folder)
        how: dict[str, Any] = {"output_hidden_states": True}
        if family == "vit_mae":
            config.mask_ratio = 0.0
            how["noise"] = torch.arange(16).expand(len(x), -1)
        model = hf.AutoModel.from_pretrained(folder, config=config).eval()
    found: dict[str, torch.Tensor] = {}
    if family == "chinese_clip":
        found["projected"] = model.get_image_features(pixel_values=x).pooler_output
        model = model.vision_model
    out = model(pixel_values=x, **how)
    tokens, layer = out.last_hidden_state, out.hidden_states[1]
    if family in ("resnet", "sam_vision"):
        tokens = torch.stack([one.reshape(one.shape[0], -1).T for one in tokens])
    if family in ("resnet", "dinov3_convnext"):
        layer = torch.stack([one.reshape(one.shape[0], -1).T for one in layer])
    if family == "sam_vision":
        layer = layer.reshape(len(x), -1, layer.shape[-1])
    if family in ("chinese_clip", "mlcd", "vit_mae"):
        found["cls"] = tokens[:, 0]
        tokens, layer = tokens[:, 1:], layer[:, 1:]
    if family == "dinov3_convnext":
        tokens = tokens[:, 1:]
    found |= {"mean": tokens.mean(1), "patches": tokens, "layer": layer.mean(1)}
    if family not in ("ijepa", "vit_mae", "sam_vision"):
        found["pooler"] = out.pooler_output.reshape(len(x), -1)
    return {name: values.numpy() for name, values in found.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_output_is_what_transformers_gives(family: str, made: Callable[[str], Path]) -> None:
    folder = made(family)
    expected = reference(family, folder)
    patches, layer = expected.pop("patches"), expected.pop("layer")
    model = tiny.load(folder, l2=False)
    assert set(model.poolings) == set(expected)
    for pooling, values in expected.items():
        tiny.close(tiny.load(folder, l2=False, pooling=pooling).embed(tiny.images()), values)
    tiny.close(model.patches(tiny.images()), patches)
    tiny.close(tiny.load(folder, l2=False, pooling="mean", layer=1).embed(tiny.images()), layer)
    tiny.close(model.embed(tiny.images(), batch_size=1), model.embed(tiny.images(), batch_size=5))


@pytest.mark.parametrize(
    ("family", "poolings", "default"),
    [
        ("mlcd", ("cls", "pooler", "mean"), "cls"),
        ("dinov3_convnext", ("pooler", "mean"), "pooler"),
        ("ijepa", ("mean",), "mean"),
    ],
)
def test_the_model_is_asked_for_its_poolings_before_its_weights_are_read(
    family: str,
    poolings: tuple[str, ...],
    default: str,
    made: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("safetensors.safe_open", lambda *_, **__: pytest.fail("weights were read"))
    model: Any = resolve(str(made(family)))
    assert model.poolings == poolings
    assert model.pooling == default
    with pytest.raises(ModelError, match="no 'projected' pooling; available"):
        model.varied(pooling="projected").own_family()


def test_attention_is_that_of_cls_in_the_last_layer(made: Callable[[str], Path]) -> None:
    folder = made("mlcd")
    with quiet(), torch.no_grad():
        model = hf.MLCDVisionModel.from_pretrained(folder, attn_implementation="eager").eval()
        weights = model(pixels(folder), output_attentions=True).attentions[-1].mean(1)[:, 0, 1:]
    tiny.close(tiny.load(folder).attention(tiny.images()), weights.numpy())
    with pytest.raises(ModelError, match="no CLS token"):
        tiny.load(made("ijepa")).attention(tiny.images())


def test_layers_of_different_widths_are_pooled_together(made: Callable[[str], Path]) -> None:
    model = tiny.load(made("dinov3_convnext"))
    layers = model.forward_layers([model.preprocess(image) for image in tiny.images()])
    end = model.varied(pooling="mean", l2=False)
    end.load("cpu", "float32")
    tiny.close(layers[:, -1], end.embed(tiny.images()))
    assert not layers[:, 0, 8:].any() or layers.shape[-1] == 32


# --- what is refused


def copied(made: Callable[[str], Path], family: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file in made(family).iterdir():
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
    made: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    folder = copied(made, "mlcd", tmp_path / "model")
    edited(folder, damage)
    with pytest.raises(ModelError, match=said):
        tiny.load(folder)


def test_a_configuration_far_beyond_its_weights_fills_no_memory(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(made, "mlcd", tmp_path / "model")
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
    config: dict[str, Any], said: str, made: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied(made, "mlcd", tmp_path / "model")
    tiny.edit_config(folder, **{"architectures": None, "image_size": None, "num_channels": None, **config})
    if config["model_type"] == "bert":
        tiny.edit_config(folder, patch_size=None)
    with pytest.raises(ModelError, match=said):
        tiny.load(folder)


def changed_forward(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]) -> None:
    """Let MLCD's output pass through `change`."""
    forward = hf.MLCDVisionModel.forward

    def other(self: Any, *args: Any, **kwargs: Any) -> Any:
        out = forward(self, *args, **kwargs)
        change(out)
        return out

    monkeypatch.setattr(hf.MLCDVisionModel, "forward", other)


def of_its_neighbours(out: Any) -> None:
    out.last_hidden_state = out.last_hidden_state - 0.1 * out.last_hidden_state.mean(0, keepdim=True)


def of_chance(out: Any) -> None:
    out.last_hidden_state = out.last_hidden_state + 0.1 * torch.randn_like(out.last_hidden_state)


@pytest.mark.parametrize("change", [of_its_neighbours, of_chance])
def test_a_vector_that_depends_on_other_images_or_on_chance_is_refused(
    change: Callable[[Any], None], made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_forward(monkeypatch, change)
    with pytest.raises(ModelError, match="depend on the batch or on chance; it is refused"):
        tiny.load(made("mlcd"))


def test_patches_that_are_hidden_at_random_are_refused(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(any_vision, "_SHOW_EVERYTHING", {})
    with pytest.raises(ModelError, match="which of it are patches can't be told"):
        tiny.load(made("vit_mae"))


def turned(out: Any) -> None:
    states = [torch.cat([state[:, :1], state[:, 1:].flip(1)], dim=1) for state in out.hidden_states or ()]
    out.hidden_states = tuple(states)


def backwards(out: Any) -> None:
    out.hidden_states = tuple(state.flip(1) for state in out.hidden_states or ())


def test_tokens_in_another_order_give_no_maps(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_forward(monkeypatch, turned)
    model = tiny.load(made("mlcd"))
    assert model.embed(tiny.images()).shape == (5, 32)
    for maps in (model.patches, model.attention):
        with pytest.raises(ModelError, match="does not return its patches row by row"):
            maps(tiny.images())


def test_a_cls_token_behind_the_patches_is_refused(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_forward(monkeypatch, backwards)
    with pytest.raises(ModelError, match="the first 1 of its tokens are not those that stand in front"):
        tiny.load(made("mlcd"))


def test_a_projection_that_the_model_does_not_apply_is_refused(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    features = hf.ChineseCLIPModel.get_image_features

    def other(self: Any, **kwargs: Any) -> Any:
        out = features(self, **kwargs)
        out.pooler_output = -out.pooler_output
        return out

    monkeypatch.setattr(hf.ChineseCLIPModel, "get_image_features", other)
    with pytest.raises(ModelError, match="its projection is not what its image features go through"):
        tiny.load(made("chinese_clip"))


def test_a_processor_must_give_images_of_one_size(made: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copied(made, "ijepa", tmp_path / "model")
    processor = hf.CLIPImageProcessor(size={"shortest_edge": 32}, do_center_crop=False)
    processor.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"its processor makes \(3, 32, \d+\) .* try --align-fit pad"):
        tiny.load(folder)


# --- shapes alone


class Shaped:
    """A model without weights."""

    config: Any = None

    def named_parameters(self) -> list[Any]:
        return []

    def modules(self) -> list[Any]:
        return []


def outputs(last: tuple[int, ...], *states: tuple[int, ...]) -> Any:
    made: Any = hf.modeling_outputs.BaseModelOutput
    return made(
        last_hidden_state=torch.zeros(last), hidden_states=tuple(torch.zeros(shape) for shape in states)
    )


def test_a_map_is_told_by_the_proportions_of_the_image() -> None:
    model: Any = Shaped()
    first = layout_of(model, outputs((1, 7, 2, 3)), (20, 30))
    assert (first.grid, first.channels) == ((2, 3), 1)
    last = layout_of(model, outputs((1, 2, 3, 7)), (20, 30))
    assert (last.grid, last.channels) == ((2, 3), 3)
    assert layout_of(model, outputs((1, 4, 4, 4)), (20, 20)).grid is None  # any axis could be the channels
    assert layout_of(model, outputs((1, 4, 4, 4), (1, 5, 8, 8)), (20, 20)).grid == (4, 4)
    assert layout_of(model, outputs((1, 16, 5)), (20, 20)).grid is None  # tokens of unknown places


def test_both_ways_to_store_a_map_give_the_same_tokens() -> None:
    values = torch.arange(24.0).reshape(1, 2, 3, 4)
    tokens = as_tokens(values, 1)
    assert tokens[0, 5].tolist() == [5, 17]
    assert torch.equal(as_tokens(values.permute(0, 2, 3, 1), 3), tokens)


# --- plan and scores


@pytest.mark.slow
def test_plan_and_scores_say_that_a_family_is_untested(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(families, "COMPARED", families.COMPARED[:1])
    session = Session(encoders=[f"theirs={made('mlcd')}", "mini-clip"], llms=["mini-llama"], n_samples=12)
    notes = [note for model in session.encoders.values() for note in getattr(model, "notes", ())]
    assert len(notes) == 1
    assert notes[0].startswith("theirs: model_type 'mlcd_vision_model' is not covered by alignbench's tests")
    flagged = {score.encoder: "untested_family" in score.flags for score in session.run("eas").scores}
    assert flagged == {"theirs": True, "mini-clip": False}


def test_the_families_that_count_as_tested_are_those_of_these_tests(made: Callable[[str], Path]) -> None:
    compared = {
        json.loads((made(name) / "config.json").read_text())["model_type"] for name in (*QUICK, *SLOW)
    }
    assert compared == set(families.COMPARED)
    assert not families.family_of({"model_type": "beit", "image_size": 32}, "").tested


def test_layers_that_cannot_be_told_are_missing(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_forward(monkeypatch, lambda out: setattr(out, "hidden_states", None))
    with pytest.raises(LayersMissingError, match="gives no hidden layers"):
        tiny.load(made("mlcd")).forward_layers([torch.zeros(3, 32, 32)])


def test_a_pooler_that_the_checkpoint_lacks_is_left_out(tmp_path: Path) -> None:
    model = hf.BeitModel(hf.BeitConfig(**tiny.VISION, vocab_size=64), add_pooling_layer=False)
    folder = tiny.save(tiny.scattered(model), tmp_path / "model", tiny_vision.squashing())
    assert tiny.load(folder).poolings == ("cls", "mean")
