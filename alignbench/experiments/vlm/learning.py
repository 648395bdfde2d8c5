"""Why a training learnt nothing, judging by its loss curves: it was too short, or too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.stats import LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Curves = NDArray[np.float64]

UNDERFIT, OVERTRAINED = "underfit", "overtrained"
MORE = 3  # times as many epochs are the advice for a training that was too short
_LEAST = 1e-3  # of the loss, the least change that counts


def learning_flags(train: Curves, held_out: Curves, p: float | None) -> tuple[str, ...]:
    """Return flags for why projectors learnt nothing from the images, judging by their loss curves.

    There are no flags if the gain of the right image over others is significant. Otherwise the flag is
    "overtrained" if the loss of held-out captions rises, and "underfit" if it doesn't but the training loss
    still falls. A curve falls if the mean over its last quarter is below that over the quarter before; with
    fewer than four epochs, the last epoch is compared with the one before. A single epoch gets no flag.

    Args:
        train: the loss of training batches [trainings, epochs].
        held_out: the loss of held-out captions with their own images [trainings, epochs].
        p: p of the gain, from permuted images; None if it could not be computed.
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
    """Return the relative change of the mean curve from its last part but one to its last part."""
    mean = curves.mean(axis=0)
    before, last = mean[-2 * part : -part].mean(), mean[-part:].mean()
    return float((last - before) / max(abs(before), 1e-12))
