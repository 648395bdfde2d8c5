"""Training many projectors as one program: parameters are stacked, every step is a batched product."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from alignbench.columns import codes_of
from alignbench.doing import doing
from alignbench.errors import InputError
from alignbench.projectors import LOSSES, OF_PATCHES, RIDGE
from alignbench.projectors.architectures import build
from alignbench.projectors.epochs import BestWeights, run_epochs
from alignbench.projectors.losses import BIAS, LOSS_FUNCTIONS, SCALE
from alignbench.projectors.patches import MOST_PATCHES, grid, principal_axes, width_read
from alignbench.projectors.ridge import ridge
from alignbench.projectors.stacks import stack
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from alignbench.projectors.stacks import Stack

    Mask = NDArray[np.bool_]
    Vectors = NDArray[np.float32]

# Bytes of parameters, their gradients and moments, and activations in memory at once. On a CPU, exceeding the
# cache costs more than another step of the loop.
_BUDGET = {"cpu": 100_000_000}
_BUDGET_ON_DEVICE = 2_000_000_000
_WORTH_THREADS = 2_000_000_000  # multiplications in one forward pass


@dataclass(frozen=True, slots=True)
class Training:
    """Settings of the training of projectors.

    Args:
        projector: one of `alignbench.projectors.PROJECTORS`.
        loss: one of `alignbench.projectors.LOSSES`. For "ridge", a linear projector is solved, and the
            settings below have no effect.
        epochs: the largest number of full-batch steps of Adam.
        lr: Adam's learning rate.
        patience: stop a training whose held-out loss has not improved for this many epochs, and keep its best
            weights; None trains to the end and keeps the last ones.
    """

    projector: str = "linear"
    loss: str = "mse"
    epochs: int = 300
    lr: float = 1e-3
    patience: int | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """What differs between trainings.

    Args:
        train: the mask of the training rows [n].
        held_out: the mask of the rows whose loss is watched [n], for early stopping.
        test: the mask of the rows that are predicted at the end [n].
        seed: the seed of the initial weights.
        order: row i of x is trained towards row order[i] of y; None for its own row. For controls.
    """

    train: Mask
    held_out: Mask
    test: Mask
    seed: int
    order: NDArray[np.intp] | None = None


@dataclass(frozen=True, slots=True)
class TrainedProjector:
    """The result of one training.

    Args:
        prediction: the prediction for the test rows, in y's own units [n_test, dy].
        train_loss: the loss after each epoch [epochs], on standardised sides. A single value, the squared
            error, if the projector was solved.
        held_out_loss: the same for the held-out rows.
        epoch: the epoch, from 1, whose weights were kept; 0 if the projector was solved.
    """

    prediction: Vectors
    train_loss: NDArray[np.float64]
    held_out_loss: NDArray[np.float64]
    epoch: int


@dataclass(frozen=True, slots=True)
class _Part:
    """The rows of all trainings that one loss covers, [runs, rows, ...], padded with rows of weight 0."""

    x: Tensor
    y: Tensor
    weight: Tensor
    pairs: Tensor


def fit(
    x: Vectors,
    y: Vectors,
    splits: Sequence[Split],
    training: Training,
    *,
    groups: Sequence[str] | None = None,
    device: str = "cpu",
) -> list[TrainedProjector]:
    """Train one projector per split, all of them together, and return their results in order.

    Both sides are centred and scaled, with one number per side, by the train rows of the split, so that a
    step of Adam means the same for every model. More patches than `MOST_PATCHES` are averaged over a grid,
    and wide ones are read along the principal axes of the train rows. Up to rounding, a training's result
    does not depend on the others.

    Args:
        x: the vision side [n, dx]; for "cross_attention", its patches [n, p, dx].
        y: the text side, [n, dy].
        splits: the rows and the seed of each training.
        training: the settings of all trainings.
        groups: the group of each row: rows of one group are not negatives of each other; by default, each row
            is its own.
        device: "cpu", "cuda", ...

    Raises:
        InputError: sides don't match, a split lacks train, held-out or test rows, or the loss or projector is
            unknown.
    """
    _check(x, y, splits, training)
    if training.loss == RIDGE:
        return [_solved(x, y, split) for split in splits]
    x = grid(x, MOST_PATCHES) if x.ndim == 3 else x
    codes = codes_of(np.arange(len(y)).astype(str) if groups is None else np.asarray(groups).astype(str))
    at_once = min(
        _at_once(x, y, training, _BUDGET.get(device, _BUDGET_ON_DEVICE)),
        # Halves for two threads, whatever the number of cores: what is trained together must not depend on
        # it.
        max(1, -(-len(splits) // 2)) if device == "cpu" else len(splits),
    )
    parts = [splits[start : start + at_once] for start in range(0, len(splits), at_once)]
    steps = f"epochs of {training.projector} projectors"
    with doing(steps, len(parts) * training.epochs), _threads(x, y, len(splits)) as beside:
        fitted = beside(lambda part: _fit_together(x, y, part, training, codes, device), parts)
        return [one for some in fitted for one in some]


def _check(x: Vectors, y: Vectors, splits: Sequence[Split], training: Training) -> None:
    needed = 3 if training.projector == OF_PATCHES else 2
    if x.ndim != needed or y.ndim != 2 or len(x) != len(y):
        form = "[n, p, dx]" if needed == 3 else "[n, dx]"
        raise InputError(
            f"{training.projector}: expected x {form} and y [n, dy], got {x.shape} and {y.shape}"
        )
    if training.loss not in LOSSES:
        raise InputError(unknown("loss", training.loss, dict.fromkeys(LOSSES)))
    if training.loss == RIDGE and training.projector != "linear":
        raise InputError(
            f"{RIDGE}: only a linear projector is solved for it, got {training.projector}; "
            "choose another loss"
        )
    if training.epochs < 1:
        raise InputError(f"epochs: expected at least 1, got {training.epochs}")
    for number, split in enumerate(splits):
        for name in ("train", "held_out", "test"):
            mask = getattr(split, name)
            if mask.shape != (len(x),) or not mask.any():
                raise InputError(f"split {number}: expected a mask of {len(x)} rows with some {name}")


def _at_once(x: Vectors, y: Vectors, training: Training, budget: int) -> int:
    """Return the number of trainings that fit into the budget of bytes."""
    dx, dy, n = width_read(x), y.shape[1], len(x)
    parameters = sum(p.numel() for p in build(training.projector, dx, dy, 0).parameters())
    activations = 4 * n * (dx + 3 * dy) + (6 * n * n if training.loss == "contrastive" else 0)
    if x.ndim == 3:
        activations += 3 * n * x.shape[1] * dx
    return int(max(1, budget // (4 * (4 * parameters + activations))))


def _fit_together(
    x: Vectors, y: Vectors, splits: Sequence[Split], training: Training, codes: NDArray[np.intp], device: str
) -> list[TrainedProjector]:
    sides = [_Sides.of(x, y, split) for split in splits]
    train = _part(sides, [split.train for split in splits], splits, codes, device)
    held_out = _part(sides, [split.held_out for split in splits], splits, codes, device)
    projectors = stack([build(training.projector, width_read(x), y.shape[1], s.seed) for s in splits], device)
    keeper, losses = _optimise(projectors, train, held_out, training)
    results = []
    with torch.inference_mode():
        for number, (split, side) in enumerate(zip(splits, sides, strict=True)):
            rows = torch.from_numpy(side.x(np.flatnonzero(split.test))).to(device)
            projected = projectors.alone(number, keeper.kept, rows).cpu().numpy()
            results.append(
                TrainedProjector(
                    prediction=(projected * side.scale_y + side.mean_y).astype(np.float32),
                    train_loss=losses[0][:, number],
                    held_out_loss=losses[1][:, number],
                    epoch=int(keeper.epoch[number]),
                )
            )
    return results


def _solved(x: Vectors, y: Vectors, split: Split) -> TrainedProjector:
    """Return the result of the penalised linear projector of a split."""
    side = _Sides.of(x, y, split)
    order = np.arange(len(y)) if split.order is None else split.order
    train, held_out, test = map(np.flatnonzero, (split.train, split.held_out, split.test))
    rows = np.concatenate([train, held_out, test])
    targets = side.y(order[train]).astype(np.float64)
    predicted = ridge(side.x(train).astype(np.float64), targets, side.x(rows).astype(np.float64))
    errors = np.square(predicted - side.y(order[rows])).mean(axis=1)
    watched, rest = len(train), len(train) + len(held_out)
    return TrainedProjector(
        prediction=(predicted[rest:] * side.scale_y + side.mean_y).astype(np.float32),
        train_loss=errors[:watched].mean(keepdims=True),
        held_out_loss=errors[watched:rest].mean(keepdims=True),
        epoch=0,
    )


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both sides of one training, standardised by its train rows."""

    raw_x: Vectors
    raw_y: Vectors
    axes: Vectors | None
    mean_x: Vectors
    scale_x: float
    mean_y: Vectors
    scale_y: float

    @classmethod
    def of(cls, x: Vectors, y: Vectors, split: Split) -> _Sides:
        rows = np.flatnonzero(split.train)
        targets = rows if split.order is None else split.order[rows]
        centred_x, mean_x = _centred(x[rows])
        centred_y, mean_y = _centred(y[targets])
        axes = principal_axes(centred_x) if x.ndim == 3 else None
        read = centred_x if axes is None else centred_x @ axes
        return cls(x, y, axes, mean_x, _scale(read), mean_y, _scale(centred_y))

    def x(self, rows: NDArray[np.intp]) -> Vectors:
        centred = self.raw_x[rows] - self.mean_x
        read = centred if self.axes is None else centred @ self.axes
        values: Vectors = (read / np.float32(self.scale_x)).astype(np.float32)
        return values

    def y(self, rows: NDArray[np.intp]) -> Vectors:
        values: Vectors = ((self.raw_y[rows] - self.mean_y) / np.float32(self.scale_y)).astype(np.float32)
        return values


