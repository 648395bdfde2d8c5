"""The epochs of a training: its loss curves, and the weights that early stopping keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.doing import advance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    Losses = NDArray[np.floating] | float
    Curve = NDArray[np.float64]


def run_epochs(
    epochs: int,
    learn: Callable[[], Losses],
    watch: Callable[[], Losses],
    ended: Callable[[Losses], bool] = lambda watched: False,
) -> tuple[Curve, Curve]:
    """Return the losses of the trained and of the watched rows in each epoch, [epochs, ...] each.

    Args:
        epochs: the largest number of epochs.
        learn: takes the steps of an epoch, and returns their loss, for one training or for several [runs].
        watch: returns the loss of the watched rows after these steps.
        ended: receives that loss, and returns whether to stop.
    """
    learnt, watched = [], []
    for _ in range(epochs):
        learnt.append(learn())
        watched.append(watch())
        advance()
        if ended(watched[-1]):
            break
    return np.asarray(learnt, dtype=np.float64), np.asarray(watched, dtype=np.float64)


class BestWeights:
    """Keeps each training's best weights; what follows its own end does not count, as if it ran alone.

    Args:
        parameters: the parameters of all trainings, [runs, ...] each.
        runs: the number of trainings.
        patience: the number of epochs without a lower watched loss after which a training ends; with None, it
            never does, and its last weights are kept.
    """

    def __init__(self, parameters: dict[str, Tensor], runs: int, patience: int | None) -> None:
        self.parameters, self.patience = parameters, patience
        self.best = np.full(runs, np.inf)
        self.epoch = np.zeros(runs, dtype=np.intp)
        self.ended = np.zeros(runs, dtype=bool)
        self._now = 0
        self._kept = {} if patience is None else {k: v.detach().clone() for k, v in parameters.items()}

    def done(self, losses: Losses) -> bool:
        """Register the watched losses of an epoch [runs]; return whether every training has ended."""
        watched = np.asarray(losses)
        self._now += 1
        if self.patience is None:
            self.epoch[:] = self._now
            return False
        better = (watched < self.best) & ~self.ended
        self.best[better] = watched[better]
        self.epoch[better] = self._now
        for name, value in self.parameters.items():
            for at in np.flatnonzero(better).tolist():  # one by one: an index of many would copy twice
                self._kept[name][at].copy_(value.detach()[at])
        self.ended |= self._now - self.epoch >= self.patience
        return bool(self.ended.all())

    @property
    def kept(self) -> dict[str, Tensor]:
        """The weights that were kept."""
        return self._kept or {name: value.detach() for name, value in self.parameters.items()}
