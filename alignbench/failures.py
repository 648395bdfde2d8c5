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
        tests: the ids of the tests.
        models: the labels of the models that the tests use.
        experiments: the experiments that the tests belong to.
    """

    text: str
    tests: tuple[str, ...]
    models: tuple[str, ...]
    experiments: tuple[str, ...]

    @property
    def said(self) -> str:
        """The reason in a line, with the number of failed tests, their experiments and their models."""
        about = f"{plural(len(self.tests), 'test')} of {listed(self.experiments)}"
        about += f" with {listed(self.models)}" if self.models else ""
        return f"{about}: {self.text}"


def by_reason(failures: Iterable[Failure]) -> list[Reason]:
    """Return the reasons for which tests failed, those of most tests first."""
    by_text: dict[str, list[Failure]] = {}
    for failure in failures:
        by_text.setdefault(failure.reason, []).append(failure)
    reasons = [
        Reason(
            text,
            _distinct(f.nodeid for f in group),
            (*_distinct(m for f in group for m in f.encoders), *_distinct(m for f in group for m in f.llms)),
            _distinct(f.experiment for f in group),
        )
        for text, group in by_text.items()
    ]
    return sorted(reasons, key=lambda reason: -len(reason.tests))


def failed_tests(failures: Iterable[Failure]) -> int:
    """Return how many tests failed; a test that failed in its call and in its teardown counts once."""
    return len({failure.nodeid for failure in failures})


def gaps(experiments: Collection[str], failures: Iterable[Failure], scores: Iterable[Score]) -> list[str]:
    """Return what is missing from some experiments because tests failed, one line for each reason.

    Args:
        experiments: the names of the experiments.
        failures: the failures of the run.
        scores: the scores of the run.
    """
    models = {
        name
        for score in scores
        if score.experiment in experiments
        for name in (*score.weights, score.encoder, score.llm, score.other)
    }
    lines = []
    for reason in by_reason(f for f in failures if f.experiment in experiments):
        if absent := [model for model in reason.models if model not in models]:
            lines.append(f"{listed(absent)}, of which there is no score here ({reason.text})")
        elif reason.models:
            lines.append(f"some scores of {listed(reason.models)} ({reason.text})")
        else:
            lines.append(f"what {plural(len(reason.tests), 'test')} would have scored ({reason.text})")
    return lines


def missing(experiments: Collection[str], failures: Iterable[Failure], scores: Iterable[Score]) -> str:
    """Return the same as a sentence, or "" where nothing is missing."""
    lines = gaps(experiments, failures, scores)
    return f"Missing, because tests failed: {'; '.join(lines)}." if lines else ""


def listed(names: Iterable[str], most: int = _MOST_NAMED) -> str:
    """Return the names separated by commas; of many, the first few and the number of the others."""
    distinct = list(dict.fromkeys(names))
    rest = len(distinct) - most
    return ", ".join(distinct[:most]) + (f" and {rest} more" if rest > 0 else "")


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
