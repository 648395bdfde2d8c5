"""The entrances for text, arrays and earlier runs, and how each is fed.

An entrance is a function of a scratch folder that returns a function, which feeds it one mutated input.
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from alignbench import paths
from alignbench.workshop.measure.faults.mutate import mutated_bytes, mutated_json

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Feed = Callable[[random.Random], object]

SPECS: Final = (
    "clip",
    "mine=hf:org/name@main",
    "./folder",
    "~user/x",
    "open_clip:ViT-B-32/laion2b_s34b_b79k",
    "timm:vit_tiny_patch16_224@w.safetensors",
    "npy:/a/b=c.npy",
    "gguf:model.gguf",
    "C:\\ckpt\\step",
    "https://example.org/org/name",
    "모델=siglip",
)
GATES: Final = ("linear_cka:0.02", "eas:5%,ncoral:1e-3", "mutual_knn:0.1%", "x:nan")
YAML: Final = b"""\
vision_encoders: {mine: org/name, other: ./folder}
llms:
  small: org/small
defaults: {encoders: [mini-clip, random-vit], llms: [mini-llama], n_samples: 12, seed: 3, device: cpu}
data_root: &root ~/data
data:
  chart: {labels: chart.jsonl, images: chart/images}
  table: {labels: table.jsonl, images: *root}
"""
LABELS: Final = "chart\ntable\ndocument\nchart\n도표\nx y\n".encode()


def jsonl(folder: Path) -> Feed:
    """Feed label files of images with texts to the dataset loader."""
    from alignbench.datasets import load_mixed

    shutil.copytree(paths.sample_data(), folder / "data", dirs_exist_ok=True)
    file = folder / "data" / "labels.jsonl"
    lines = file.read_bytes().splitlines()[::9]
    rows = [json.loads(line) for line in lines]

    def feed(rng: random.Random) -> object:
        texts = list(lines)
        for at in rng.sample(range(len(lines)), 3):
            texts[at] = mutated_json(rows[at], rng).encode("utf-8", "surrogatepass")
        data = b"\n".join(texts)
        file.write_bytes(mutated_bytes(data, rng) if rng.random() < 0.5 else data)
        return load_mixed(None, root=folder / "data")

    return feed


def labels(folder: Path) -> Feed:
    """Feed files of labels and groups, as text and as .npy."""
    from alignbench.datasets.arrays import read_groups, read_labels

    arrays = [np.array(["a", "b", "c"]), np.arange(6), np.array([b"a", b"b"]), np.array([1.0, np.nan])]

    def feed(rng: random.Random) -> object:
        path = folder / rng.choice(("labels.txt", "labels.npy"))
        if path.suffix == ".npy":
            np.save(path, rng.choice(arrays))
            path.write_bytes(mutated_bytes(path.read_bytes(), rng))
        else:
            path.write_bytes(mutated_bytes(LABELS, rng))
        return rng.choice((read_labels, read_groups))(path, rng.choice((3, 6)))

    return feed


def npy(folder: Path) -> Feed:
    """Feed .npy files as embeddings."""
    from alignbench.weights.arrays import ArrayFile

    path = folder / "x.npy"
    kinds = ("float32", "float64", "float16", ">f8", "int8", "complex64", "bool", "U3", "datetime64[s]")

    def feed(rng: random.Random) -> object:
        shape = rng.choice(((12, 4), (12,), (0, 4), (3, 4, 1), ()))
        np.save(path, np.zeros(shape, dtype=rng.choice(kinds)))
        path.write_bytes(mutated_bytes(path.read_bytes(), rng))
        return ArrayFile(path, "x").values()

    return feed


def _mutated_text(choices: Sequence[str], rng: random.Random) -> str:
    return mutated_bytes(rng.choice(choices).encode(), rng)[:5000].decode("utf-8", "surrogateescape")


def specs(folder: Path) -> Feed:
    """Feed the values of --encoders and --llms."""
    from alignbench import encoders, llms

    def feed(rng: random.Random) -> object:
        text = _mutated_text(SPECS, rng)
        return rng.choice((encoders.resolve, llms.resolve))(text)

    return feed


def yaml(folder: Path) -> Feed:
    """Feed configuration files."""
    from alignbench.config import load_config

    path = folder / "alignbench.yaml"

    def feed(rng: random.Random) -> object:
        path.write_bytes(mutated_bytes(YAML, rng))
        return load_config(path)

    return feed


def gates(folder: Path) -> Feed:
    """Feed tolerances of metrics."""
    from alignbench.findings import parse_gates

    def feed(rng: random.Random) -> object:
        return parse_gates(_mutated_text(GATES, rng), "--fail")

    return feed


def _runs(folder: Path, arguments: Callable[[Path, Path], list[str]]) -> Feed:
    """Feed the scores.json of a small run to a command."""
    from alignbench.cli.main import main
    from alignbench.workshop.measure._suite import workplace

    before, after = folder / "before", folder / "after"
    with workplace() as place:
        place.run("-m", "cka", "--encoders=mini-clip,random-vit", "--align-permutations=99", "--n-samples=6")
        run = (place.root / "reports" / "latest").resolve()
        shutil.copytree(run, before)
        shutil.copytree(run, after)
    whole = (before / "scores.json").read_bytes()
    parsed: Any = json.loads(whole)
    parsed["scores"] = parsed["scores"][:6]

    def feed(rng: random.Random) -> object:
        file = rng.choice((before, after)) / "scores.json"
        file.write_bytes(
            mutated_json(parsed, rng).encode() if rng.random() < 0.7 else mutated_bytes(whole, rng)
        )
        try:
            status = main(arguments(before, after))
        finally:
            file.write_bytes(whole)
        if status:
            raise SystemExit(status)
        return status

    return feed


diff = partial(_runs, arguments=lambda before, after: ["diff", str(before), str(after)])
report = partial(_runs, arguments=lambda before, after: ["report", str(before)])

ENTRANCES: Final[dict[str, Callable[[Path], Feed]]] = {
    "jsonl": jsonl,
    "labels": labels,
    "npy": npy,
    "specs": specs,
    "yaml": yaml,
    "gates": gates,
    "diff": diff,
    "report": report,
}
