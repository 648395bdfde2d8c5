"""Speed: the time and memory that encoders, LLMs and metrics take, saved for later comparisons."""

import pytest

pytestmark = pytest.mark.speed


def test_decode(dataset, part, stopwatch):
    stopwatch(part.work(dataset))


def test_preprocess(timed_encoder, dataset, part, stopwatch):
    stopwatch(part.work(timed_encoder, dataset))


def test_encode(timed_encoder, batch_size, dataset, part, stopwatch):
    stopwatch(part.work(timed_encoder, dataset, batch_size=batch_size))


def test_embed_texts(timed_llm, dataset, part, stopwatch):
    stopwatch(part.work(timed_llm, dataset))


def test_metric(metric, n, part, stopwatch):
    stopwatch(part.work(metric=metric, n=n))
