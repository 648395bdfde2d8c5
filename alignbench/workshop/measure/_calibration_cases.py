"""Pairs whose truth is known, with properties that mislead statistics: heavy tails, types, wordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.stats import rng_for
from alignbench.types import Embeddings, ModelInfo, Pair
from alignbench.workshop.measure.truth import CLASSES, LATENT, class_means, mixing

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

WIDTHS = (32, 48)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Pairs with 16 latent dimensions on each side, `shared` of them in common, in isotropic noise.

    Args:
        name: the name in file names and tables.
        title: the description in words.
        shared: the number of common latent dimensions; with 0, the sides are independent given the class.
        noise: the isotropic noise, as a multiple of the latent variance.
        freedom: the degrees of freedom of Student's t, scaled to variance 1, for all draws; None for normal.
        decay: latent dimension i has a variance in proportion to i^-decay.
        separation: the distance of the means of three classes on both sides, each in its own directions.
        wordings: texts per image: rows that repeat the image's vector, each with its own noise on the text
            side.
    """

    name: str
    title: str
    shared: int = 0
    noise: float = 0.5
    freedom: int | None = None
    decay: float = 0.0
    separation: float = 0.0
    wordings: int = 1

    def draw(self, n: int, trial: int) -> Pair:
        """Return one trial's pair of n groups, as float32 like any embeddings."""
        rng = rng_for(trial, "calibration", self.name, str(n))
        codes = np.arange(n) % CLASSES
        common = self._noise(rng, (n, self.shared))
        sides = []
        for side, width in enumerate(WIDTHS):
            own = self._noise(rng, (n, LATENT - self.shared))
            latent = np.hstack([common, own]) * self._scale()
            latent = latent + self.separation * class_means(side)[codes]
            texts = self.wordings if side else 1
            error = self._noise(rng, (n * texts, width)) * np.sqrt(self.noise * LATENT / width)
            rows = np.repeat(latent @ mixing(side, width), texts, axis=0) + error
            sides.append(np.repeat(rows, self.wordings // texts, axis=0))
        owners = np.repeat(np.arange(n), self.wordings).tolist()
        labels = tuple(f"type {i % CLASSES}" if self.separation else "all alike" for i in owners)
        return Pair(
            _embeddings("vision", sides[0]),
            _embeddings("text", sides[1]),
            labels,
            tuple(f"group {i}" for i in owners),
            f"calibration {self.name}",
        )

    def _noise(self, rng: np.random.Generator, shape: tuple[int, int]) -> Matrix:
        if self.freedom is None:
            return rng.normal(size=shape)
        heavy: Matrix = rng.standard_t(self.freedom, size=shape) / np.sqrt(self.freedom / (self.freedom - 2))
        return heavy

    def _scale(self) -> Matrix:
        """Return the latent standard deviations, with mean variance 1; every second one is shared."""
        variance = np.arange(1, LATENT + 1) ** -self.decay
        variance = np.concatenate([variance[::2], variance[1::2]]) / variance.mean()
        return np.asarray(np.sqrt(variance))


def _embeddings(side: Literal["vision", "text"], values: Matrix) -> Embeddings:
    model = ModelInfo(f"drawn {side}", side, "other", "calibration", "arrays")
    return Embeddings(model, values.astype(np.float32), tuple(f"row {i}" for i in range(len(values))))


INDEPENDENT = (
    Scenario("normal", "normal"),
    Scenario("heavy", "heavy tails: Student's t, 3 degrees of freedom", freedom=3),
    Scenario("decaying", "decaying spectra: variances i^-2", decay=2.0, noise=0.05),
    Scenario("wordings", "three wordings per image", wordings=3),
    Scenario("types", "three types whose means differ on both sides", separation=1.0),
)
ALIGNED = (
    Scenario("normal-aligned", "normal, 8 of 16 shared", shared=8),
    Scenario("heavy-aligned", "heavy tails, 8 of 16 shared", shared=8, freedom=3),
    Scenario("decaying-aligned", "decaying spectra, 8 of 16 shared", shared=8, decay=2.0, noise=0.05),
    Scenario("wordings-aligned", "three wordings per image, 8 of 16 shared", shared=8, wordings=3),
    Scenario("types-aligned", "three types, and 4 of 16 shared", shared=4, separation=1.0),
)
CASES = {case.name: case for case in (*INDEPENDENT, *ALIGNED)}
