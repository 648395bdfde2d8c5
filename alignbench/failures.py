"""What is missing from a run because tests failed: by reason, and by experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from alignbench.types import Failure, Score

_MOST_NAMED = 6


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


def listed(names: Iterable[str], most: int = _MOST_NAMED) -> str:
    """Return names with commas; of many, the first few and how many more there are."""
    distinct = list(dict.fromkeys(names))
    rest = len(distinct) - most
    return ", ".join(distinct[:most]) + (f" and {rest} more" if rest > 0 else "")


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
