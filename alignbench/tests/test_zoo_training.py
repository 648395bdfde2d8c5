"""Trainings: a few steps of every objective go the whole way, and each part does what it says."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from alignbench.datasets.synthetic import HELD_OUT_SEED, SAMPLE_DATA_SEED, Synthetic
from alignbench.errors import UnknownNameError
from alignbench.workshop.zoo import loop
from alignbench.workshop.zoo.contrastive import sigmoid_loss, softmax_loss
from alignbench.workshop.zoo.data import CYCLE, Drawings, batch_numbers, document, pool
from alignbench.workshop.zoo.distill import crops, koleo, recoloured, sinkhorn
from alignbench.workshop.zoo.language import next_token_loss
from alignbench.workshop.zoo.tokenizer import train_tokenizer
from alignbench.workshop.zoo.training import train_model
from alignbench.zoo.pixels import image_processor, normalised
from alignbench.zoo.recipes import RECIPES, recipe_of

pytestmark = pytest.mark.slow

POOL = 60
TINY = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(autouse=True)
def _threads_as_before():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder whose drawings are made in this process: a test needs no pool of workers."""
    folder = tmp_path_factory.mktemp("work")
    np.save(folder / f"drawings-112-{POOL}.npy", np.stack([Drawings().pixels(i) for i in range(POOL)]))
    return folder


@pytest.fixture(autouse=True)
def _small_tokenizers(monkeypatch):
    monkeypatch.setattr("alignbench.workshop.zoo.training.TOKENIZER_DRAWINGS", 60)


def tiny(name, steps):
    recipe = RECIPES[name]
    config = dict(recipe.config)
    if recipe.objective in ("softmax", "sigmoid"):
        for tower in ("text_config", "vision_config"):
            config[tower] = {**config[tower], **TINY, "intermediate_size": 64}
    elif recipe.objective == "language":
        config |= {**TINY, "intermediate_size": 64, "num_key_value_heads": 1}
    else:
        config |= TINY
    return dataclasses.replace(recipe, steps=steps, batch=8, pool=POOL, config=config, warmup=1, rate=3e-3)


def load(folder):
    from transformers import AutoModel, AutoModelForCausalLM

    config = json.loads((folder / "config.json").read_text())
    auto = AutoModelForCausalLM if config["architectures"][0].endswith("CausalLM") else AutoModel
    return auto.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)


@pytest.mark.parametrize("name", RECIPES)
def test_a_short_training_learns_is_saved_and_loads_whole(name, work, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 10)
    lines: list[str] = []
    progress = train_model(tiny(name, 40), tmp_path / name, work, lines.append, threads=1)
    (work / f"{name}.pt").unlink()
    assert progress.step == 40
    assert len(lines) == 4
    assert progress.losses[-1] < progress.losses[0]
    model, info = load(tmp_path / name)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert json.loads((tmp_path / name / "config.json").read_text())["dtype"] == "float16"
    assert (tmp_path / name / "model.safetensors").stat().st_mode & 0o044
    record = json.loads((tmp_path / name / "training.json").read_text())
    assert (record["steps"], record["seed"]) == (40, RECIPES[name].seed)


