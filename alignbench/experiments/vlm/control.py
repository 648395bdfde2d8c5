"""The control of a trained VLM: held-out captions told from the images of other held-out groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.columns import codes_of
from alignbench.errors import InputError
from alignbench.stats import assign, p_value
from alignbench.types import Null

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_IMAGES = 10  # that a caption is told from: what a test costs grows with it
DERANGEMENTS = 200


def image_blocks(groups: NDArray[np.str_], seed: int, purpose: str) -> NDArray[np.intp]:
    """Return the block of each held-out group [m]; captions are told from the images of their own block.

    Blocks are drawn, of at most `MOST_IMAGES` groups and at least two.
    """
    parts = max(1, min(-(-len(groups) // MOST_IMAGES), len(groups) // 2))
    return assign(groups, parts, seed, purpose)


def derangement(blocks: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return a permutation that leaves nothing at its place and nothing leaves its block.

    In each block a drawn order is turned on by a drawn number of places.

    Raises:
        InputError: a block of one.
    """
    result = np.arange(len(blocks), dtype=np.intp)
    for block in np.unique(blocks):
        members = rng.permutation(np.flatnonzero(blocks == block))
        if len(members) < 2:
            raise InputError("blocks: a block of one can't be given another image")
        result[members] = np.roll(members, int(rng.integers(1, len(members))))
    return result


def mean_shuffled(losses: NDArray[np.float64], tokens: NDArray[np.float64]) -> float:
    """Return -log p a token over all derangements inside blocks: each caption's mean over other images.

    Args:
        losses: of caption i from the image of j [m, m]; NaN where j is of another block.
        tokens: of each caption [m].
    """
    others = np.where(np.eye(len(losses), dtype=bool), np.nan, losses)
    return float(np.nanmean(others, axis=1).sum() / tokens.sum())


def shuffled_nulls(
    losses: NDArray[np.float64],
    tokens: NDArray[np.float64],
    blocks: NDArray[np.intp],
    types: NDArray[np.str_],
    draws: int,
    rng: np.random.Generator,
) -> Null:
    """Return what a split's -log p a token becomes when its images are dealt out anew inside blocks.

    Args:
        losses: of caption i from the image of j [m, m]; NaN where j is of another block.
        tokens: of each caption [m].
        blocks: of each caption [m].
        types: the data type of each [m].
        draws: permutations.
        rng: draws them.

    Returns:
        mean and std over derangements; p over permutations, one-sided: as low by chance; within_p the same
        with images exchanged among those of a type only, and within_mean what the right image gains over
        another of its type in nats a token (None where no two of a block are of a type).
    """
    places, total = np.arange(len(losses)), tokens.sum()
    right = float(np.trace(losses) / total)

    def told(orders: NDArray[np.intp]) -> NDArray[np.float64]:
        drawn: NDArray[np.float64] = losses[places, orders].sum(axis=1) / total
        return drawn

    dealt = told(np.stack([derangement(blocks, rng) for _ in range(DERANGEMENTS)]))
    drawn = told(_permuted(blocks, draws, rng))
    classes = codes_of([f"{b}\0{t}" for b, t in zip(blocks, types, strict=True)])
    same = classes[:, None] == classes[None, :]
    movable = same.sum(axis=1) > 1
    within_p = within_gain = None
    if movable.any():
        within_p = p_value(right, told(_permuted(classes, draws, rng)), higher_is_better=False)
        others = np.where(same & ~np.eye(len(losses), dtype=bool), losses, np.nan)[movable]
        gained = np.nanmean(others, axis=1) - np.diag(losses)[movable]
        within_gain = float(gained.sum() / tokens[movable].sum())
    return Null(
        "derangements of images",
        mean=float(dealt.mean()),
        std=float(dealt.std(ddof=1)),
        p=p_value(right, drawn, higher_is_better=False),
        draws=draws,
        within_mean=within_gain,
        within_p=within_p,
    )


def _permuted(classes: NDArray[np.intp], draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    from alignbench.stats import draw_within

    return draw_within(codes_of(classes), draws, rng)
