"""The control of a trained VLM: held-out captions are predicted with the images of other held-out groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.columns import codes_of
from alignbench.errors import InputError
from alignbench.stats import assign, draw_within, p_value
from alignbench.types import Null

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_IMAGES = 10  # per caption; the cost of a test grows with them
DERANGEMENTS = 200


def image_blocks(groups: NDArray[np.str_], seed: int, purpose: str) -> NDArray[np.intp]:
    """Return the block of each held-out group [m]; a caption is predicted with all images of its block.

    Blocks are drawn at random and have at least two and at most `MOST_IMAGES` groups.
    """
    parts = max(1, min(-(-len(groups) // MOST_IMAGES), len(groups) // 2))
    return assign(groups, parts, seed, purpose)


def derangement(blocks: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Return a permutation that moves every element to another place within its block.

    The members of each block, in random order, are rotated by a random number of places.

    Raises:
        InputError: a block has only one member.
    """
    result = np.arange(len(blocks), dtype=np.intp)
    for block in np.unique(blocks):
        members = rng.permutation(np.flatnonzero(blocks == block))
        if len(members) < 2:
            raise InputError("blocks: a block of one has no other image")
        result[members] = np.roll(members, int(rng.integers(1, len(members))))
    return result


def mean_shuffled(losses: NDArray[np.float64], tokens: NDArray[np.float64]) -> float:
    """Return -log p per token over all derangements inside blocks: each caption's mean over other images.

    Args:
        losses: the loss of caption i with the image of caption j [m, m]; NaN if j is of another block.
        tokens: the number of tokens of each caption [m].
    """
    others = np.where(np.eye(len(losses), dtype=bool), np.nan, losses)
    return float(np.nanmean(others, axis=1).sum() / tokens.sum())


def gain_within(
    losses: NDArray[np.float64],
    tokens: NDArray[np.float64],
    blocks: NDArray[np.intp],
    types: NDArray[np.str_],
) -> float | None:
    """Return the gain of the right image over others of its data type in its block, in nats per token.

    Captions without another image of their type in their block are left out; None if that leaves none.

    Args:
        losses: the loss of caption i with the image of caption j [m, m]; NaN if j is of another block.
        tokens: the number of tokens of each caption [m].
        blocks: the block of each caption [m].
        types: the data type of each caption [m].
    """
    classes = _classes(blocks, types)
    same = classes[:, None] == classes[None, :]
    movable = same.sum(axis=1) > 1
    if not movable.any():
        return None
    others = np.where(same & ~np.eye(len(losses), dtype=bool), losses, np.nan)[movable]
    gained = np.nanmean(others, axis=1) - np.diag(losses)[movable]
    return float(gained.sum() / tokens[movable].sum())


def _classes(blocks: NDArray[np.intp], types: NDArray[np.str_]) -> NDArray[np.intp]:
    """Return a code of the block and the data type of each caption [m]."""
    return codes_of([f"{block}\0{of}" for block, of in zip(blocks, types, strict=True)])


def shuffled_nulls(
    losses: NDArray[np.float64],
    tokens: NDArray[np.float64],
    blocks: NDArray[np.intp],
    types: NDArray[np.str_],
    draws: int,
    rng: np.random.Generator,
) -> Null:
    """Return the null of a split's -log p per token, with images shuffled inside blocks.

    Args:
        losses: the loss of caption i with the image of caption j [m, m]; NaN if j is of another block.
        tokens: the number of tokens of each caption [m].
        blocks: the block of each caption [m].
        types: the data type of each caption [m].
        draws: the number of permutations.
        rng: the generator that draws them.

    Returns:
        The mean and std over derangements, and the one-sided p of a value as low over permutations. within_p
        is the same with images exchanged only within a data type, and within_mean the gain of the right image
        over another of its type in nats per token; both are None if no block has two captions of one type.
        Where each block has one type, within_p is p, because the same images are exchanged.
    """
    places, total = np.arange(len(losses)), tokens.sum()
    right = float(np.trace(losses) / total)

    def shuffled(orders: NDArray[np.intp]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = losses[places, orders].sum(axis=1) / total
        return means

    deranged = shuffled(np.stack([derangement(blocks, rng) for _ in range(DERANGEMENTS)]))
    drawn = shuffled(draw_within(codes_of(blocks), draws, rng))
    p = p_value(right, drawn, higher_is_better=False)
    classes = _classes(blocks, types)
    within_p, within_gain = None, gain_within(losses, tokens, blocks, types)
    if within_gain is not None and len(np.unique(classes)) == len(np.unique(blocks)):
        within_p = p
    elif within_gain is not None:
        orders = draw_within(classes, draws, rng)
        within_p = p_value(right, shuffled(orders), higher_is_better=False)
    return Null(
        "derangements of images",
        mean=float(deranged.mean()),
        std=float(deranged.std(ddof=1)),
        p=p,
        draws=draws,
        within_mean=within_gain,
        within_p=within_p,
    )
