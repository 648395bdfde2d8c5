"""Copied rows: 40 images with five captions each as 200 rows of unrelated sides, with and without groups.

Writes its section of alignbench/docs/calibration.md and leaves the rest of the page unchanged.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.arrays import score_arrays
from alignbench.datasets.copies import REPEATED, ROWS
from alignbench.errors import AlignbenchWarning
from alignbench.stats import LEVEL, rng_for
from alignbench.workshop.measure._calibration_cases import WIDTHS
from alignbench.workshop.measure.truth import table
from alignbench.workshop.sections import section_command, template

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.types import Score

    Matrix = NDArray[np.float64]

IMAGES, CAPTIONS, OWN = 40, 5, 0.8
METRICS_SHOWN = ("calibrated_cka", "mutual_knn")
DRAWS = 100
PERMUTATIONS = 199
GROUPS: dict[str, Any] = {
    "none: each row by itself": None,
    f'groups="{ROWS}"': ROWS,
    "given: the image of each row": np.repeat(np.arange(IMAGES), CAPTIONS),
}


def main(argv: list[str]) -> None:
    """Compute the draws, and write the section."""
    section_command("copies", __doc__, DRAWS, copies_section, argv)


def copies_section(draws: int = DRAWS) -> str:
    """Return the section on copied rows: one draw with and without groups, and how often p is small."""
    first = [
        _row(title, score) for title, groups in GROUPS.items() for score in _scores(0, groups, METRICS_SHOWN)
    ]
    many = [[title, *_shares(draws, groups)] for title, groups in GROUPS.items()]
    return template("copies").format(
        images=IMAGES,
        captions=CAPTIONS,
        rows=IMAGES * CAPTIONS,
        own=OWN,
        flag=REPEATED,
        one=table(["groups: score", "n", "value", "95% interval", "p", "flags"], first),
        draws=draws,
        permutations=PERMUTATIONS,
        many=table(["calibrated_cka, groups", "p ≤ .05", "intervals that contain 0"], many),
    )


def drawn_copies(trial: int) -> tuple[Matrix, Matrix]:
    """Return both sides [200, d] of one draw."""
    rng = rng_for(trial, "copies")
    images, texts = (rng.normal(size=(IMAGES, width)) for width in WIDTHS)
    captions = np.repeat(texts, CAPTIONS, axis=0)
    return np.repeat(images, CAPTIONS, axis=0), captions + OWN * rng.normal(size=captions.shape)


def _scores(
    trial: int, groups: Any, metrics: tuple[str, ...], permutations: int | None = None
) -> tuple[Score, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AlignbenchWarning)
        x, y = drawn_copies(trial)
        return score_arrays(x, y, groups=groups, metrics=metrics, permutations=permutations).scores


def _row(title: str, score: Score) -> list[str]:
    assert score.null is not None
    assert score.interval is not None
    interval = f"{score.interval.low:.3f} to {score.interval.high:.3f}"
    numbers = [str(score.n), f"{score.value:.3f}", interval, f"{score.null.p:.3f}"]
    return [f"{title}: {score.metric}", *numbers, ", ".join(score.flags)]


def _shares(draws: int, groups: Any) -> list[str]:
    small = covered = 0
    for trial in range(draws):
        (score,) = _scores(trial, groups, METRICS_SHOWN[:1], PERMUTATIONS)
        assert score.null is not None
        assert score.null.p is not None
        assert score.interval is not None
        small += score.null.p <= LEVEL
        covered += score.interval.low <= 0 <= score.interval.high
    return [f"{100 * count / draws:.0f}%" for count in (small, covered)]
