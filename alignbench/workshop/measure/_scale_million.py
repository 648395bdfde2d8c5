"""A million pairs: every score that comes from moments, with null and interval, beside the bare products."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.experiments.scoring import Settings, score_pair
from alignbench.metrics import METRICS
from alignbench.metrics.cell_passes import ROWS
from alignbench.workshop.measure._many_pairs import Memory, pair_of, written

if TYPE_CHECKING:
    import argparse

    from alignbench.types import Score
    from alignbench.workshop.measure._many_pairs import Vectors

_MOST_MIB = 2048
_MOST_RATIO = 2.0
_TIMED_CHUNKS = 4


def add_options(parser: argparse._ArgumentGroup) -> None:
    """Add how many pairs there are and how wide they are."""
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--widths", type=int, nargs=2, default=(768, 1024))


def measure(options: argparse.Namespace) -> bool:
    """Print each score and what all took; return whether a bound was broken."""
    with tempfile.TemporaryDirectory() as folder:
        x, y = (
            written(Path(folder), name, options.rows, width, number)
            for number, (name, width) in enumerate(zip("xy", options.widths, strict=True))
        )
        bare = [_bare_seconds(x, y, 0)]
        with Memory() as memory:
            before = memory.peak
            clock, cpu = time.perf_counter(), time.process_time()
            pair = pair_of(x, y)
            for name in METRICS:
                if METRICS.get(name).streamed is None:
                    continue
                started = time.process_time()
                score = score_pair(METRICS.get(name), pair, Settings(), experiment="scale")
                print(_line(score, time.process_time() - started), flush=True)
            seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
        bare.append(_bare_seconds(x, y, options.rows // 2))
    products = statistics.mean(bare) * options.rows
    print(f"{options.rows:,} pairs, {options.widths[0]} x {options.widths[1]}:")
    print(f"  {seconds:.0f} s, {cpu:.0f} CPU seconds; peak {memory.peak:.0f} MiB beside the mapped files")
    print(f"  ({before:.0f} MiB before; bound {_MOST_MIB} MiB)")
    print(f"  the bare products XX, YY and XY: {products:.0f} CPU seconds; ratio {cpu / products:.2f}")
    print(f"  (scaled from {2 * _TIMED_CHUNKS} of {options.rows / ROWS:.0f} chunks; bound {_MOST_RATIO})")
    return memory.peak > _MOST_MIB or cpu > _MOST_RATIO * products


def _bare_seconds(x: Vectors, y: Vectors, start: int) -> float:
    """Return the CPU seconds a row of the three products of chunks in float64."""
    taken, rows = 0.0, 0
    for first in range(start, min(start + _TIMED_CHUNKS * ROWS, len(x)), ROWS):
        a, b = (side[first : first + ROWS].astype("float64") for side in (x, y))
        before = time.process_time()
        _ = a.T @ a, b.T @ b, a.T @ b
        taken, rows = taken + time.process_time() - before, rows + len(a)
    return taken / rows


def _line(score: Score, seconds: float) -> str:
    text = f"  {score.metric:<22}{score.value:>10.6f}  {seconds:6.1f} CPU s"
    if score.interval is not None:
        text += f"  [{score.interval.low:.6f}, {score.interval.high:.6f}]"
    if score.null is not None and score.null.mean is not None and score.null.std is not None:
        text += f"  null {score.null.mean:.6f} ± {score.null.std:.1e}, p {score.null.p:.2g}"
    return text
