"""Gromov-Wasserstein distances: CPU seconds, what several starts find, and POT's value of the same angles.

Prints a row for each number of pairs. POT's column is left out where POT is not installed.
"""

from __future__ import annotations

import argparse
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics.couplings import conditional_gradient
from alignbench.metrics.transport import MOST, STARTS, gw_distance, gw_parts, matched_angles
from alignbench.stats import rng_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

SIZES = (100, 300, MOST)
WIDTHS, SHARED = (64, 96), 20


def sides(n: int, seed: int = 0) -> tuple[Matrix, Matrix]:
    """Return two sides [n, 64] and [n, 96] that have 20 directions in common."""
    rng = rng_for(seed, "gw", str(n))
    common = rng.normal(size=(n, SHARED))
    x, y = (np.hstack([common, rng.normal(size=(n, width - SHARED))]) for width in WIDTHS)
    return x, y


def difference_to_pot(x: Matrix, y: Matrix) -> float:
    """Return our distortion minus POT's, of the same angles, both from the product coupling."""
    from ot.gromov import gromov_wasserstein

    a, b = matched_angles(x, y)
    weights = np.full(len(a), 1 / len(a))
    _, log = gromov_wasserstein(a, b, weights, weights, "square_loss", log=True)
    return conditional_gradient(a, b) - float(log["gw_dist"])


def main(argv: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure gw", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    options = parser.parse_args(argv)
    known = find_spec("ot") is not None
    print(
        f"{'n':>5} {'CPU s':>6} {'product':>8} {'best':>7} {'worst':>7} {'true pairs':>10} {'minus POT':>10}"
    )
    print(f"{'':>5} {'':>6} the best and worst of {1 + STARTS} starts that do not know the pairs; radians")
    for n in options.sizes:
        x, y = sides(n)
        started = time.process_time()
        value = gw_distance(x, y)
        seconds = time.process_time() - started
        parts = gw_parts(x, y)
        print(f"{n:>5} {seconds:>6.2f} {value:>8.4f} {parts['best']:>7.4f} {parts['worst']:>7.4f}", end="")
        print(
            f" {parts['true_pairs']:>10.4f} {difference_to_pot(x, y) if known else np.nan:>10.1e}", flush=True
        )
