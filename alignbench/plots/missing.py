"""What is missing from a run because tests failed: by reason, by experiment, and under a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.plots.declared import shown_in
from alignbench.plots.style import MUTED, NOTE_LETTERS_AN_INCH, styled
from alignbench.plots.text import cut
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from matplotlib.figure import Figure

    from alignbench.types import Failure, Score

_MOST_NAMED = 6
_MOST_LINES = 3  # under a figure
_NOTE_WIDTH = 160  # columns of a line there
_LINE_HEIGHT = 0.14  # inches of a line there


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for which tests failed.

    Args:
        text: the reason.
        tests: their ids.
        models: the labels of the models that they are about.
        experiments: that they belong to.
    """

    text: str
    tests: tuple[str, ...]
    models: tuple[str, ...]
    experiments: tuple[str, ...]

    @property
    def said(self) -> str:
        """The reason in a line, with how many tests it failed and what they are about."""
        about = f"{plural(len(self.tests), 'test')} of {listed(self.experiments)}"
        about += f" with {listed(self.models)}" if self.models else ""
        return f"{about}: {self.text}"


def by_reason(failures: Iterable[Failure]) -> list[Reason]:
    """Return the reasons for which tests failed, those of most tests first."""
    found: dict[str, list[Failure]] = {}
    for failure in failures:
        found.setdefault(failure.reason, []).append(failure)
    reasons = [
        Reason(
            text,
            _distinct(f.nodeid for f in own),
            (*_distinct(m for f in own for m in f.encoders), *_distinct(m for f in own for m in f.llms)),
            _distinct(f.experiment for f in own),
        )
        for text, own in found.items()
    ]
    return sorted(reasons, key=lambda reason: -len(reason.tests))


def failed_tests(failures: Iterable[Failure]) -> int:
    """Return how many tests failed; one that failed in its call and after it is one."""
    return len({failure.nodeid for failure in failures})


def gaps(experiments: Collection[str], failures: Iterable[Failure], scores: Iterable[Score]) -> list[str]:
    """Return what is missing from experiments because tests failed, with the reason, a line each.

    Args:
        experiments: which.
        failures: of the run.
        scores: of the run.
    """
    own = [score for score in scores if score.experiment in experiments]
    scored = {name for s in own for name in (*s.weights, s.encoder, s.llm, s.other)}
    found = []
    for reason in by_reason(f for f in failures if f.experiment in experiments):
        if absent := [model for model in reason.models if model not in scored]:
            found.append(f"{listed(absent)}, of which there is no score here ({reason.text})")
        elif reason.models:
            found.append(f"some scores of {listed(reason.models)} ({reason.text})")
        else:
            found.append(f"what {plural(len(reason.tests), 'test')} would have scored ({reason.text})")
    return found


def missing(experiments: Collection[str], failures: Iterable[Failure], scores: Iterable[Score]) -> str:
    """Return the same as a sentence, or "" where nothing is missing."""
    found = gaps(experiments, failures, scores)
    return f"Missing, because tests failed: {'; '.join(found)}." if found else ""


@styled
def note_missing(figure: Figure, name: str, failures: Sequence[Failure], scores: Iterable[Score]) -> None:
    """Say under a figure what is missing from it, and why.

    Args:
        figure: is changed.
        name: of its file.
        failures: of the run.
        scores: of the run.
    """
    found = gaps(shown_in(name), failures, scores)
    if not found:
        return
    width = min(_NOTE_WIDTH, int(figure.get_figwidth() * NOTE_LETTERS_AN_INCH))
    lines = [cut(f"Missing: {gap}", width) for gap in found[:_MOST_LINES]]
    if len(found) > _MOST_LINES:
        lines.append(f"and {plural(len(found) - _MOST_LINES, 'other gap')}: see the report")
    figure.set_figheight(figure.get_figheight() + _LINE_HEIGHT * len(lines))
    before = figure.get_supxlabel()
    text = "\n".join([*([before] if before else []), *lines])
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8, color=MUTED)


def listed(names: Iterable[str], most: int = _MOST_NAMED) -> str:
    """Return names with commas; of many, the first few and how many more there are."""
    distinct = list(dict.fromkeys(names))
    rest = len(distinct) - most
    return ", ".join(distinct[:most]) + (f" and {rest} more" if rest > 0 else "")


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
