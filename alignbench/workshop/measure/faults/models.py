"""What happens when mutated model files are loaded and used, each in a separate process.

The checkpoints are tiny ones of real architectures. A third of the mutations change JSON (configuration,
tokenizer, processor), a third change the weights, and the rest are situations that random changes do not
produce: pipes in place of files, sizes beyond any machine, weights of another model.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from alignbench.workshop.measure.faults.mutate import DEEP, VALUES, mutated_bytes, mutated_json
from alignbench.workshop.measure.faults.tally import Tally
from alignbench.workshop.measure.faults.trial import isolated

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping

LIMIT = 120  # seconds for one model, on a machine that does other things
_SIZES: Final = ("num_hidden_layers", "hidden_size", "vocab_size", "num_attention_heads", "intermediate_size")


def measure(options: argparse.Namespace) -> Iterator[Tally]:
    """Load mutated checkpoints and embed with them."""
    import torch

    torch.set_num_threads(1)  # a forked process does not inherit its parent's threads
    warnings.simplefilter("ignore")
    tally = Tally("model files")
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as place:
        os.environ["ALIGNBENCH_CACHE"] = str(Path(place) / "cache")
        os.environ["HF_HUB_OFFLINE"] = "1"
        whole = _checkpoints(Path(place) / "whole")
        for number in range(options.mutations):
            name = list(whole)[number % len(whole)]
            folder = Path(place) / f"{number}-{name}"
            shutil.copytree(whole[name], folder)
            what = _MUTATIONS[number // len(whole) % len(_MUTATIONS)](folder, rng)
            outcome, message = isolated(partial(_use, name, folder), LIMIT)
            tally.inputs += 1
            tally.add(outcome, f"{name}, {what}: {message}")
            shutil.rmtree(folder)
    yield tally


def _checkpoints(place: Path) -> dict[str, Path]:
    """Make the intact checkpoints: two encoders, two LLMs and a GGUF file."""
    from alignbench.tests import tiny_gguf, tiny_models

    makers: Mapping[str, Callable[[Path], Path]] = {
        "clip": tiny_models.clip,
        "dinov2": tiny_models.dinov2,
        "llama": tiny_models.llama,
        "qwen2": tiny_models.qwen2,
        "gguf": tiny_gguf.folder_with_gguf,
    }
    return {name: make(place / name) for name, make in makers.items()}


def _use(name: str, folder: Path) -> None:
    """Load a checkpoint and embed with it; if it yields vectors that are not finite, we accepted too much."""
    from alignbench import encoders, llms
    from alignbench.tests.tiny_models import TEXTS, images

    if name in {"clip", "dinov2"}:
        encoder = encoders.resolve(str(folder))
        encoder.load("cpu", "float32")
        vectors, n = encoder.embed(images()), len(images())
    else:
        llm = llms.resolve(f"gguf:{folder / 'model.gguf'}" if name == "gguf" else str(folder))
        llm.load("cpu", "float32")
        vectors, n = llm.embed(TEXTS), len(TEXTS)
    if len(vectors) != n or not np.isfinite(vectors).all():
        raise AssertionError(f"accepted, with vectors of shape {vectors.shape} that are not all finite")


def _json_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json")) or [folder / "config.json"]


def _read(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = {"model_type": "llama"}  # for a folder that has only a GGUF file
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else config


def _removed(folder: Path, rng: random.Random) -> Path:
    """Remove one of the model's files, and return its path."""
    path = rng.choice([_weights(folder), *_json_files(folder)])
    path.unlink(missing_ok=True)
    return path


def _mutated_json(folder: Path, rng: random.Random) -> str:
    path = rng.choice(_json_files(folder))
    path.write_text(mutated_json(_read(path), rng), encoding="utf-8")
    return f"values of {path.name}"


def _mutated_config(folder: Path, rng: random.Random) -> str:
    config = _read(folder / "config.json")
    key = rng.choice(sorted(config))
    config[key] = rng.choice(VALUES)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return f"{key} = {str(config[key])[:40]!r}"


def _mutated_text(folder: Path, rng: random.Random) -> str:
    path = rng.choice(_json_files(folder))
    data = path.read_bytes() if path.is_file() else b'{"model_type": "llama"}'
    path.write_bytes(mutated_bytes(data, rng))
    return f"bytes of {path.name}"


def _weights(folder: Path) -> Path:
    return next(iter([*folder.glob("*.safetensors"), *folder.glob("*.gguf")]))


def _mutated_weights(folder: Path, rng: random.Random) -> str:
    path = _weights(folder)
    data = path.read_bytes()
    head = rng.choice((64, 512, 4096))
    path.write_bytes(mutated_bytes(data[:head], rng) + data[head:])
    return f"the first {head} bytes of {path.name}"


def _cut_weights(folder: Path, rng: random.Random) -> str:
    path = _weights(folder)
    data = path.read_bytes()
    at = rng.randrange(len(data))
    path.write_bytes(data[:at])
    return f"{path.name} cut after {at} bytes"


def _lying_header(folder: Path, rng: random.Random) -> str:
    path = _weights(folder)
    data = path.read_bytes()
    length = rng.choice((0, 1, 2**31, 2**40, 2**63, len(data)))
    at = 0 if path.suffix == ".safetensors" else rng.choice((8, 16))  # GGUF: counts of tensors and of values
    path.write_bytes(data[:at] + struct.pack("<Q", length) + data[at + 8 :])
    return f"{path.name} says {length} at byte {at}"


def _absurd_size(folder: Path, rng: random.Random) -> str:
    config = _read(folder / "config.json")
    holder = rng.choice([config, *[part for part in config.values() if isinstance(part, dict)]])
    key, size = rng.choice(_SIZES), rng.choice((10**6, 10**9, 10**15, -3, 0))
    holder[key] = size
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return f"{key} = {size}"


def _pipe(folder: Path, rng: random.Random) -> str:
    path = _removed(folder, rng)
    os.mkfifo(path)
    return f"a pipe as {path.name}"


def _folder_for_file(folder: Path, rng: random.Random) -> str:
    path = _removed(folder, rng)
    path.mkdir()
    return f"a folder as {path.name}"


def _deep(folder: Path, rng: random.Random) -> str:
    path = rng.choice(_json_files(folder))
    path.write_text('{"a":' * DEEP + "0" + "}" * DEEP, encoding="utf-8")
    return f"{path.name} nested {DEEP:,} deep"


def _quantized(folder: Path, rng: random.Random) -> str:
    config = _read(folder / "config.json")
    method = rng.choice(("awq", "gptq", "fp8", "bitsandbytes", "mxfp4", "compressed-tensors", "unheard-of"))
    config["quantization_config"] = {"quant_method": method, "bits": 4, "group_size": 128}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return f"quantized by {method}"


def _missing_file(folder: Path, rng: random.Random) -> str:
    path = rng.choice(sorted(p for p in folder.iterdir() if p.is_file()))
    path.unlink()
    return f"without {path.name}"


_MUTATIONS: Final[tuple[Callable[[Path, random.Random], str], ...]] = (
    _mutated_json,
    _mutated_config,
    _mutated_weights,
    _cut_weights,
    _lying_header,
    _absurd_size,
    _pipe,
    _mutated_text,
    _deep,
    _quantized,
    _folder_for_file,
    _missing_file,
)
