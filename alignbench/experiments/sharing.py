"""Why there is no score if many rows form only a few groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.datasets.dataset import normalised
from alignbench.errors import TooFewSamplesError
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.datasets import Sample
    from alignbench.errors import DegenerateError
    from alignbench.types import Pair


@dataclass(frozen=True, slots=True)
class Sharing:
    """How many images and texts form how many groups; `images` is 0 if the rows come from arrays."""

    rows: int
    groups: int
    images: int
    texts: int

    @classmethod
    def of_pair(cls, pair: Pair) -> Sharing:
        """Return the counts of a pair's rows."""
        return cls(len(pair), pair.n_groups, len(set(pair.images)), len(set(pair.texts)))

    @classmethod
    def of_samples(cls, samples: Sequence[Sample]) -> Sharing:
        """Return the counts of samples."""
        known = [sample for sample in samples if sample.texts]
        return cls(
            len(samples),
            len({sample.group for sample in samples}),
            len({sample.image_digest for sample in known}),
            len({normalised(sample.text) for sample in known}),
        )

    def sentence(self) -> str:
        """Return a phrase such as `2 groups: 40 images share 2 texts`."""
        groups, images, texts = (
            plural(count, noun)
            for count, noun in ((self.groups, "group"), (self.images, "image"), (self.texts, "text"))
        )
        if not self.images:
            return f"{groups} of {plural(self.rows, 'row')}"
        if self.texts == self.groups < self.images:
            return f"{groups}: {images} share {texts}"
        if self.images == self.groups < self.texts:
            return f"{groups}: {images} with {texts}"
        return f"{groups} of {images} and {texts}: those with an image or a text in common are one group"


def why_not(error: DegenerateError, of: Sharing) -> str:
    """Return why there is no value; if there are too few groups, also why there are fewer than rows."""
    few = isinstance(error, TooFewSamplesError) and of.groups < of.rows
    return f"{error} ({of.sentence()})" if few else str(error)
