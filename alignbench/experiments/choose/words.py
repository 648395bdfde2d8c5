"""What a race found, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.stats.standings import beats_shuffled
from alignbench.stats.verdict import TOO_CLOSE, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.experiments.choose.course import Course


def said(course: Course, notes: Sequence[str] = ()) -> str:
    """Return the outcome of a race, what it took, and what speaks against it.

    Args:
        course: the race.
        notes: what else the reader should know.
    """
    race = course.race
    entered = len(race.looks[0].values) + len(race.looks[0].unscored)
    sentences = [
        f"Race of {entered} encoders for {course.llm} by {course.metric}: {_outcome(course)}.",
        f"It took {course.embedded:,} of the {course.whole:,} embeddings of all encoders on all samples "
        f"({course.embedded / course.whole:.0%}): {_origin(course)}.",
    ]
    unscored = {name: why for look in race.looks for name, why in look.unscored.items()}
    sentences += [f"{name} left the race without a score: {why}." for name, why in unscored.items()]
    survivors = race.survivors
    last = [course.scores[name, race.looks[-1].groups] for name in survivors]
    if survivors and not any(map(beats_shuffled, last)):
        verb = "does" if len(survivors) == 1 else "do"
        sentences.append(f"But {listed(list(survivors), 'and')} {verb} not beat shuffled pairs.")
    return " ".join([*sentences, *notes])


def _origin(course: Course) -> str:
    """Return how many embeddings were computed, and where the others came from."""
    cached = course.embedded - course.computed - course.given
    counts = {"computed": course.computed, "from the cache": cached, "from arrays": course.given}
    return listed([f"{count:,} {origin}" for origin, count in counts.items() if count], "and")


def _outcome(course: Course) -> str:
    race, names = course.race, list(course.race.survivors)
    if not names:
        return "no encoder has a score"
    groups = race.looks[-1].groups
    on = f"all {course.groups} groups" if groups == course.groups else f"{groups} of {course.groups} groups"
    if race.ending == "one is left":
        return f"{names[0]} is the best, after {on}"
    if race.ending == "margin":
        which = listed(names, "and")
        return f"{which} differ by less than the margin of {course.margin:g}, after {on}"
    undecided = f"{listed(names)} ({TOO_CLOSE})"
    if race.ending == "budget":
        return f"{undecided} when the budget of {course.budget} was spent, after {on}"
    return f"{undecided}, after {on}"
