"""Vision models without an adapter here: what they give against transformers itself, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers

from alignbench import Session
from alignbench.encoders import families, resolve
from alignbench.encoders.layout import as_tokens, layout_of
from alignbench.errors import LayersMissingError, ModelError
from alignbench.tests import own_vision, tiny_vision
from alignbench.tests import tiny_models as tiny
from alignbench.weights.loading import quiet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


hf: Any = transformers
QUICK = ("chinese_clip", "dinov3_convnext", "vit_mae")
SLOW = ("aimv2", "ijepa", "mlcd", "resnet", "sam_vision", "swin")
FAMILIES = (*QUICK, *(pytest.param(family, marks=pytest.mark.slow) for family in SLOW))
WEIGHTS = "model.safetensors"

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_output_is_what_transformers_gives(family: str, vision_folder: Callable[[str], Path]) -> None:
    folder = vision_folder(family)
    expected = own_vision.generic(family, folder)
    patches, layer = expected.pop("patches"), expected.pop("layer")
    model = tiny.load(folder, l2=False)
    assert set(model.poolings) == set(expected)
    for pooling, values in expected.items():
        tiny.close(tiny.load(folder, l2=False, pooling=pooling).embed(tiny.images()), values)
    tiny.close(model.patches(tiny.images()), patches)
    tiny.close(tiny.load(folder, l2=False, pooling="mean", layer=1).embed(tiny.images()), layer)
    tiny.close(model.embed(tiny.images(), batch_size=1), model.embed(tiny.images(), batch_size=5))


@pytest.mark.usefixtures("never_loads")
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
    vision_folder: Callable[[str], Path],
) -> None:
    model: Any = resolve(str(vision_folder(family)))
    assert model.poolings == poolings
    assert model.pooling == default
    with pytest.raises(ModelError, match="no 'projected' pooling; available"):
        model.varied(pooling="projected").own_family()


def test_attention_is_that_of_cls_in_the_last_layer(vision_folder: Callable[[str], Path]) -> None:
    folder = vision_folder("mlcd")
    with quiet(), torch.no_grad():
        model = hf.MLCDVisionModel.from_pretrained(folder, attn_implementation="eager").eval()
        weights = model(own_vision.pixels(folder), output_attentions=True).attentions[-1].mean(1)[:, 0, 1:]
    tiny.close(tiny.load(folder).attention(tiny.images()), weights.numpy())
    with pytest.raises(ModelError, match="no CLS token"):
        tiny.load(vision_folder("ijepa")).attention(tiny.images())


def test_layers_of_different_widths_are_pooled_together(vision_folder: Callable[[str], Path]) -> None:
    model = tiny.load(vision_folder("dinov3_convnext"))
    layers = model.forward_layers([model.preprocess(image) for image in tiny.images()])
    end = model.varied(pooling="mean", l2=False)
    end.load("cpu", "float32")
    tiny.close(layers[:, -1], end.embed(tiny.images()))
    assert not layers[:, 0, 8:].any() or layers.shape[-1] == 32


# --- what is refused


# --- shapes alone


class Shaped:
    """A model without weights."""

    config: Any = None

    def named_parameters(self) -> list[Any]:
        return []

    def modules(self) -> list[Any]:
        return []


def outputs(last: tuple[int, ...], *states: tuple[int, ...]) -> Any:
    vision_folder: Any = hf.modeling_outputs.BaseModelOutput
    return vision_folder(
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
    vision_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(families, "COMPARED", families.COMPARED[:1])
    session = Session(
        encoders=[f"theirs={vision_folder('mlcd')}", "mini-clip"], llms=["mini-llama"], n_samples=12
    )
    notes = [note for model in session.encoders.values() for note in getattr(model, "notes", ())]
    assert len(notes) == 1
    assert notes[0].startswith("theirs: model_type 'mlcd_vision_model' is not covered by alignbench's tests")
    flagged = {score.encoder: "untested_family" in score.flags for score in session.run("eas").scores}
    assert flagged == {"theirs": True, "mini-clip": False}


def test_the_families_that_count_as_tested_are_those_of_these_tests(
    vision_folder: Callable[[str], Path],
) -> None:
    compared = {
        json.loads((vision_folder(name) / "config.json").read_text())["model_type"]
        for name in (*QUICK, *SLOW)
    }
    assert compared == set(families.COMPARED)
    assert not families.family_of({"model_type": "beit", "image_size": 32}, "").tested


def test_layers_that_cannot_be_told_are_missing(
    vision_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_vision.changed_forward(monkeypatch, lambda out: setattr(out, "hidden_states", None))
    with pytest.raises(LayersMissingError, match="gives no hidden layers"):
        tiny.load(vision_folder("mlcd")).forward_layers([torch.zeros(3, 32, 32)])


def test_a_pooler_that_the_checkpoint_lacks_is_left_out(tmp_path: Path) -> None:
    model = hf.BeitModel(hf.BeitConfig(**tiny.VISION, vocab_size=64), add_pooling_layer=False)
    folder = tiny.save(tiny.scattered(model), tmp_path / "model", tiny_vision.squashing())
    assert tiny.load(folder).poolings == ("cls", "mean")
