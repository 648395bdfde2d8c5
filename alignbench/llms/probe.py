"""The check that an untested network gives a text the same vector alone and beside others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alignbench.llms.decoder import Decoder
    from alignbench.weights.precision import Precision

_TEXT = "A bar chart with five red bars, and the table of the numbers below it."
_EXACT = 1e-3
_ROUNDED = 0.2  # 16 bits: rounding differs with the size of a batch, and may choose other experts


def check_batches(decoder: Decoder, layer: int, precision: Precision, where: str) -> None:
    """Check two samples alone and together, and stop padding texts if padding changes a vector.

    Two vectors agree if they differ by less than a small part of the distance between the two samples.

    Args:
        decoder: the loaded model; its `pads` may be changed.
        layer: the layer whose states are used.
        precision: the arithmetic.
        where: the model, for errors.

    Raises:
        ModelError: a vector is not finite, or depends on the texts beside it.
    """
    long = decoder.tokenize([_TEXT], 32)[0]
    other = long[::-1]
    short = long[: max(1, len(long) // 2)]

    def vectors(*batch: Sequence[int]) -> NDArray[np.float32]:
        return decoder.mean_states(batch, layer, precision)

    alone = np.concatenate([vectors(sample) for sample in (long, other, short)])
    if not np.isfinite(alone).all():
        way_out = "; try --align-dtype bfloat16 or float32" if "float16" in precision.name else ""
        raise ModelError(f"{where}: its vectors in {precision.name} are not finite{way_out}")
    tolerance = _EXACT if precision.name == "float32" else _ROUNDED
    if not _agree(vectors(long, short), alone[[0, 2]], tolerance):
        decoder.pads = False
    if not _agree(vectors(long, other), alone[:2], tolerance):
        raise ModelError(
            f"{where}: a text's vector depends on the other texts of its batch, so no score of it would be "
            f"one of the text; name another LLM, or register an object with embed(texts)"
        )


def _agree(found: NDArray[np.float32], alone: NDArray[np.float32], tolerance: float) -> bool:
    unit = max(float(np.linalg.norm(alone[0] - alone[1])), 1e-3 * float(np.linalg.norm(alone)))
    return bool((np.linalg.norm(found - alone, axis=1) <= tolerance * unit).all())
