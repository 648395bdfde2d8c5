"""What is timed, and the scores that come of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors import safe_open

from alignbench import encoders, llms
from alignbench.experiments.speed import works as speed
from alignbench.experiments.speed.rounds import Timing
from alignbench.metrics import METRICS
from alignbench.paths import models_dir
from alignbench.tests.embed_fakes import FakeEncoder, FakeLLM, OnlyEmbed, drawings
from alignbench.weights.custom import Custom

if TYPE_CHECKING:
    from alignbench.experiments.speed.works import Work
    from alignbench.types import Score

TIMING = Timing((0.02, 0.04, 0.03), warmups=3, calls=2, repeated=1, others=0.05, cores=2)


def called(work: Work) -> Any:
    assert work.call is not None
    return work.call()


def scores(work: Work, timing: Timing = TIMING) -> dict[str, Score]:
    return {score.metric: score for score in speed.timing_scores(work, timing, device="cpu", threads=1)}


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_an_encoder_is_timed_on_batches_of_that_size_without_preprocessing(batch_size: int) -> None:
    encoder = FakeEncoder(loads=1)
    work = speed.encoding(encoder, drawings(5), batch_size)
    prepared = encoder.prepared
    assert len(called(work)) == batch_size
    assert encoder.prepared == prepared
    found = scores(work)
    assert found["latency_ms"].value == pytest.approx(30.0)
    assert found["throughput"].value == pytest.approx(batch_size / 0.03)
    assert found["throughput"].unit == "images/s"
    assert found["throughput"].params["q1"] == pytest.approx(batch_size / 0.035)
    assert found["throughput"].params["q3"] == pytest.approx(batch_size / 0.025)
    rates = np.array([batch_size / 0.02, batch_size / 0.04, batch_size / 0.03])
    assert found["throughput"].params["std"] == pytest.approx(rates.std(ddof=1))
    assert found["latency_ms"].params["std"] == pytest.approx(10.0)
    once = scores(work, Timing((0.02,)))
    assert once["latency_ms"].params["std"] is once["throughput"].params["std"] is None
    assert found["throughput"].higher_is_better
    assert not found["latency_ms"].higher_is_better
    assert {score.params["at"]["batch_size"] for score in found.values()} == {batch_size}
    assert {score.encoder for score in found.values()} == {"fake"}


def test_an_object_that_only_embeds_is_timed_as_it_is_and_has_no_preprocessing() -> None:
    model = OnlyEmbed()
    custom = Custom(model, "mine", "vision")
    assert len(called(speed.encoding(custom, drawings(4), 4))) == 4
    apart = speed.preprocessing(custom, drawings(4))
    assert apart.call is None
    score = speed.not_timed(apart)
    assert score.status == "not_applicable"
    assert "mine preprocesses inside embed()" in str(score.reason)


def test_decoding_and_preprocessing_are_given_an_image() -> None:
    encoder = FakeEncoder(loads=1)
    for work in (speed.decoding(drawings(4)), speed.preprocessing(encoder, drawings(4))):
        assert len(called(work)) == 4
        [score] = scores(work).values()
        assert score.value == pytest.approx(30.0 / 4)
        assert score.unit == "ms/image"
        assert score.params["q1"] == pytest.approx(25.0 / 4)
        assert score.params["q3"] == pytest.approx(35.0 / 4)


def test_images_are_taken_from_all_of_the_data() -> None:
    dataset = drawings(64)
    chosen = {sample.id for sample in speed._spread(dataset.samples, speed.IMAGES)}
    assert len(chosen) == speed.IMAGES
    assert {dataset.samples[0].id, dataset.samples[-1].id} <= chosen


def test_an_llm_is_timed_with_its_tokenizer_and_counts_tokens_without_padding() -> None:
    dataset = drawings(5)
    llm = FakeLLM()
    work = speed.embedding_texts(llm, dataset)
    tokens = sum(len(of) for of in llm.tokenize([sample.text for sample in dataset.samples]))
    assert sum(len(vectors) for vectors in called(work)) == 5
    found = scores(work)
    assert found["throughput"].value == pytest.approx(5 / 0.03)
    assert found["token_throughput"].value == pytest.approx(tokens / 0.03)
    assert found["latency_ms"].llm == "fake-llm"


def test_an_llm_that_only_embeds_has_no_tokens() -> None:
    assert "token_throughput" not in scores(
        speed.embedding_texts(Custom(OnlyEmbed(), "mine", "text"), drawings(3))
    )


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_can_be_timed(name: str) -> None:
    work = speed.scoring(name, 100)
    assert np.isfinite(called(work))
    assert work.parts == {}
    [score] = scores(work).values()
    assert (score.encoder, score.llm, score.dataset) == (None, None, "synthetic")
    assert score.params["at"] == {"metric": name, "n": 100}


def test_synthetic_embeddings_are_aligned_and_always_the_same() -> None:
    assert called(speed.scoring("linear_cka", 1000)) == called(speed.scoring("linear_cka", 1000))
    x, y, labels = speed.synthetic(1000)
    assert 0.3 < METRICS.get("linear_cka")(x, y) < 0.95
    assert set(labels) == set(speed.TYPES)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0])
def test_what_a_metric_will_take_follows_from_its_parts(power: float) -> None:
    known = {n: (n / 5000) ** power for n in (100, 500, 1000)}
    assert speed.expected_seconds(5000, known) == pytest.approx(1.0)
    # A call's own cost counts for more in small ones: the two largest tell.
    assert speed.expected_seconds(5000, known | {100: 9.0}) == pytest.approx(1.0)


def test_a_part_that_took_less_than_the_smaller_one_makes_no_metric_cheap() -> None:
    assert speed.expected_seconds(5000, {500: 0.2, 1000: 0.1}) == pytest.approx(0.1)


def test_how_it_was_timed_goes_with_the_score() -> None:
    score = scores(speed.decoding(drawings(2)))["decode_ms"]
    assert score.params["rounds"] == 3
    assert score.params["warmups"] == 3
    assert score.params["repeated_rounds"] == 1
    assert score.params["load_by_others"] == pytest.approx(0.05)
    assert (score.params["device"], score.params["threads"]) == ("cpu", 1)
    assert score.flags == ()
    assert score.interval is None


def test_a_loaded_machine_is_flagged() -> None:
    loaded = Timing((0.02,), others=1.5, cores=2)
    assert scores(speed.decoding(drawings(2)), loaded)["decode_ms"].flags == ("busy",)


def test_memory_says_what_it_is_of() -> None:
    work = speed.encoding(FakeEncoder(loads=1), drawings(2), 2)
    assert speed.memory_score(work, 12.5, "cpu").params["of"] == "resident set growth"
    assert "weights included" in speed.memory_score(work, 12.5, "cuda:0").params["of"]
    assert "weights_mib" not in speed.memory_score(work, 12.5, "cpu").params
    assert speed.memory_score(replace(work, weights=3 * 2**19), 12.5, "cpu").params["weights_mib"] == 1.5
    unknown = speed.memory_score(work, None, "cpu")
    assert unknown.status == "not_applicable"
    assert "does not say" in str(unknown.reason)


@pytest.mark.parametrize("name", ["mini-dinov2", "mini-llama"])
def test_a_loaded_model_says_how_many_bytes_its_weights_take(name: str) -> None:
    model = (llms if name == "mini-llama" else encoders).resolve(name)
    file = models_dir() / name / "model.safetensors"
    with safe_open(file, "numpy") as stored:
        parameters = sum(int(np.prod(stored.get_slice(key).get_shape())) for key in stored.keys())  # noqa: SIM118
    assert model.weight_bytes == 0
    model.load("cpu", "float32")
    found = model.weight_bytes
    model.unload()
    assert found == pytest.approx(4 * parameters, rel=0.02)  # no head, and stored position ids
    assert model.weight_bytes == 0