def _centred(train: Vectors) -> tuple[NDArray[np.float64], Vectors]:
    """Return the rows minus their mean, and the mean."""
    rows = train.astype(np.float64)
    mean = rows.mean(axis=tuple(range(rows.ndim - 1)))
    return rows - mean, mean.astype(np.float32)


def _scale(centred: NDArray[np.float64]) -> float:
    # A side without variance stays at 0: nothing can be learnt from it, and nothing overflows.
    return float(np.sqrt(np.square(centred).mean())) or 1.0


def _part(
    sides: Sequence[_Sides],
    masks: Sequence[Mask],
    splits: Sequence[Split],
    codes: NDArray[np.intp],
    device: str,
) -> _Part:
    most = max(int(mask.sum()) for mask in masks)
    rows = [np.resize(np.flatnonzero(mask), most) for mask in masks]
    weight = np.stack([np.arange(most) < mask.sum() for mask in masks]).astype(np.float32)
    # The group of a target: with another pairing, it is the group of the row that the target comes from.
    targets = [
        own if split.order is None else split.order[own] for own, split in zip(rows, splits, strict=True)
    ]
    pairs = np.stack([np.where(codes[a][:, None] == codes[a][None, :], 0, -1) for a in targets])
    pairs[:, np.arange(most), np.arange(most)] = 1

    def tensor(values: Sequence[Any]) -> Tensor:
        return torch.from_numpy(np.stack(values).astype(np.float32)).to(device)

    return _Part(
        tensor([side.x(own) for side, own in zip(sides, rows, strict=True)]),
        tensor([side.y(own) for side, own in zip(sides, targets, strict=True)]),
        torch.from_numpy(weight).to(device),
        tensor(list(pairs)),
    )


