"""Writes drawings as a data root: images and labels.jsonl in the messages format."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from alignbench.datasets.synthetic.source import SAMPLE_DATA_SEED, Synthetic

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.datasets.dataset import Sample


def write_sample_data(
    folder: Path, n_per_type: int = 30, seed: int = SAMPLE_DATA_SEED, family: str = "first"
) -> int:
    """Write `n_per_type` drawings of every type under `folder`, types by name; return how many there are."""
    source = Synthetic(seed, family=family)
    lines = []
    for data_type in sorted(source.types):
        (folder / "images" / data_type).mkdir(parents=True, exist_ok=True)
        for index in range(n_per_type):
            sample = source.sample(data_type, index)
            name = f"{data_type}_{index + 1:02d}"
            (folder / "images" / data_type / f"{name}.png").write_bytes(sample.image_bytes())
            lines.append(json.dumps(label(name, sample), ensure_ascii=False))
    (folder / "labels.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def label(name: str, sample: Sample) -> dict[str, Any]:
    """Return the line of labels.jsonl for `sample`, whose image is `<data type>/<name>.png`."""
    image = {"type": "image", "image": f"{sample.data_type}/{name}.png"}
    messages = [_message("user", sample.question, image), _message("assistant", sample.texts[0])]
    for question, answer in sample.exchanges:
        messages += [_message("user", question), _message("assistant", answer)]
    return {"id": name, "messages": messages, "wordings": list(sample.texts[1:])}


def _message(role: str, text: str, *more: dict[str, str]) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}, *more]}
