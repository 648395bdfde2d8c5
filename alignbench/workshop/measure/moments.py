"""Streams the moments of a million pairs: time, peak memory, and agreement with one-shot scores."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics import Moments, debiased_cka, linear_cka, linear_cka_null
from alignbench.workshop.measure._memory import peak_mib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CHUNK = 8192
PREFIX = 20_000
LIMIT = 500  # MiB
AGREEMENT = 1e-10


def stream(rows: int, width: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield chunks of float32 pairs [chunk, width] that share half their variance."""
    rng = np.random.default_rng(0)
    mixing = (rng.normal(size=(width, width)) / np.sqrt(width)).astype(np.float32)
    for start in range(0, rows, CHUNK):
        size = min(CHUNK, rows - start)
        x = rng.standard_normal((size, width), dtype=np.float32) + 3
        yield x, x @ mixing + rng.standard_normal((size, width), dtype=np.float32)


def scores(moments: Moments) -> tuple[float, ...]:
    """Return linear CKA, debiased CKA, mean and standard deviation of the null."""
    return moments.linear_cka(), moments.debiased_cka(), *moments.linear_cka_null()


def check_prefix(width: int) -> float:
    """Return the largest difference between streamed and one-shot scores on the first rows."""
    chunks = list(stream(PREFIX, width))
    moments = Moments.from_arrays(*chunks[0])
    for chunk in chunks[1:]:
        moments.update(*chunk)
    x, y = (np.concatenate(sides) for sides in zip(*chunks, strict=True))
    one_shot = (linear_cka(x, y), debiased_cka(x, y), *linear_cka_null(x, y))
    return float(np.abs(np.subtract(scores(moments), one_shot)).max())


def main(argv: list[str]) -> int:
    """Stream the pairs, print time and memory, and fail above the memory limit or on disagreement."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure moments", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=256)
    options = parser.parse_args(argv)
    taken, started, moments = 0.0, time.perf_counter(), None
    for x, y in stream(options.rows, options.width):
        before = time.perf_counter()
        moments = Moments.from_arrays(x, y) if moments is None else moments.update(x, y)
        taken += time.perf_counter() - before
    if moments is None:
        raise SystemExit("--rows: expected at least 1")
    cka, debiased, mean, std = scores(moments)
    seconds = time.perf_counter() - started
    peak = peak_mib()
    gap = check_prefix(options.width)
    print(f"{moments.n:,} x {options.width} pairs in chunks of {CHUNK:,}")
    print(f"  linear CKA {cka:.6f}, debiased {debiased:.6f}, null {mean:.6f} ± {std:.2e}")
    print(f"  {seconds:.1f} s, {taken:.1f} s of it in Moments; peak memory {peak:.0f} MiB of {LIMIT}")
    print(f"  first {PREFIX:,} rows, streamed against one-shot: largest difference {gap:.1e}")
    return 0 if peak <= LIMIT and gap <= AGREEMENT else 1
