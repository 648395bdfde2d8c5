"""How fast a device embeds, against the model alone, sentence-transformers, a plain loop, torch.compile."""

from __future__ import annotations

import statistics
import time
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from alignbench.embed.batches import image_batches, threads_of
from alignbench.experiments.speed.machine import Machine
from alignbench.experiments.speed.rounds import Effort, measure
from alignbench.workshop.measure import _embed_contenders as contenders
from alignbench.workshop.measure import _embed_inputs as inputs
from alignbench.workshop.measure._gpu_lab import smallest_cosine
from alignbench.workshop.measure._race import race, ratios
from alignbench.workshop.measure._steps import Finding, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alignbench.workshop.measure._gpu_lab import Lab

OF_BOUND, OVER_OTHERS, OVER_PLAIN = 0.9, 1.5, 1.02
ROUNDS = 3
_BATCH = 32
_BUDGETS = (2048, 8192)  # tokens of a batch of texts
_SIZES = (16, 64)  # texts of a batch that are tried for the others
_SECTION = "Is it fast? Medians of rounds in turns"
_GATE = "Does the gate see it? Times between two CUDA events, or of the CPU's own clock"
_ENCODERS = ("clip-vit-l-14", "siglip-so400m", "dinov2-l")
_LLM = "qwen2.5-1.5b"
_COMPILED = "dinov2-l"  # its whole network is called, and not a part of it
_PLANTED = 1.3  # times as much work
_GATE_TOLERANCE = 0.1


def steps(lab: Lab) -> list[Step]:
    """Return the steps of this section."""
    scale = 0.2 if lab.small else 1.0
    no_cuda = "" if lab.on_cuda else "it needs a CUDA GPU: elsewhere, compiling takes longer than it saves"
    no_others = "" if find_spec("sentence_transformers") else "sentence-transformers is not installed"
    return [
        Step(_GATE, "the gate's clock", scale * 10, partial(_gate, lab)),
        *(
            Step(_SECTION, f"images of {name}", scale * 25, partial(_images, lab, name))
            for name in _ENCODERS[: 1 if lab.small else None]
        ),
        Step(_SECTION, "texts and a plain loop", scale * 35, partial(_texts, lab, plain=True)),
        Step(
            _SECTION,
            "texts and sentence-transformers",
            scale * 35,
            partial(_texts, lab, plain=False),
            no_others,
        ),
        Step(_SECTION, "torch.compile", 60, partial(_compiled, lab), no_cuda),
    ]


def _images(lab: Lab, name: str) -> Iterator[Finding]:
    photos = lab.photos(lab.count(1024, 8))
    threads = threads_of(lab.device)
    with lab.loaded(name) as model:
        started = time.perf_counter()
        batches = [
            batch
            for _, batch in image_batches(
                photos.samples, model.preprocess, _BATCH, model.staged, threads=threads
            )
        ]
        prepared = len(photos) / (time.perf_counter() - started)
        bound: Callable[[], Any] = lambda: [model.forward(batch) for batch in batches]  # noqa: E731
        ours = partial(lab.embedded, model, photos, "auto", batch_size=_BATCH)
        ours(), bound()
        rounds = race({"ours": ours, "bound": bound}, ROUNDS, calm=float("inf"))
        share = ratios(rounds, "bound", "ours", "wall").median
        rate = len(photos) / statistics.median(one.costs["ours"].wall for one in rounds)
    yield Finding(f"{name}: decoded and prepared alone, {threads} threads", f"{prepared:.0f} images/s")
    yield Finding(f"{name}: embedded from files", f"{rate:.0f} images/s")
    limit = "; the host is the limit" if share < OF_BOUND and prepared < 1.1 * rate / share else ""
    yield Finding(
        f"{name}: share of the model alone, its batches on the device",
        f"{share:.0%}{limit}",
        f">= {OF_BOUND:.0%}",
        share >= OF_BOUND,
    )


def _texts(lab: Lab, *, plain: bool) -> Iterator[Finding]:
    texts = inputs.texts(lab.count(4096, 12))
    lab.handle(_LLM)
    folder = lab.place / _LLM
    with lab.loaded(_LLM) as model:
        precision = model.precision(lab.device, "auto")
        other = contenders.plain_texts if plain else contenders.sentence_transformers_texts
        theirs = other(folder, texts, lab.device, precision)
        work: dict[str, Callable[[], Any]] = {
            f"ours, {budget} tokens a batch": partial(lab.embedded, model, texts, "auto", max_tokens=budget)
            for budget in (_BUDGETS if plain else _BUDGETS[:1])
        }
        name = "a plain sorted loop" if plain else "sentence-transformers"
        work |= {f"{name}, batches of {size}": partial(theirs, size) for size in _SIZES}
        vectors = {which: call() for which, call in work.items()}
        rounds = race(work, ROUNDS, calm=float("inf"))
    first = next(iter(work))
    for which in work:
        rate = len(texts) / statistics.median(one.costs[which].wall for one in rounds)
        agreement = smallest_cosine(vectors[which], vectors[first])
        yield Finding(f"{_LLM}: {which}", f"{rate:.0f} texts/s, cosine to ours {agreement:.4f}")
    others = [which for which in work if which.startswith(name)]
    gain = min(ratios(rounds, which, first, "wall").median for which in others)
    yield Finding(
        f"{_LLM}: how many times as fast as {name} at its best",
        f"{gain:.2f}",
        f">= {OVER_OTHERS}",
        gain >= OVER_OTHERS,
    )


def _compiled(lab: Lab) -> Iterator[Finding]:
    name = _COMPILED
    photos = lab.photos(_BATCH)
    with lab.loaded(name) as model:
        batch = model.staged([model.preprocess(sample.open_image()) for sample in photos.samples])
        plain = model.forward(batch)
        tower = model.running().model
        before = measure(lambda: model.forward(batch), Effort(seconds=3), Machine(lab.device)).median
        tower.model.compile()
        compiled = model.forward(batch)
        after = measure(lambda: model.forward(batch), Effort(seconds=3), Machine(lab.device)).median
    same = smallest_cosine(compiled, plain)
    pays = before / after >= OVER_PLAIN and same >= 1 - 1e-4
    verdict = "it pays" if pays else "it does not pay"
    yield Finding(
        f"{name}: torch.compile", f"{before / after:.2f} times as fast, cosine {same:.6f}: {verdict}"
    )


def _gate(lab: Lab) -> Iterator[Finding]:
    side = lab.count(4096, 192)
    matrix = torch.randn(side, side, device=lab.device)
    calls = 10
    machine = Machine(lab.device)

    def timed(times: int) -> float:
        def work() -> None:
            for _ in range(times):
                matrix @ matrix

        return measure(work, Effort(rounds=10, seconds=1), machine).median

    # In turns, since the clocks of a processor drift.
    works = (calls, calls, round(_PLANTED * calls))
    rounds = [[timed(times) for times in works] for _ in range(ROUNDS)]
    usual, again, slower = (statistics.median(of) for of in zip(*rounds, strict=True))
    for what, ratio, expected in (
        ("the same work again", again / usual, 1.0),
        (f"{_PLANTED} times as much work", slower / usual, _PLANTED),
    ):
        met = abs(ratio - expected) <= _GATE_TOLERANCE
        yield Finding(f"gate: {what}", f"{ratio:.3f} times as long", f"{expected:g} ± {_GATE_TOLERANCE}", met)
    clock = "between CUDA events" if machine.device_clock is not None else "by the CPU's clock"
    yield Finding(f"gate: {calls} products of {side} x {side}", f"{1e3 * usual:.2f} ms {clock}")
