"""Whether a device computes what the CPU does: published shapes, built-in models, too little memory."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from alignbench.arrays import score_arrays
from alignbench.datasets import load_mixed
from alignbench.encoders import Encoder
from alignbench.encoders import resolve as resolve_encoder
from alignbench.errors import AlignbenchWarning
from alignbench.llms import resolve as resolve_llm
from alignbench.workshop.measure._embed_contenders import PinnedModel
from alignbench.workshop.measure._gpu_lab import smallest_cosine
from alignbench.workshop.measure._steps import Finding, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alignbench.workshop.measure._gpu_lab import Lab

LEAST_COSINE = 0.999
SAME = 1e-4
_SECTION = "Is it right? Smallest cosine to the CPU's float32 vectors, after centring"
# Estimated seconds of the CPU's vectors and both passes of the device, on 16 cores and an H100.
_SECONDS = {
    "clip-vit-l-14": 15,
    "siglip-so400m": 20,
    "dinov2-l": 15,
    "qwen2.5-1.5b": 25,
}
LARGE, LARGE_SECONDS = "qwen2.5-7b", 70
_MINI_ENCODERS, _MINI_LLMS = ("mini-clip", "mini-siglip", "mini-dinov2"), ("mini-llama", "mini-qwen")


def steps(lab: Lab) -> list[Step]:
    """Return the steps of this section; what only a GPU can do is not run elsewhere."""
    scale = 0.1 if lab.small else 1.0
    needs_cuda = "" if lab.on_cuda else "it needs a CUDA GPU"
    needs_bits = needs_cuda or ("" if find_spec("bitsandbytes") else "bitsandbytes is not installed")
    return [
        Step(_SECTION, "scores of the built-in models", scale * 20, partial(_scores, lab)),
        Step(_SECTION, "too little memory for a batch", scale * 10, partial(_shortage, lab)),
        *(
            Step(_SECTION, f"vectors of {name}", scale * seconds, partial(vectors, lab, name))
            for name, seconds in _SECONDS.items()
        ),
        Step(_SECTION, "4-bit weights", scale * 15, partial(_four_bits, lab), needs_bits),
    ]


def vectors(lab: Lab, name: str) -> Iterator[Finding]:
    """Compare a model's vectors with the CPU's in two arithmetics, and in batches with each item alone."""
    reference, items = lab.reference(name), lab.items(name)
    for dtype in ("float32", "bfloat16"):
        with lab.loaded(name, dtype) as model:
            found = lab.embedded(model, items, dtype)
            yield _close(f"{name}, {model.effective_dtype(lab.device, dtype)}", found, reference)
            if dtype == "float32":
                alone = lab.embedded(model, items, dtype, batch_size=1, max_tokens=1)
                what = "each text alone, without padding" if model.side == "text" else "each image alone"
                yield _close(f"{name}, {what}", alone, found)


def _close(what: str, found: Any, expected: Any) -> Finding:
    cosine = smallest_cosine(found, expected)
    return Finding(what, f"{cosine:.6f}", f">= {LEAST_COSINE}", cosine >= LEAST_COSINE, must=True)


def _scores(lab: Lab) -> Iterator[Finding]:
    data = load_mixed(lab.count(30, 6))
    groups = [sample.group for sample in data.samples]
    labels = [sample.data_type for sample in data.samples]
    by_device: list[dict[tuple[str, ...], float]] = []
    for device in ("cpu", lab.device):
        embed = partial(lab.embedded, items=data, dtype="float32", device=device)
        vision = {name: embed(resolve_encoder(name)) for name in _MINI_ENCODERS}
        text = {name: embed(resolve_llm(name)) for name in _MINI_LLMS}
        found = score_arrays(vision, text, labels, groups, permutations=19)
        by_device.append(
            {
                (score.metric, str(score.encoder), str(score.llm)): score.value
                for score in found.scores
                if score.value is not None
            }
        )
    cpu, other = by_device
    if cpu.keys() != other.keys():
        yield Finding("scores that exist", f"{len(cpu)} and {len(other)}", "the same", met=False, must=True)
        return
    worst = max(cpu, key=lambda key: abs(cpu[key] - other[key]))
    difference = abs(cpu[worst] - other[worst])
    measured = f"{difference:.1e} ({worst[0]})"
    yield Finding(
        f"{len(cpu)} scores of built-in models: largest difference",
        measured,
        f"<= {SAME}",
        difference <= SAME,
        must=True,
    )


def _four_bits(lab: Lab) -> Iterator[Finding]:
    name = "qwen2.5-1.5b"
    found = lab.embedded(lab.handle(name, quantization="4bit"), lab.items(name), "auto")
    cosine = smallest_cosine(found, lab.reference(name))
    finite = bool(np.isfinite(found).all())
    yield Finding(f"{name}, 4-bit weights", f"{cosine:.4f}", "finite", finite, must=True)


class _Narrow(PinnedModel):
    """A model whose device has memory for so many images: for a device whose memory can't be limited."""

    most = 3

    def forward(self, batch: Sequence[Any]) -> Any:
        """Return the model's vectors of a batch, unless it is too large."""
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("a limit of this measurement")
        assert isinstance(self._model, Encoder)
        return self._model.forward(batch)


def _shortage(lab: Lab) -> Iterator[Finding]:
    name = "clip-vit-l-14"
    photos = lab.photos(lab.count(64, 6))
    size = len(photos)
    with lab.loaded(name, "float32", None if lab.on_cuda else _Narrow) as model:
        expected = lab.embedded(model, photos, "float32", batch_size=_Narrow.most)
        room = model.footprint(lab.device, "float32", size // 3).batch
        with warnings.catch_warnings(record=True) as said, _limited(lab.device, room):
            warnings.simplefilter("always", AlignbenchWarning)
            found = lab.embedded(model, photos, "float32", batch_size=size)
    lines = [str(one.message) for one in said if "out of memory" in str(one.message)]
    yield Finding(
        "too little memory for a batch: warnings",
        lines[-1].partition(": ")[2] if lines else "none",
        "it says so",
        bool(lines),
        must=True,
    )
    yield _close("too little memory for a batch: vectors", found, expected)


@contextmanager
def _limited(device: str, more: int) -> Iterator[None]:
    """Leave this process so many bytes of a GPU beside what it has, by torch's own limit."""
    if not device.startswith("cuda"):
        yield
        return
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    share = (torch.cuda.memory_reserved(device) + more) / total
    torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
