"""The model card of a built-in model, written from recorded and measured values, never by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

ABOUT = {
    "mini-clip": (
        "CLIPModel, an image and a text tower",
        "Softmax contrastive loss between drawings and their texts; every second batch is of a single type.",
    ),
    "mini-siglip": (
        "SiglipModel, an image and a text tower",
        "Sigmoid loss between drawings and their texts; every second batch is of a single type.",
    ),
    "mini-dinov2": (
        "Dinov2Model",
        "Self-distillation from images alone: an averaged teacher, recoloured crops of two sizes. "
        "Every second batch is of a single type; that is the only use of a label.",
    ),
    "mini-llama": (
        "LlamaForCausalLM",
        "Next token of the drawings' texts, questions and answers.",
    ),
    "mini-qwen": (
        "Qwen2ForCausalLM",
        "Next token of the drawings' texts, questions and answers.",
    ),
}
MEANINGS = {
    "image_to_text_r1": "image to text, recall@1 among 90",
    "text_to_image_r1": "text to image, recall@1 among 90",
    "chance": "chance of both",
    "chart_image_to_text_r1": "charts, image to text, recall@1 among 90",
    "table_image_to_text_r1": "tables, image to text, recall@1 among 90",
    "document_image_to_text_r1": "documents, image to text, recall@1 among 90",
    "type_knn": "type, accuracy of the 5 nearest of 450 (three types)",
    "chart_kind_knn": "kind of chart, accuracy of the 5 nearest of 400 (four kinds)",
    "random_vit_type_knn": "the same of random-vit, untrained: type",
    "random_vit_chart_kind_knn": "the same of random-vit, untrained: kind of chart",
    "perplexity": "perplexity per token of 360 wordings",
    "unigram_perplexity": "the same of a unigram model",
    "ratio": "their ratio",
    "same_drawing_r1": "two wordings of a drawing find each other among 90 by mean-pooled states",
}
CARD = """---
license: apache-2.0
---

# {name}

{what}, {parameters:.1f} million parameters, fp16.
Trained from scratch on drawings by `alignbench.datasets.synthetic`; it knows nothing else.
It is there so that alignbench runs without a network, and says nothing about large models.

| training | |
|---|---|
| objective | {objective} |
| data | {drawings:,} drawings of the training seed (no drawing of sample_data, none of the held-out seed) |
| steps | {steps:,} of {batch} samples |
| seed | {seed} |
| time | {minutes:g} minutes with {threads} torch thread(s), on 2 cores that others were using, too |
| loss | {first_loss:g} at first, {last_loss:g} at last |{note}

| on held-out drawings | |
|---|---|
{results}

Made by `python -m alignbench.zoo train {name}`, measured by `python -m alignbench.zoo check {name}`.
"""


def write_card(folder: Path) -> None:
    """Write README.md of the model in `folder` from its training.json and results.json."""
    training = _read(folder / "training.json")
    results = _read(folder / "results.json")
    what, objective = ABOUT[training["name"]]
    facts = {
        **training,
        "what": what,
        "objective": objective,
        "parameters": training["parameters"] / 1e6,
        "note": f"\n| note | {training['note']} |" if "note" in training else "",
        "results": "\n".join(f"| {MEANINGS[name]} | {value:.3g} |" for name, value in results.items()),
    }
    (folder / "README.md").write_text(CARD.format(**facts), encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return plain