def _optimise(
    projectors: Stack, train: _Part, held_out: _Part, training: Training
) -> tuple[BestWeights, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the keeper of each training's weights, and both losses after each epoch."""
    parameters, x, watched_x = projectors.parameters, projectors.rows(train.x), projectors.rows(held_out.x)
    runs, device = len(x), x.device
    scale = torch.tensor([[SCALE, BIAS]] * runs, device=device, requires_grad=True)
    scale.grad = torch.zeros_like(scale)
    train_loss, held_out_loss = (
        LOSS_FUNCTIONS[training.loss](part.y, part.weight, part.pairs) for part in (train, held_out)
    )
    optimiser = torch.optim.Adam([*parameters.values(), scale], lr=training.lr, fused=device.type == "cpu")
    keeper = BestWeights(parameters, runs, training.patience)

    def learn() -> NDArray[np.float32]:
        prediction = projectors.forward(x)
        with torch.no_grad():
            losses = train_loss(prediction, scale.detach(), scale.grad)
        projectors.backward(prediction)  # the loss has replaced it by its gradient
        optimiser.step()
        return losses.cpu().numpy()

    def watch() -> NDArray[np.float32]:
        with torch.no_grad():
            return held_out_loss(projectors.project(watched_x), scale.detach()).cpu().numpy()

    return keeper, run_epochs(training.epochs, learn, watch, keeper.done)


@contextmanager
def _threads(x: Vectors, y: Vectors, runs: int) -> Iterator[Callable[..., Iterator[list[TrainedProjector]]]]:
    """Return the `map` that trains parts: small ones side by side, one thread each; large ones in turn."""
    # Beside other processes (`-n 2`) a pool's busy waiting made small products 20 times slower.
    work = runs * len(x) * width_read(x) * y.shape[1]
    if x.ndim == 3:
        work += runs * len(x) * x.shape[1] * width_read(x) * 8
    before = torch.get_num_threads()
    if work >= _WORTH_THREADS:
        yield map
        return
    # Workers of one pytest run share the cores: additional threads would only get in their way.
    beside = max(1, before // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    torch.set_num_threads(1)
    try:
        if beside == 1:
            yield map
        else:
            with ThreadPoolExecutor(beside) as pool:
                yield pool.map
    finally:
        torch.set_num_threads(before)
