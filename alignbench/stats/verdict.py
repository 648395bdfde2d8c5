"""Which encoder is the best, in words: the same in terminal, summary, report, web page, figures and diff."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from alignbench.stats import Standings

TOO_CLOSE = "too close to call"
NONE_BEATS = "no encoder beats shuffled pairs here"
MOST_NAMED = 4


def verdict(standing: Standings, show: Callable[[str], str] = str) -> str:
    """Return which encoder is the best, or which of them may be, or that none is.

    For example `mini-clip`, `mini-dinov2 or mini-clip (too close to call)`, `mini-clip (ties unknown)` or
    `no encoder beats shuffled pairs here`.

    Args:
        standing: the order of the encoders and their ties.
        show: how an encoder's name is written where the words go.
    """
    if not standing.order:
        return "not ranked"
    if not standing.beats_shuffled:
        return NONE_BEATS
    names = list(map(show, standing.top))
    if not standing.answer:
        verb = "have the top scores but do" if len(names) > 1 else "has the top score but does"
        return f"undecided: {listed(names, 'and')} {verb} not beat shuffled pairs"
    top = listed(names)
    if standing.tie_groups is None:
        return f"{top} (ties unknown)"
    return f"{top} ({TOO_CLOSE})" if len(names) > 1 else top


def headline(standing: Standings, show: Callable[[str], str] = str) -> str:
    """Return the verdict with a capital, unless it begins with a name."""
    said = verdict(standing, show)
    return said if standing.answer else f"{said[0].upper()}{said[1:]}"


def sentence(standing: Standings, show: Callable[[str], str] = str) -> str:
    """Return the verdict as a sentence; only an encoder that nothing ties with is called the best."""
    return f"{'Best: ' if standing.winner else ''}{headline(standing, show)}."


def listed(names: list[str], word: str = "or") -> str:
    """Return `a or b`, `a, b or c`, or of more than four the first three and how many others."""
    if len(names) > MOST_NAMED:
        names = [*names[: MOST_NAMED - 1], plural(len(names) - MOST_NAMED + 1, "other")]
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