def test_training_again_gives_the_same_weights(work, tmp_path):
    for folder in ("one", "two"):
        train_model(tiny("mini-clip", 2), tmp_path / folder, work, lambda _: None, threads=1)
        (work / "mini-clip.pt").unlink()
    one, two = (dict(load(tmp_path / folder)[0].named_parameters()) for folder in ("one", "two"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_an_interrupted_training_ends_as_an_unbroken_one(work, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    recipe = tiny("mini-siglip", 4)
    train_model(recipe, tmp_path / "whole", work, lambda _: None, threads=1)
    (work / "mini-siglip.pt").unlink()

    def interrupt(line):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "LOG_EVERY", 3)
    with pytest.raises(KeyboardInterrupt):
        train_model(recipe, tmp_path / "broken", work, interrupt, threads=1)
    resumed = train_model(recipe, tmp_path / "broken", work, lambda _: None, threads=1)
    (work / "mini-siglip.pt").unlink()
    assert resumed.step == 4
    one, two = (dict(load(tmp_path / folder)[0].named_parameters()) for folder in ("whole", "broken"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_pool_is_the_training_drawings_in_order(tmp_path):
    pixels = pool(3, tmp_path, workers=1)
    assert pixels.shape == (3, 112, 112, 3)
    assert all(np.array_equal(pixels[i], Drawings().pixels(i)) for i in range(3))
    assert not list(tmp_path.glob("*.part"))


def test_training_drawings_are_none_of_the_others():
    held_out, sample_data = (
        {Synthetic(seed).description(t, i).wordings[0] for t in CYCLE[:3] for i in range(100)}
        for seed in (HELD_OUT_SEED, SAMPLE_DATA_SEED)
    )
    training = {Drawings().description(i).wordings[0] for i in range(1000)}
    assert not training & (held_out | sample_data)


def test_batches_are_fixed_by_seed_and_step_and_may_be_of_one_type():
    assert np.array_equal(batch_numbers(500, 32, 1, 7), batch_numbers(500, 32, 1, 7))
    assert not np.array_equal(batch_numbers(500, 32, 1, 7), batch_numbers(500, 32, 1, 8))
    assert len(set(batch_numbers(500, 32, 1, 7))) == 32
    for step in range(5):
        assert len({CYCLE[i % 10] for i in batch_numbers(500, 32, 1, step, one_type=True)}) == 1


def test_documents_hold_two_wordings_and_three_answers():
    import random

    said = Drawings().description(0)
    text = document(said, random.Random(0))
    assert sum(wording in text for wording in said.wordings) == 2
    assert text.count("Answer:") == 3


def test_softmax_loss_of_perfect_and_of_flat_logits():
    assert softmax_loss(100 * torch.eye(5)).item() == pytest.approx(0, abs=1e-6)
    assert softmax_loss(torch.zeros(5, 5)).item() == pytest.approx(math.log(5))


def test_sigmoid_loss_follows_its_formula():
    logits = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    sigma = torch.sigmoid(torch.tensor([1.0, 2.0, -0.5, 3.0]))
    assert sigmoid_loss(logits).item() == pytest.approx(-sigma.log().sum().item() / 2)


def test_next_token_loss_ignores_padding():
    torch.manual_seed(0)
    logits, tokens = torch.randn(1, 4, 9), torch.tensor([[1, 2, 3, 0]])
    whole = next_token_loss(logits, tokens, torch.tensor([[1, 1, 1, 0]]))
    assert whole.item() == pytest.approx(functional.cross_entropy(logits[0, :2], tokens[0, 1:3]).item())


def test_a_whole_crop_is_the_image_and_crops_follow_their_generator():
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one, two = (crops(images, 16, 0.3, 1.0, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == (3, 3, 16, 16)
    flat = crops(torch.full((2, 3, 8, 8), 0.5), 8, 1.0, 1.0, torch.Generator().manual_seed(1))
    assert flat.std(dim=(1, 2, 3)).max() < 1e-6


def test_sinkhorn_shares_the_batch_among_the_prototypes():
    skewed = torch.randn(40, 8, generator=torch.Generator().manual_seed(0)) + torch.arange(8)
    shares = sinkhorn(skewed)
    assert shares.sum(1) == pytest.approx(torch.ones(40), abs=1e-5)
    assert shares.sum(0).max() < 2 * shares.sum(0).min()
    assert skewed.softmax(1).sum(0).max() > 20 * skewed.softmax(1).sum(0).min()


def test_koleo_is_smaller_for_features_that_spread():
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(20, 8, generator=generator)
    assert koleo(spread) < koleo(torch.ones(20, 8) + 0.01 * spread)


def test_recolouring_hides_the_colour_and_keeps_the_edges():
    image = torch.zeros(1, 3, 8, 8)
    image[:, :, :, 4:] = torch.tensor([1.0, -0.5, 0.3]).view(1, 3, 1, 1)
    weak, many = (
        recoloured(image.expand(64, -1, -1, -1), strength, torch.Generator().manual_seed(0))
        for strength in (0, 1)
    )
    assert many[:, :, 0, 0].std(0).min() > 3 * weak[:, :, 0, 0].std(0).max() > 0.2
    steps = (many[:, :, 0, 4] - many[:, :, 0, 3]).abs().amax(1)
    assert steps.min() > 0.1
    assert torch.equal(many[:, :, :, :4], many[:, :, :1, :1].expand(-1, -1, 8, 4))


@pytest.mark.parametrize("objective", ["softmax", "sigmoid", "distill"])
def test_normalised_pixels_are_what_the_processor_gives(objective):
    processor, pixels = image_processor(objective), Drawings().pixels(4)
    expected = processor(images=[Image.fromarray(pixels)], return_tensors="pt")["pixel_values"]
    assert torch.allclose(normalised(pixels[None], processor), expected, atol=1e-5)


@pytest.mark.parametrize("family", ["clip", "siglip", "llama", "qwen"])
def test_tokenizers_lose_nothing_and_frame_like_their_family(family, tmp_path):
    from transformers import AutoTokenizer

    texts = [wording for i in range(80) for wording in Drawings().description(i).wordings]
    train_tokenizer(texts, family, 77).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = 'A line chart titled "Ωmega – été", 3 lines.'
    tokens = tokenizer(text).input_ids
    assert tokenizer.decode(tokens, skip_special_tokens=True) == text
    assert (tokens[0] == tokenizer.bos_token_id) == (family in ("clip", "llama"))
    assert (tokens[-1] == tokenizer.eos_token_id) == (family in ("clip", "siglip"))
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert len(tokenizer) <= 2048


def test_learning_rate_warms_up_and_falls_to_nothing():
    recipe = dataclasses.replace(RECIPES["mini-clip"], steps=100, warmup=10, rate=1.0)
    rates = [loop.learning_rate(recipe, step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3


def test_an_unknown_model_is_answered_with_the_closest():
    with pytest.raises(UnknownNameError, match="Did you mean 'mini-clip'"):
        recipe_of("mini-clp")
