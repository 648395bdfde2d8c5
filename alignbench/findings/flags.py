"""What each flag on a score means, in one sentence, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    "conservative": Flag("c", "interval from 10 blocks of groups, refitted: wider than necessary"),
    "n_too_small": Flag("n", "too few groups for an interval: ties are unknown"),
    "no_interval": Flag(
        "i", "the value does not exist without some block of groups, so there is no interval"
    ),
    "repeated_rows": Flag(
        "=",
        "rows are copies of others, yet each counts as a sample of its own: p and interval are too good to "
        "be true; give groups",
    ),
    "dead": Flag(
        "d",
        "a part of this sum is at its floor or its ceiling for every pair of the run and tells none apart",
    ),
    "fidelity": Flag("F", "computed as published, for comparison only; not what a choice should rest on"),
    "separate_bases": Flag("B", "each side in a basis of its own: compares eigenvalues, not directions"),
    "busy": Flag("b", "other processes used the machine at the same time, so it is slower than it could be"),
    "subsampled": Flag("s", "computed on a drawn part of the groups"),
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
    "not_estimable": Flag("?", "too few trainings to tell: see the smallest p that they can give"),
    "stand-in": Flag("*", "a built-in toy model stood in for the one that was asked for"),
    "control": Flag("R", "untrained; where it ranks high, the ranking says little"),
}

_WEIGHTS = {"stand-in": "stand-in", "random": "control"}


def meaning(flag: str, scores: Iterable[Score] = ()) -> str:
    """Return the sentence that explains `flag`; of an unknown one, who set it.

    Args:
        flag: its name.
        scores: those that it is explained for; parts of theirs that are dead are named.
    """
    if flag != "dead":
        return FLAGS[flag].meaning if flag in FLAGS else "set by whoever recorded the score"
    parts = dict.fromkeys(f"{part} of {s.metric}" for s in scores for part in s.params.get("dead_parts", ()))
    return f"{FLAGS[flag].meaning}{': ' if parts else ''}{', '.join(parts)}"


def letter(flag: str) -> str:
    """Return the flag's letter in narrow tables; an unexplained one is shown in full."""
    return FLAGS[flag].letter if flag in FLAGS else flag


def flags_of(score: Score) -> tuple[str, ...]:
    """Return the score's flags and those that follow from what its models' weights were."""
    implied = (_WEIGHTS[kind] for kind in score.weights.values() if kind in _WEIGHTS)
    return score.flagged(*implied).flags
