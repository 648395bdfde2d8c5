"""Speed: what encoders, LLMs and metrics take in time and memory; saved, and compared on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import Cost, Experiment, Part, Tab
from alignbench.experiments.speed import works
from alignbench.experiments.speed.works import Work
from alignbench.metrics import METRICS

if TYPE_CHECKING:
    from alignbench.datasets import Dataset
    from alignbench.encoders import Encoder
    from alignbench.experiments.base import Bench
    from alignbench.llms import LLM
    from alignbench.weights.custom import Custom


def decode(bench: Bench, dataset: Dataset) -> Work:
    """Return the decoding of images."""
    return works.decoding(dataset)


def preprocess(bench: Bench, encoder: Encoder | Custom, dataset: Dataset) -> Work:
    """Return what an encoder does to images before it looks at them."""
    return works.preprocessing(encoder, dataset)


def encode(bench: Bench, encoder: Encoder | Custom, dataset: Dataset, batch_size: int) -> Work:
    """Return a batch of images in the encoder."""
    return works.encoding(encoder, dataset, batch_size)


def embed_texts(bench: Bench, llm: LLM | Custom, dataset: Dataset) -> Work:
    """Return texts in the LLM."""
    return works.embedding_texts(llm, dataset)


def metric_of_rows(bench: Bench, metric: str, n: int) -> Work:
    """Return a metric of n rows."""
    return works.scoring(METRICS.get(metric), n)


EXPERIMENT = Experiment(
    "speed",
    "latency, throughput and memory of encoders, LLMs and metrics",
    (
        Part("decode", decode, of=("dataset",), timed=True),
        Part("preprocess", preprocess, of=("timed_encoder", "dataset"), cost=Cost(0.2), timed=True),
        Part(
            "encode",
            encode,
            of=("timed_encoder", "dataset"),
            sweep={"batch_size": "batch_sizes"},
            cost=Cost(0.3),
            timed=True,
        ),
        Part("embed_texts", embed_texts, of=("timed_llm", "dataset"), cost=Cost(0.4), timed=True),
        Part(
            "metric",
            metric_of_rows,
            of=(),
            sweep={"metric": METRICS.names, "n": works.SIZES},
            cost=Cost(0.09, asked=1.9),  # asked for, it times slow metrics and large n, too
            timed=True,
        ),
    ),
    options=("batch_sizes",),
    tab=Tab(
        "Inference Speed",
        "How long do images and texts take, by batch size, and how much memory?",
        controls=("llms", "data", "batch_sizes"),
    ),
    not_for_arrays="times metrics and models",
    measures={
        "latency_ms": "Median time of a batch in the model, without preparation of the images.",
        "throughput": "Images or texts per second.",
        "token_throughput": "Tokens per second.",
        "peak_memory": "Memory at its peak: on a CPU what a call adds, on CUDA all, weights included.",
        "preprocess_ms": "Time to make an image ready for the model.",
        "decode_ms": "Time to decode an image file.",
        "metric_ms": "Time to compute the metric's value, without null and interval.",
    },
    figures=("alignbench.experiments.speed.figures.dashboard",),
)

__all__ = ["EXPERIMENT", "Work"]
