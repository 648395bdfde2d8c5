"""Speed: what encoders, LLMs and metrics take in time and memory; saved, and compared on demand."""

import pytest

from alignbench.experiments.speed import works as speed
from alignbench.metrics import METRICS

pytestmark = [pytest.mark.speed, pytest.mark.all]


def test_decode(dataset, stopwatch):
    stopwatch(speed.decoding(dataset))


def test_preprocess(timed_encoder, dataset, stopwatch):
    stopwatch(speed.preprocessing(timed_encoder, dataset))


def test_encode(timed_encoder, batch_size, dataset, stopwatch):
    stopwatch(speed.encoding(timed_encoder, dataset, batch_size))


def test_embed_texts(timed_llm, dataset, stopwatch):
    stopwatch(speed.embedding_texts(timed_llm, dataset))


@pytest.mark.parametrize("n", speed.SIZES)
@pytest.mark.parametrize("metric", METRICS)
def test_metric(metric, n, stopwatch):
    stopwatch(speed.scoring(METRICS.get(metric), n))
