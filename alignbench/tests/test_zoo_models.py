"""The embedded models as committed: they load whole, are small, and still know what their cards say."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from alignbench.datasets.synthetic import HELD_OUT_SEED, Synthetic
from alignbench.paths import models_dir
from alignbench.workshop.zoo.check import check_model, features, knn_accuracy, loaded, measure, recall_at_1
from alignbench.zoo.random_vit import build_random_vit
from alignbench.zoo.recipes import RECIPES

pytestmark = pytest.mark.slow

LIMIT_BYTES = 40 * 2**20
TYPES = {
    "mini-clip": "clip",
    "mini-siglip": "siglip",
    "mini-dinov2": "dinov2",
    "mini-llama": "llama",
    "mini-qwen": "qwen2",
}


def results_of(name):
    return json.loads((models_dir() / name / "results.json").read_text())


def test_all_embedded_models_together_are_small():
    assert sum(path.stat().st_size for path in models_dir().rglob("*") if path.is_file()) <= LIMIT_BYTES


@pytest.mark.parametrize("name", RECIPES)
def test_an_embedded_model_is_of_its_real_family_with_no_key_missing(name):
    from transformers import AutoModel, AutoModelForCausalLM

    folder = models_dir() / name
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == TYPES[name]
    assert config["dtype"] == "float16"
    auto: Any = AutoModelForCausalLM if RECIPES[name].objective == "language" else AutoModel
    _, info = auto.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))


@pytest.mark.parametrize("name", RECIPES)
def test_the_card_says_what_was_measured(name):
    card = (models_dir() / name / "README.md").read_text()
    training = json.loads((models_dir() / name / "training.json").read_text())
    assert f"| {training['minutes']:g} minutes" in card
    for value in results_of(name).values():
        assert f"| {value:.3g} |" in card


@pytest.mark.parametrize("name", ["mini-clip", "mini-siglip"])
def test_image_and_text_towers_find_each_other_on_held_out_drawings(name):
    results = results_of(name)
    assert results["image_to_text_r1"] >= 0.4
    assert all(
        results[f"{data_type}_image_to_text_r1"] >= 0.2 for data_type in ("chart", "table", "document")
    )


def test_dinov2_knows_types_and_chart_kinds_better_than_untrained():
    results = results_of("mini-dinov2")
    assert results["type_knn"] >= 0.95
    assert results["chart_kind_knn"] >= results["random_vit_chart_kind_knn"] + 0.15


def test_dinov2_as_committed_knows_types():
    from transformers import AutoImageProcessor, AutoModel

    folder = models_dir() / "mini-dinov2"
    source = Synthetic(HELD_OUT_SEED)
    numbers = [(data_type, i) for data_type in source.types for i in range(20)]
    images = [source.drawing(*number).image for number in numbers]
    x = features(loaded(AutoModel, folder), AutoImageProcessor.from_pretrained(folder), images)
    assert knn_accuracy(x, [data_type for data_type, _ in numbers]) >= 0.85


@pytest.mark.parametrize("name", ["mini-llama", "mini-qwen"])
def test_language_models_halve_the_unigram_perplexity(name):
    assert results_of(name)["ratio"] <= 0.5


@pytest.mark.parametrize("name", ["mini-clip", "mini-siglip", "mini-llama", "mini-qwen"])
def test_measuring_again_gives_the_committed_results(name):
    again = measure(RECIPES[name], models_dir() / name)
    committed = results_of(name)
    assert again.keys() == committed.keys()
    # another CPU or torch may turn a close rank over, never many
    assert again == pytest.approx(committed, rel=0.02, abs=0.035)


def test_check_writes_results_and_card_from_one_measurement(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "alignbench.workshop.zoo.check.measure", lambda recipe, folder: {"perplexity": 1.5, "ratio": 0.25}
    )
    (tmp_path / "training.json").write_text((models_dir() / "mini-llama" / "training.json").read_text())
    lines: list[str] = []
    check_model(RECIPES["mini-llama"], tmp_path, lines.append)
    assert json.loads((tmp_path / "results.json").read_text()) == {"perplexity": 1.5, "ratio": 0.25}
    assert "| their ratio | 0.25 |" in (tmp_path / "README.md").read_text()
    assert lines == ["mini-llama perplexity 1.5", "mini-llama ratio 0.25"]


def test_random_vit_depends_on_its_seed_alone():
    state = torch.random.get_rng_state()
    (one, processor), (two, _), (other, _) = build_random_vit(0), build_random_vit(0), build_random_vit(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = [model.get_parameter("encoder.layer.0.mlp.fc1.weight") for model in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    image = Synthetic(HELD_OUT_SEED).drawing("chart", 0).image
    pixels = processor(images=[image], return_tensors="pt").pixel_values
    assert pixels.shape == (1, 3, 112, 112)
    with torch.inference_mode():
        assert one(pixel_values=pixels).pooler_output.shape == (1, 192)
    assert not one.training


def test_random_vit_has_the_shape_of_mini_dinov2():
    from transformers import AutoModel

    trained = AutoModel.from_pretrained(models_dir() / "mini-dinov2")
    shapes = {name: p.shape for name, p in trained.named_parameters()}
    assert shapes == {name: p.shape for name, p in build_random_vit()[0].named_parameters()}


def test_knn_accuracy_of_clusters_and_of_noise():
    import numpy as np

    rng = np.random.default_rng(0)
    labels = ["a"] * 60 + ["b"] * 60
    clusters = rng.normal(size=(120, 4)) + 20 * np.eye(4)[[0] * 60 + [1] * 60]
    assert knn_accuracy(clusters.astype(np.float32), labels) == 1.0
    assert 0.3 < knn_accuracy(rng.normal(size=(120, 4)).astype(np.float32), labels) < 0.7


def test_recall_counts_the_diagonal():
    import numpy as np

    assert recall_at_1(np.eye(4, dtype=np.float32)) == 1
    assert recall_at_1(np.roll(np.eye(4, dtype=np.float32), 1, axis=1)) == 0
