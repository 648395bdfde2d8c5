"""What the loss curves say of a training that came to nothing: too short, too long, or nothing to learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.stats import LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Curves = NDArray[np.float64]

UNDERFIT, OVERTRAINED = "underfit", "overtrained"
MORE = 3  # times the epochs are what to try
_LEAST = 1e-3  # of the loss: a change that counts


def learning_flags(train: Curves, held_out: Curves, p: float | None) -> tuple[str, ...]:
    """Return why projectors learnt nothing of the images, as far as their loss curves tell.

    Where the gain of the right image over another is as large by chance: "underfit" if the training loss
    still falls and that of held-out captions doesn't rise, "overtrained" if the latter rises. A curve falls
    if the mean over its last quarter is below that over the quarter before; of fewer than four epochs, the
    last is compared with the one before. Nothing can be said of a single epoch.

    Args:
        train: the loss of training batches [trainings, epochs].
        held_out: that of held-out captions with their own images [trainings, epochs].
        p: of the gain, from permuted images; None where it could not be computed.
    """
    epochs = train.shape[1]
    if epochs < 2 or (p is not None and p <= LEVEL):
        return ()
    part = max(1, epochs // 4)
    fell, rose = _change(train, part) < -_LEAST, _change(held_out, part) > _LEAST
    if rose:
        return (OVERTRAINED,)
    return (UNDERFIT,) if fell else ()


def _change(curves: Curves, part: int) -> float:
    """Return by which share of itself the mean curve has changed from its last part but one to the last."""
    mean = curves.mean(axis=0)
    before, last = mean[-2 * part : -part].mean(), mean[-part:].mean()
    return float((last - before) / max(abs(before), 1e-12))
