"""The flags of scores, and the meaning of each in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.weights.family import UNTESTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alignbench.types import Score


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag's letter in narrow tables, and its sentence for legends."""

    letter: str
    meaning: str


FLAGS: dict[str, Flag] = {
    "saturated": Flag("S", "so near its ceiling that it can't tell encoders apart; read ncoral instead"),
    "conservative": Flag(
        "c", "the interval comes from refits without one of 10 blocks of groups: wider than necessary"
    ),
    "n_too_small": Flag("n", "too few groups for an interval: ties are unknown"),
    "no_interval": Flag(
        "i", "the value cannot be computed without one of the blocks of groups, so there is no interval"
    ),
    "repeated_rows": Flag(
        "=",
        "some rows are copies of others, but each counts as a sample: p and interval are too good to be "
        "true; give groups",
    ),
    "dead": Flag(
        "d",
        "a part of this sum is at its floor or its ceiling for every pair of the run, so it tells no pairs "
        "apart",
    ),
    "fidelity": Flag("F", "computed as published, for comparison only; do not base a choice on it"),
    "tied_neighbors": Flag(
        "t",
        "some neighbours are equally near, so their order is not certain; they count as no match, which "
        "lowers the score",
    ),
    "separate_bases": Flag("B", "each side is in its own basis, so eigenvalues are compared, not directions"),
    "coarse_patches": Flag(
        "g",
        "patches are so large that many keypoints could not be found by any: compare only encoders with as "
        "many patches",
    ),
    "no_room": Flag(
        "1",
        "the sides have more directions than samples, so that some correlations are 1 whatever the pairing",
    ),
    "busy": Flag("b", "other processes used the machine at the same time, so it is slower than it could be"),
    "subsampled": Flag("s", "computed on a random part of the groups"),
    "queried": Flag("q", "the mean over a random part of the groups, whose neighbours are nearest among all"),
    "overtrained": Flag(
        "o", "its held-out loss was lower earlier in the training: fewer --align-epochs would do better"
    ),
    "no_labels": Flag(
        "L", "there were no labels, so spread, a different quantity, takes the place of discriminability"
    ),
    "underfit": Flag(
        "u",
        "the projector's training loss is still falling and nothing is learnt yet: use more --align-epochs",
    ),
    "not_estimable": Flag("?", "too few trainings to tell: see the smallest p that they allow"),
    "stand-in": Flag("*", "a built-in toy model stood in for the one that was asked for"),
    UNTESTED: Flag(
        "U", "alignbench's tests do not cover the family of a model; only checks at its load vouch for it"
    ),
    "control": Flag("R", "untrained; where it ranks high, the ranking says little"),
}

_WEIGHTS = {"stand-in": "stand-in", "random": "control"}


def meaning(flag: str, scores: Iterable[Score] = ()) -> str:
    """Return the sentence that explains `flag`; for an unknown flag, where it comes from.

    Args:
        flag: the flag's name.
        scores: the scores for which it is explained; "dead" names their dead parts.
    """
    if flag not in FLAGS:
        return "set by the code that recorded the score"
    parts = dict.fromkeys(f"{part} of {s.metric}" for s in scores for part in s.params.get("dead_parts", ()))
    text = FLAGS[flag].meaning
    return f"{text}: {', '.join(parts)}" if flag == "dead" and parts else text


def letter(flag: str) -> str:
    """Return the flag's letter in narrow tables; an unknown flag is shown in full."""
    return FLAGS[flag].letter if flag in FLAGS else flag


def flags_of(score: Score) -> tuple[str, ...]:
    """Return the score's flags, and those that follow from the weights of its models."""
    implied = (_WEIGHTS[kind] for kind in score.weights.values() if kind in _WEIGHTS)
    return score.flagged(*implied).flags
