"""The A score, modality integration and the gain within a type, against independent implementations."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from alignbench.errors import DegenerateError
from alignbench.experiments.vlm.control import gain_within, mean_shuffled, shuffled_nulls
from alignbench.experiments.vlm.integration import frechet_distance, modality_integration_rate
from alignbench.experiments.vlm.scores import plan_jobs, train_vlm, vlm_scores
from alignbench.experiments.vlm.training import standardised, whitened
from alignbench.projectors.architectures import build
from alignbench.tests.test_vlm import SETTINGS, llm, patches, samples, scored, settings_with

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

__all__ = ["llm"]
pytestmark = pytest.mark.usefixtures("one_torch_thread")


def textbook_distance(x: Matrix, y: Matrix) -> float:
    """The Fréchet distance of two normal distributions, with scipy's root of the product of covariances."""
    a, b = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
    root = np.real(np.asarray(sqrtm(a @ b), dtype=complex))
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(a + b - 2 * root))


def naive_rate(layers: list[tuple[Matrix, Matrix]]) -> float:
    """The rate as the paper's code computes it, token by token."""
    total = 0.0
    for image, text in layers:
        scale = 1 / np.mean([math.sqrt(float(token @ token)) for token in text])
        sides = []
        for tokens in (image * scale, text * scale):
            lengths = [math.sqrt(float(token @ token)) for token in tokens]
            middle = sorted(lengths)[(len(lengths) - 1) // 2]  # torch's median, the lower of two
            spread = float(np.std(lengths, ddof=1))
            median = np.sort(tokens, axis=0)[(len(tokens) - 1) // 2]
            kept = [
                median if abs(length - middle) > 3 * spread else token
                for token, length in zip(tokens, lengths, strict=True)
            ]
            sides.append(np.asarray(kept))
        total += textbook_distance(*sides)
    return math.log10(total)


def drawn(rows: int, width: int, seed: int = 0) -> Matrix:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, width)) @ rng.standard_normal((width, width)) + rng.standard_normal(
        width
    )


@pytest.mark.parametrize(("n", "m", "width"), [(40, 60, 5), (9, 50, 9), (300, 30, 20)])
def test_the_distance_is_scipys(n: int, m: int, width: int) -> None:
    x, y = drawn(n, width), drawn(m, width, 1)
    ours = frechet_distance(torch.from_numpy(x), torch.from_numpy(y))
    assert ours == pytest.approx(textbook_distance(x, y), rel=1e-6)


def test_the_distance_of_one_dimension_is_that_of_means_and_deviations() -> None:
    x, y = drawn(20, 1), drawn(30, 1, 1)
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(expected)


def test_fewer_tokens_than_dimensions_are_no_trouble() -> None:
    # Covariances of rank 3 in 64 dimensions: scipy's root warns and is wrong there, factors are not.
    x = drawn(4, 64)
    assert frechet_distance(torch.from_numpy(x), torch.from_numpy(x)) == pytest.approx(0, abs=1e-9)
    moved = frechet_distance(torch.from_numpy(x), torch.from_numpy(x + 1))
    assert moved == pytest.approx(64)
    turned = np.linalg.qr(drawn(64, 64, 2))[0]
    one, other = x, drawn(6, 64, 1)
    before = frechet_distance(torch.from_numpy(one), torch.from_numpy(other))
    after = frechet_distance(torch.from_numpy(one @ turned), torch.from_numpy(other @ turned))
    assert after == pytest.approx(before)


def test_the_rate_is_the_papers_with_outliers_on_both_sides() -> None:
    layers = []
    for seed in range(3):
        image, text = drawn(50, 6, seed), drawn(80, 6, seed + 9)
        image[7] *= 40
        text[[3, 60]] *= 55
        layers.append((image, text))
    rate = modality_integration_rate((torch.from_numpy(a), torch.from_numpy(b)) for a, b in layers)
    assert rate == pytest.approx(naive_rate(layers), rel=1e-6)


