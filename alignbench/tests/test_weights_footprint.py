"""What a model takes on its device: its weights, and the layer's widest moment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.embed import Embedder, EmbeddingStore
from alignbench.encoders import resolve
from alignbench.llms import resolve as resolve_llm
from alignbench.plugin.terminal import PendingModel, plan
from alignbench.tests import tiny_models as tiny
from alignbench.tests.embed_fakes import FakeEncoder
from alignbench.types import ModelInfo
from alignbench.weights import Location
from alignbench.weights.footprint import Batch, WeightsRead
from alignbench.weights.precision import Precision

if TYPE_CHECKING:
    from pathlib import Path


class Drawings(list[str]):
    """What a plan asks of data."""

    def describe(self) -> list[str]:
        return self[:1]


FAMILIES: dict[str, tuple[Any, Any]] = {
    "clip": (tiny.clip, resolve),
    "siglip": (tiny.siglip, resolve),
    "dinov2": (tiny.dinov2, resolve),
    "vit": (tiny.vit, resolve),
    "paligemma": (tiny.paligemma, resolve),
    "llama": (tiny.llama, resolve_llm),
    "qwen2": (tiny.qwen2, resolve_llm),
}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_weights_are_those_that_a_load_takes(family: str, dtype: str, tmp_path: Path) -> None:
    make, find = FAMILIES[family]
    handle = find(str(make(tmp_path / family)))
    expected = handle.footprint("cpu", dtype).weights
    handle.load("cpu", dtype)
    # Heads of tiny models are a large part of them: one is not read, another is no product of a matrix.
    assert handle.weight_bytes == pytest.approx(expected, rel=0.08)


def test_only_what_is_read_counts(tmp_path: Path) -> None:
    from numpy import zeros
    from safetensors.numpy import save_file

    file = tmp_path / "model.safetensors"
    save_file(
        {
            "a.fc.weight": zeros((10, 20), "float32"),
            "a.norm.weight": zeros(10, "float32"),
            "a.embed_tokens.weight": zeros((7, 10), "float32"),
            "lm_head.weight": zeros((7, 10), "float32"),
        },
        file,
    )
    there, autocast = Location("here", tmp_path, (file,)), Precision("float32", "bfloat16")
    assert WeightsRead("text", {}, there).bytes_in(Precision("float32")) == 4 * (200 + 10 + 70 + 70)
    assert WeightsRead("text", {}, there, left=("lm_head.",)).bytes_in(autocast) == 2 * 200 + 4 * (10 + 70)
    assert WeightsRead("text", {}, there, wanted=("a.f", "a.n")).bytes_in(Precision("bfloat16")) == 2 * 210
    assert WeightsRead("text", {}, there, wanted=("a.f",), quantization="8bit").bytes_in(autocast) == 200
    assert WeightsRead("text", {}, Location("hub", download=1000)).bytes_in(Precision("float32")) == 2000


def test_a_batch_is_the_widest_moment_of_a_layer() -> None:
    config = {"intermediate_size": 400, "hidden_act": "gelu"}
    float32 = Precision("float32")

    def of(precision: Precision = float32, device: str = "cpu", **changes: Any) -> int:
        return Batch("vision", {**config, **changes}, tokens=10, numbers=300).bytes_in(precision, device, 100)

    assert of() == 10 * 4 * (2 * 400 + 4 * 100) + 300 * 8
    assert of(Precision("float32", "bfloat16")) == 10 * (2 * 2 * 400 + 4 * 4 * 100) + 300 * 8
    assert of(Precision("bfloat16")) == 10 * 2 * (2 * 400 + 4 * 100) + 300 * 10
    assert of(hidden_act="quick_gelu") - of() == 10 * 4 * 400
    assert of(intermediate_size=None, mlp_ratio=3) == of(intermediate_size=300)
    assert of(intermediate_size=None) == of()
    assert of(device="cuda:0") > of()


@pytest.mark.parametrize(
    "damage",
    [
        {"mlp_ratio": [4, 4]},
        {"mlp_ratio": "4"},
        {"mlp_ratio": float("nan")},
        {"mlp_ratio": float("inf")},
        {"mlp_ratio": -1},
        {"intermediate_size": [400]},
        {"intermediate_size": -400},
        {"hidden_act": ["gelu"]},
        {"hidden_act": {"name": "quick_gelu"}},
    ],
)
def test_a_configuration_that_says_something_odd_is_taken_for_a_usual_one(damage: dict[str, Any]) -> None:
    def of(config: dict[str, Any]) -> int:
        return Batch("vision", config, tokens=10).bytes_in(Precision("float32"), "cpu", 100)

    assert of(damage) == of({})


def test_an_embedder_asks_for_its_own_batches(tmp_path: Path, store: EmbeddingStore) -> None:
    encoder, llm = resolve(str(tiny.clip(tmp_path / "c"))), resolve_llm(str(tiny.qwen2(tmp_path / "q")))
    few, many = (Embedder(store, "cpu", "float32", n, max_tokens=100 * n) for n in (1, 10))
    for model in (encoder, llm):
        one, ten = few.footprint(model), many.footprint(model)
        assert one is not None
        assert ten is not None
        assert one.weights == ten.weights
        assert ten.batch == 10 * one.batch > 0
        assert one.total == one.weights + one.batch
    assert few.footprint(FakeEncoder()) is None


@pytest.mark.parametrize(
    ("work", "memory", "gpus", "said"),
    [
        ({"missing": 5}, 3_000_000_000, 1, ", about 3.0 GB in memory"),
        ({"missing": 5}, 3_000_000_000, 2, ", about 3.0 GB in memory, distributed over 2 GPUs"),
        ({"missing": 0, "timed": 1}, 3_000_000_000, 1, ", about 3.0 GB in memory"),
        ({"missing": 0}, 3_000_000_000, 1, ""),
        ({"missing": 5}, 20_000_000, 1, ""),
    ],
    ids=["large", "distributed", "timed", "cached", "small"],
)
def test_the_plan_says_what_a_large_model_takes(
    work: dict[str, Any], memory: int, gpus: int, said: str
) -> None:
    info = ModelInfo("l", "text", "llama", "here", "pretrained")
    model = PendingModel(info, Location("here"), **work, memory=memory, gpus=gpus)
    assert model.place == said
    options: Any = SimpleNamespace(config=SimpleNamespace(origin=("packaged",)))
    data: Any = Drawings(["90 drawings"] * 90)
    gpus_shared = ("gpus", "each of 2 workers uses one of 2 GPUs, in turn")
    lines = plan(options, data, [model], 3, 60.0, 120, notes=[gpus_shared])
    assert f"model  l: pretrained, {model.todo}{said}" in lines
    assert f"gpus   {gpus_shared[1]}" in lines
    assert not any(line.startswith("gpus") for line in plan(options, data, [model], 3, 60.0))
