"""Linear and debiased CKA with the exact null, compared with the textbook's n x n form: time and peak memory.

Each form runs in a separate process, in turn, on one thread; results are medians over the rounds. Both give
the same four numbers: linear CKA, debiased CKA, mean and standard deviation of the permutation null.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from alignbench.metrics import linear_sums
from alignbench.metrics.nulls import kernel_moments, permutation_moments
from alignbench.units import plural
from alignbench.workshop.measure._memory import peak_mib

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

SHAPES = ((768, 768), (768, 4096))
AGREEMENT = 1e-9
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
ONE_THREAD = {**os.environ, **dict.fromkeys(THREADS, "1")}


def data(n: int, dx: int, dy: int) -> tuple[Matrix, Matrix]:
    """Return float64 sides that share 32 dimensions."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(n, 32))
    x = common @ rng.normal(size=(32, dx)) + rng.normal(size=(n, dx))
    return x, common @ rng.normal(size=(32, dy)) + rng.normal(size=(n, dy))


def ours(x: Matrix, y: Matrix) -> tuple[float, ...]:
    """Return the four numbers from the package."""
    sums = linear_sums(x, y)
    debiased = sums.debiased_cka()
    return sums.linear_cka(), float("nan") if debiased is None else debiased, *sums.linear_cka_null()


def textbook(x: Matrix, y: Matrix) -> tuple[float, ...]:
    """Return the four numbers by n x n matrix products: HKH, HLH, and HSIC₁ as Song et al. write it."""
    n = len(x)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    h = np.eye(n) - 1 / n
    a, b = h @ k @ h, h @ l @ h
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    mean, std = permutation_moments(kernel_moments(a), kernel_moments(b))
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)

    def hsic(p: Matrix, q: Matrix) -> float:
        pairs = float(np.vdot(p, q)) - 2 / (n - 2) * float(p.sum(axis=0) @ q.sum(axis=0))
        return pairs + float(p.sum() * q.sum()) / ((n - 1) * (n - 2))

    debiased = hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))
    return float(np.vdot(a, b) / scale), float(debiased), mean / float(scale), std / float(scale)


def measure_once(form: str, n: int, dx: int, dy: int) -> dict[str, object]:
    """Return wall and CPU seconds, peak memory of this process in MiB, and the four numbers."""
    x, y = data(n, dx, dy)
    wall, cpu = time.perf_counter(), time.process_time()
    numbers = {"ours": ours, "textbook": textbook}[form](x, y)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak": peak_mib(),
        "numbers": numbers,
    }


def compare(n: int, dx: int, dy: int, rounds: int) -> None:
    """Print both forms side by side for one shape."""
    runs: dict[str, list[dict[str, object]]] = {"ours": [], "textbook": []}
    for _ in range(rounds):
        for form, results in runs.items():
            command = [sys.executable, "-m", "alignbench.measure", "cka", "--once", form]
            command += ["--n", str(n), "--dims", str(dx), str(dy)]
            done = subprocess.run(command, env=ONE_THREAD, capture_output=True, text=True, check=True)
            results.append(json.loads(done.stdout))
    numbers = [np.asarray(results[0]["numbers"], dtype=np.float64) for results in runs.values()]
    gap = float(np.abs(numbers[0] - numbers[1]).max())
    if not gap <= AGREEMENT:
        raise SystemExit(f"the two forms differ by {gap:.1e}")

    def median(form: str, what: str) -> float:
        return statistics.median(float(str(run[what])) for run in runs[form])

    conditions = f"one thread, median of {plural(rounds, 'round')}"
    print(f"n = {n}, d = {dx} and {dy}: {conditions}; largest difference {gap:.1e}")
    for what, unit in (("wall", "s"), ("cpu", "s"), ("peak", "MiB")):
        a, b = median("ours", what), median("textbook", what)
        print(f"  {what:4}  ours {a:9.2f} {unit:3}  textbook {b:9.2f} {unit:3}  ratio {b / a:6.1f}")


def main(argv: list[str]) -> None:
    """Compare at n = 5,000, d = 768 and 768, and 768 and 4,096; or as the options say."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure cka", description=__doc__)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--dims", type=int, nargs=2, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", choices=("ours", "textbook"), help="measure one form in this process")
    options = parser.parse_args(argv)
    shapes = [tuple(options.dims)] if options.dims else list(SHAPES)
    if options.once:
        print(json.dumps(measure_once(options.once, options.n, *shapes[0])))
        return
    for dx, dy in shapes:
        compare(options.n, dx, dy, options.rounds)