def test_a_stray_image_token_hardly_moves_the_rate() -> None:
    image, text = drawn(200, 6), drawn(200, 6, 1)
    clean = modality_integration_rate([(torch.from_numpy(image), torch.from_numpy(text))])
    image[7] *= 1000
    stray = modality_integration_rate([(torch.from_numpy(image), torch.from_numpy(text))])
    assert stray == pytest.approx(clean, abs=0.05)


def test_the_rate_does_not_depend_on_the_scale_of_both_sides() -> None:
    layers = [(torch.from_numpy(drawn(20, 4)), torch.from_numpy(drawn(30, 4, 1)))]
    scaled = [(100 * image, 100 * text) for image, text in layers]
    assert modality_integration_rate(scaled) == pytest.approx(modality_integration_rate(layers))


@pytest.mark.parametrize(
    ("image", "text", "why"),
    [
        (np.ones((1, 3)), drawn(5, 3), "at least 2 tokens of each side, got 1 and 5"),
        (drawn(5, 3), np.zeros((5, 3)), "not finite, or 0 for all text"),
        (np.full((5, 3), np.nan), drawn(5, 3), "not finite"),
        (np.ones((5, 3)), np.ones((5, 3)), "are the same"),
    ],
)
def test_a_rate_that_does_not_exist_says_why(image: Matrix, text: Matrix, why: str) -> None:
    with pytest.raises(DegenerateError, match=why):
        modality_integration_rate([(torch.from_numpy(image), torch.from_numpy(text))])


@pytest.mark.parametrize("tokens", [1, 4])
def test_the_rate_before_training_is_that_of_states_computed_one_by_one(llm: Any, tokens: int) -> None:
    settings = settings_with(epochs=1, splits=1, image_tokens=tokens)
    rows, decoder, vision = samples(), llm.decoder, patches()
    job = plan_jobs(rows, settings)[0]
    trained = train_vlm(vision, rows, llm, settings, dataset="d@1").trained[0]
    x = vision.values if tokens == 4 else vision.values.mean(axis=1, keepdims=True)
    x = whitened(x, job.train, 0.3)
    projector = build("linear", 8, decoder.width, job.seed)
    images: list[Any] = []
    texts: list[Any] = []
    for row in job.test:
        with torch.no_grad():
            image = projector(torch.from_numpy(standardised(x, job.train))[row]) * decoder.scale
            rest = decoder.vectors([*decoder.ids("\n"), *decoder.ids(rows[row].texts[0])])
            start = decoder.vectors([*decoder.start]) if decoder.start else rest[:0]
            inputs = torch.cat([start, image, rest])[None]
            layers = decoder.model(inputs_embeds=inputs, output_hidden_states=True).hidden_states[1:]
        first = len(start)
        images.append([layer[0, first : first + tokens].numpy() for layer in layers])
        texts.append([layer[0, first + tokens :].numpy() for layer in layers])
    of_layers = [
        (np.concatenate(a).astype(np.float64), np.concatenate(b).astype(np.float64))
        for a, b in zip(zip(*images, strict=True), zip(*texts, strict=True), strict=True)
    ]
    assert trained.untrained_integration == pytest.approx(naive_rate(of_layers), abs=1e-4)
    assert trained.integration != trained.untrained_integration


@pytest.mark.slow
def test_a_score_is_minus_the_log_of_the_perplexity(llm: Any) -> None:
    found = scored(llm, patches(), settings_with(epochs=2))
    perplexity, score = found["caption_perplexity"], found["a_score"]
    assert score.value == pytest.approx(-math.log(perplexity.value))
    assert score.interval.low == pytest.approx(-math.log(perplexity.interval.high))
    assert score.interval.high == pytest.approx(-math.log(perplexity.interval.low))
    assert score.null.mean == pytest.approx(-math.log(perplexity.null.mean))
    assert score.params["no_image"] == pytest.approx(-math.log(perplexity.params["no_image"]))
    assert score.higher_is_better


