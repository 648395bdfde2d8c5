"""Pairs of images that show the same points of an object: drawn ones, or a folder in SPair-71k's layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alignbench.datasets.dataset import Dataset

FAR_OUT = 0.1  # of the image's width or height: a mark farther outside is of another image or unit


@dataclass(frozen=True, slots=True)
class KeypointPair:
    """Two images of an object, and the points that they have in common.

    Args:
        name: what to call it in messages.
        category: what the object is.
        images: the rows of the source and the target among all images.
        points: x and y of each point in pixels of the source [k, 2].
        truths: x and y of the same points in pixels of the target [k, 2].
        side: the longer side of the object's box in the target, in pixels.
    """

    name: str
    category: str
    images: tuple[int, int]
    points: NDArray[np.float64]
    truths: NDArray[np.float64]
    side: float


@dataclass(frozen=True, slots=True)
class KeypointPairs:
    """Pairs with all their images.

    Args:
        images: the images, as samples without texts.
        sizes: width and height of each image in pixels.
        pairs: the pairs.

    Raises:
        DataError: a pair has no points or no box, or points are far outside its image.
    """

    images: Dataset
    sizes: tuple[tuple[int, int], ...]
    pairs: tuple[KeypointPair, ...]

    def __post_init__(self) -> None:
        if not self.pairs:
            raise DataError(f"{self.images.name}: no pairs of images with keypoints")
        for pair in self.pairs:
            if not len(pair.points) or pair.points.shape != pair.truths.shape or pair.points.shape[1] != 2:
                raise DataError(
                    f"{pair.name}: expected as many keypoints in the source as in the target, and at least "
                    f"one, got {len(pair.points)} and {len(pair.truths)}"
                )
            if not (np.isfinite(pair.side) and pair.side > 0):
                raise DataError(f"{pair.name}: the box of the target's object has no size")
            for row, points in zip(pair.images, (pair.points, pair.truths), strict=True):
                size = np.asarray(self.sizes[row])
                if not ((points >= -FAR_OUT * size) & (points <= (1 + FAR_OUT) * size)).all():
                    raise DataError(
                        f"{pair.name}: a keypoint lies far outside {self.images.samples[row].id}, which has "
                        f"{size[0]} x {size[1]} pixels"
                    )

    @property
    def units(self) -> tuple[tuple[int, ...], ...]:
        """What each pair shares with other pairs: its two images, or itself if no image is in two pairs.

        Leaving out one unit after another is the resampling of an interval.
        """
        rows = [row for pair in self.pairs for row in dict.fromkeys(pair.images)]
        if len(rows) == len(set(rows)):
            return tuple((number,) for number in range(len(self.pairs)))
        return tuple(tuple(dict.fromkeys(pair.images)) for pair in self.pairs)
