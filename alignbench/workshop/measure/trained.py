"""How long many trainings take when they run as one program, compared with one training after another.

The plain loop is the obvious one: for each run an `nn.Linear` and a `torch.optim.Adam`, one step per epoch,
the held-out loss after it, and for early stopping a copy of the best weights. Both take turns in one process
on equally many threads; the results are medians of the rounds' ratios. If their predictions differ, this
fails.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from alignbench.experiments.repeats import Repeats
from alignbench.experiments.trained import plan
from alignbench.projectors.architectures import build
from alignbench.projectors.fit import Split, Training, fit
from alignbench.projectors.losses import BIAS, SCALE
from alignbench.rows import unit_rows
from alignbench.workshop.measure._race import race, ratios

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    Vectors = NDArray[np.float32]

AGREEMENT = 2e-3  # standard deviations of a text's coordinate, after hundreds of float32 steps of Adam
LATENT = 24
PATIENCE = 30


@dataclass(frozen=True)
class TrainingSize:
    """A workload: sizes, number of runs, and length of training."""

    name: str
    n: int
    dims: tuple[int, int]
    splits: int
    seeds: int
    training: Training


def cases(large_runs: int, large_epochs: int) -> list[TrainingSize]:
    """Return ELAS and end to end at the default sizes, and at those of real models."""
    chosen = []
    for size, n, dims, splits, seeds, epochs in (
        ("default", 90, (192, 256), 5, (3, 5), 300),
        ("realistic", 1000, (768, 4096), 1, (large_runs, large_runs), large_epochs),
    ):
        elas = Training("linear", "mse", epochs=epochs)
        e2e = Training("linear", "contrastive", epochs=epochs, patience=PATIENCE)
        chosen.append(TrainingSize(f"elas {size}", n, dims, splits, seeds[0], elas))
        chosen.append(TrainingSize(f"e2e {size}", n, dims, splits, seeds[1], e2e))
    return chosen


def data(case: TrainingSize) -> tuple[Vectors, Vectors, list[Split]]:
    """Return sides that share some dimensions, as unit vectors, and the splits of the experiments."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(case.n, LATENT))
    sides = []
    for d in case.dims:
        side = common @ rng.normal(size=(LATENT, d)) + 2 * rng.normal(size=(case.n, d)) + 1
        sides.append(unit_rows(side).astype(np.float32))
    groups = [f"{i}" for i in range(case.n)]
    rows = plan(groups, Repeats(splits=case.splits), early_stopping=case.training.patience is not None)
    splits = [Split(r.train, r.watched, r.test, seed) for r in rows for seed in range(case.seeds)]
    return sides[0], sides[1], splits


def plain_loop(x: Vectors, y: Vectors, splits: list[Split], training: Training) -> list[tuple[Any, int]]:
    """Return the predictions and kept epochs of one training after another."""
    return [_plain(x, y, split, training) for split in splits]


def _plain(x: Vectors, y: Vectors, split: Split, training: Training) -> tuple[Any, int]:
    mean_x, mean_y = x[split.train].mean(axis=0), y[split.train].mean(axis=0)
    scale_x, scale_y = (x[split.train] - mean_x).std(), (y[split.train] - mean_y).std()
    a, b = torch.from_numpy((x - mean_x) / scale_x), torch.from_numpy((y - mean_y) / scale_y)
    module = nn.Linear(x.shape[1], y.shape[1])
    ours = dict(build("linear", x.shape[1], y.shape[1], split.seed).named_parameters())
    with torch.no_grad():
        module.weight.copy_(ours["weight"].T)
        module.bias.copy_(ours["bias"])
    scale = torch.tensor([SCALE, BIAS], requires_grad=True)
    optimiser = torch.optim.Adam([*module.parameters(), scale], lr=training.lr)
    parts = [(a[mask], b[mask]) for mask in (split.train, split.held_out)]
    best, kept, epoch = float("inf"), copy.deepcopy(module.state_dict()), training.epochs
    for now in range(1, training.epochs + 1):
        optimiser.zero_grad()
        _loss(module(parts[0][0]), parts[0][1], scale, training.loss).backward()
        optimiser.step()
        with torch.no_grad():
            watched = float(_loss(module(parts[1][0]), parts[1][1], scale, training.loss))
        if training.patience is None:
            continue
        if watched < best:
            best, epoch = watched, now
            kept = copy.deepcopy(module.state_dict())
        elif now - epoch >= training.patience:
            break
    if training.patience is not None:
        module.load_state_dict(kept)
    with torch.no_grad():
        return module(a[split.test]).numpy() * scale_y + mean_y, epoch


def _loss(prediction: Tensor, target: Tensor, scale: Tensor, loss: str) -> Tensor:
    if loss == "mse":
        return functional.mse_loss(prediction, target)
    z = 2 * torch.eye(len(prediction)) - 1
    cosines = functional.normalize(prediction) @ functional.normalize(target).T
    return -functional.logsigmoid(z * (scale[0].exp() * cosines + scale[1])).sum() / len(prediction)


def compare(case: TrainingSize, rounds: int) -> None:
    """Print both side by side; fail if their results differ."""
    x, y, splits = data(case)
    work: dict[str, Callable[[], Any]] = {
        "together": partial(fit, x, y, splits, case.training),
        "plain loop": partial(plain_loop, x, y, splits, case.training),
    }
    results = {name: contender() for name, contender in work.items()}
    measured = race(work, rounds, calm=float("inf"))
    both = list(zip(results["together"], results["plain loop"], strict=True))
    gaps = [float(np.abs(a.prediction - b).max() / y.std()) for a, (b, _) in both]
    print(
        f"{case.name}: n = {case.n}, {case.dims[0]} to {case.dims[1]}, {len(splits)} runs, "
        f"{case.training.loss}, {case.training.epochs} epochs, patience {case.training.patience}"
    )
    for clock in ("wall", "cpu"):
        ours, theirs = (
            1000 * statistics.median(getattr(one.costs[name], clock) for one in measured) / len(splits)
            for name in work
        )
        ratio = ratios(measured, "plain loop", "together", clock).median
        print(
            f"  {clock:4}  together {ours:8.1f} ms per run   plain loop {theirs:8.1f} ms   ratio {ratio:5.2f}"
        )
    same = sum(a.epoch == epoch for a, (_, epoch) in both)
    print(f"  largest difference {max(gaps):.1e} of a standard deviation; {same} of {len(both)} same epoch")
    if max(gaps) > AGREEMENT:
        raise SystemExit(f"{case.name}: expected a difference of at most {AGREEMENT}, got {max(gaps):.1e}")


def main(argv: list[str]) -> None:
    """Compare in all cases, or in those that the options name."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure trained", description=__doc__)
    parser.add_argument("--only", default="", help="run the cases whose names contain this")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--large-runs", type=int, default=2)
    parser.add_argument("--large-epochs", type=int, default=10)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    for case in cases(options.large_runs, options.large_epochs):
        if options.only in case.name:
            compare(case, options.rounds)
