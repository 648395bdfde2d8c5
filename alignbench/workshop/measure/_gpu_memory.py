"""How much memory embedding takes at its peak, against what the plan says."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from alignbench.embed import Embedder, EmbeddingStore
from alignbench.units import size_text
from alignbench.workshop.measure import _embed_inputs as inputs
from alignbench.workshop.measure._allocated import peak_of
from alignbench.workshop.measure._steps import Finding, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alignbench.workshop.measure._gpu_lab import Lab

WITHIN = 0.2
_SECTION = "Is the plan's memory right? Weights and the largest batch"
_SECONDS = {
    "clip-vit-l-14": 6,
    "siglip-so400m": 8,
    "dinov2-l": 6,
    "qwen2.5-1.5b": 10,
}
LARGE_SECONDS = 30


def steps(lab: Lab) -> list[Step]:
    """Return the steps of this section."""
    scale = 0.2 if lab.small else 1.0
    return [
        Step(_SECTION, f"memory of {name}", scale * seconds, partial(peak, lab, name))
        for name, seconds in _SECONDS.items()
    ]


def peak(lab: Lab, name: str) -> Iterator[Finding]:
    """Compare the memory of a model's weights and largest batch with what the plan says."""
    embedder = Embedder(EmbeddingStore(), lab.device, "auto")
    footprint = embedder.footprint(lab.handle(name))
    assert footprint is not None
    with lab.loaded(name) as model:
        if model.side == "text":
            longest = max(model.tokenize(inputs.texts(32)), key=len)
            full = [longest] * (embedder.max_tokens // len(longest))
            added = peak_of(partial(model.forward, full), lab.device)
        else:
            photo = lab.photos(1).samples[0].open_image()
            batch = [model.preprocess(photo)] * embedder.batch_size
            # The next batch is on the device while one is computed.
            added = peak_of(lambda: (model.staged(batch), model.forward(model.staged(batch))), lab.device)
        weights = model.weight_bytes
    measured, expected = weights + added, footprint.total
    off = expected / measured - 1
    yield Finding(
        f"{name}: weights {size_text(weights)}, a batch {size_text(added)}; "
        f"the plan: {size_text(footprint.weights)} and {size_text(footprint.batch)}",
        f"{off:+.0%}",
        f"within {WITHIN:.0%}",
        abs(off) <= WITHIN,
    )