@pytest.mark.slow
def test_the_rate_is_reported_beside_that_of_untrained_projectors(llm: Any) -> None:
    found = scored(llm, patches(), settings_with(epochs=2, seeds=2))
    score, trained = found["mir"], found["result"].trained
    assert score.value == pytest.approx(np.mean([one.integration for one in trained]))
    assert score.null.mean == pytest.approx(np.mean([one.untrained_integration for one in trained]))
    assert score.interval.low < score.value < score.interval.high
    assert len(score.repeats) == 4
    assert not score.higher_is_better
    result = found["result"]
    broken = replace(result, trained=(replace(trained[0], integration=math.nan), *trained[1:]))
    lost = next(one for one in vlm_scores(broken) if one.metric == "mir")
    assert (lost.status, lost.value) == ("not_applicable", None)
    assert "not finite" in str(lost.reason)


def test_the_gain_within_a_type_is_a_mean_over_images_of_that_type() -> None:
    types, blocks = np.asarray(["a", "a", "b", "a"]), np.asarray([0, 0, 0, 1])
    losses = np.asarray(
        [[1.0, 4.0, 9.0, np.nan], [5.0, 2.0, 9.0, np.nan], [9, 9, 3, np.nan], [np.nan] * 3 + [7]]
    )
    tokens = np.asarray([2.0, 3.0, 100.0, 100.0])
    assert gain_within(losses, tokens, blocks, types) == pytest.approx((3 + 3) / 5)
    assert gain_within(losses[2:, 2:], tokens[2:], blocks[2:], types[2:]) is None
    null = shuffled_nulls(losses[:3, :3], tokens[:3], blocks[:3], types[:3], 9, np.random.default_rng(0))
    assert null.within_mean == pytest.approx(6 / 5)


def test_of_a_single_type_the_gain_within_it_is_the_gain_with_the_same_p() -> None:
    rng = np.random.default_rng(2)
    blocks, tokens = np.repeat([0, 1], 5), rng.integers(5, 9, 10).astype(float)
    losses = rng.uniform(1, 2, (10, 10)) - 0.2 * np.eye(10)
    losses[blocks[:, None] != blocks] = np.nan
    same = np.repeat("line", 10)
    null = shuffled_nulls(losses, tokens, blocks, same, 99, np.random.default_rng(0))
    gain = mean_shuffled(losses, tokens) - np.trace(losses) / tokens.sum()
    assert null.within_mean == pytest.approx(gain, abs=1e-12)
    assert null.within_p == null.p
    mixed = np.where(np.arange(10) < 3, "line", "bar")  # the first block has both
    other = shuffled_nulls(losses, tokens, blocks, mixed, 99, np.random.default_rng(0))
    assert other.p == null.p
    assert other.within_p != other.p


@pytest.mark.slow
def test_what_the_type_tells_is_no_gain_within_it(llm: Any) -> None:
    typed = [replace(sample, data_type=("chart", "table")[i % 2]) for i, sample in enumerate(samples(100))]
    result = train_vlm(patches(100), typed, llm, SETTINGS, dataset="d@1")
    found = {score.metric: score for score in vlm_scores(result)}
    gain, within = found["image_gain"], found["gain_within_type"]
    assert gain.null is not None
    assert gain.null.p is not None
    assert gain.null.p <= 0.05
    assert within.value == pytest.approx(0, abs=0.02)
    assert within.null is not None
    assert within.null.p is not None
    assert within.null.p > 0.05


@pytest.mark.slow
def test_without_two_images_of_a_type_there_is_no_gain_within_it(llm: Any) -> None:
    alone = [replace(sample, data_type=f"type-{i}") for i, sample in enumerate(samples())]
    result = train_vlm(patches(), alone, llm, settings_with(epochs=1), dataset="d@1")
    found = next(score for score in vlm_scores(result) if score.metric == "gain_within_type")
    assert (found.status, found.value) == ("not_applicable", None)
    assert "use more samples" in str(found.reason)
