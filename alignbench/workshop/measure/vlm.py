"""What small VLMs gain from the image: each encoder with one built-in LLM, as docs/vlm.md quotes it."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from alignbench import encoders, llms
from alignbench.datasets.catalog import DATASETS, load_dataset
from alignbench.embed.cache import EmbeddingStore
from alignbench.embed.embedder import Embedder
from alignbench.experiments.repeats import Repeats
from alignbench.experiments.vlm.result import REPEATS, VLMSettings
from alignbench.experiments.vlm.scores import train_vlm, vlm_scores
from alignbench.findings.numbers import interval_text, probability

if TYPE_CHECKING:
    from alignbench.datasets import Dataset
    from alignbench.types import Score

DEFAULT = VLMSettings()
HEAD = "| encoder | own image | another | none | gain | p | within type | p | MIR | before | CPU s |"


def main(argv: list[str]) -> None:
    """Train a VLM of every encoder on drawn data, and print a row of Markdown for each."""
    options = _options(argv)
    data = load_dataset(options.data, n_per_type=options.n_samples, seed=options.seed)
    repeats = Repeats(options.seed, splits=options.splits, seeds=options.seeds, epochs=options.epochs)
    settings = VLMSettings(
        repeats=repeats,
        image_tokens=options.image_tokens,
        rate=options.rate,
        shrinkage=options.shrinkage or None,
    )
    print(f"{data.label}, {len(data.samples)} pairs, {options.llm}: {settings}\n\n{HEAD}\n|{'---|' * 11}")
    for name in options.encoders.split(","):
        print(_row(name, options.llm, data, settings), flush=True)


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure vlm", description=__doc__)
    parser.add_argument("--encoders", default="mini-clip,mini-siglip,random-vit", help="separated by commas")
    parser.add_argument("--llm", default="mini-llama", help="the LLM (mini-llama)")
    parser.add_argument("--data", choices=tuple(DATASETS), default="synthetic_lines", help="the data set")
    parser.add_argument("--n-samples", type=int, default=720, help="pairs of each data type (720)")
    parser.add_argument("--epochs", type=int, default=REPEATS.epochs, help=f"epochs ({REPEATS.epochs})")
    parser.add_argument("--splits", type=int, default=5, help="splits (5)")
    parser.add_argument(
        "--seeds", type=int, default=REPEATS.seeds, help=f"trainings a split ({REPEATS.seeds})"
    )
    parser.add_argument("--seed", type=int, default=42, help="of drawings, splits and weights (42)")
    parser.add_argument("--image-tokens", type=int, default=DEFAULT.image_tokens, help="tokens an image")
    parser.add_argument("--rate", type=float, default=DEFAULT.rate, help=f"learning rate ({DEFAULT.rate})")
    parser.add_argument(
        "--shrinkage",
        type=float,
        default=DEFAULT.shrinkage,
        help=f"of the whitening ({DEFAULT.shrinkage}); 0 does not whiten",
    )
    return parser.parse_args(argv)


def _row(name: str, llm_name: str, data: Dataset, settings: VLMSettings) -> str:
    encoder, llm = encoders.resolve(name), llms.resolve(llm_name).with_head()
    llm.load("cpu", "float32")
    patches = Embedder(EmbeddingStore()).patches(encoder, data)
    started = time.process_time()
    scores = vlm_scores(train_vlm(patches, data.samples, llm, settings, dataset=data.label))
    seconds = time.process_time() - started
    found = {score.metric: score for score in scores}
    perplexity, rate = found["caption_perplexity"], found["mir"]
    cells = [
        name,
        *(f"{value:.3f}" for value in (perplexity.value, *_others(perplexity))),
        *_gain(found["image_gain"]),
        *_gain(found["gain_within_type"]),
        f"{rate.value:.2f} [{interval_text(rate.interval)}]",
        "-" if rate.null is None else f"{rate.null.mean:.2f}",
        f"{seconds:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _others(perplexity: Score) -> tuple[float, float]:
    return perplexity.params["shuffled"], perplexity.params["no_image"]


def _gain(score: Score) -> tuple[str, str]:
    if score.value is None:
        return "-", "-"
    p = None if score.null is None else score.null.p
    return f"{score.value:.3f} [{interval_text(score.interval)}]", probability(p)
