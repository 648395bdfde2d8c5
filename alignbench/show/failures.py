"""The failed tests of a run, for the terminal and for the summary."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from alignbench.failures import by_reason, failed_tests
from alignbench.show.text import code, encodable, markdown
from alignbench.text import clean
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.types import Failure

_MOST_REASONS = 20
_MOST_TESTS = 3


def title(failures: Sequence[Failure]) -> str:
    """Return how many tests failed."""
    return f"{plural(failed_tests(failures), 'test')} failed; what they would have scored is missing"


def failure_lines(failures: Sequence[Failure], width: int = 80, encoding: str = "utf-8") -> list[str]:
    """Return the terminal's lines on which tests failed and why, with each reason only once.

    Args:
        failures: the run's failed tests.
        width: the terminal's columns; a longer word, such as a path, is not broken.
        encoding: the stream's encoding; characters that it lacks are replaced.
    """
    if not failures:
        return []
    reasons = by_reason(failures)
    lines = [f"{title(failures)}:"]
    for reason in reasons[:_MOST_REASONS]:
        lines += textwrap.wrap(
            encodable(clean(reason.said), encoding),
            width,
            initial_indent="  ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        tests = [encodable(clean(test), encoding) for test in reason.tests[:_MOST_TESTS]]
        lines += [f"    {test}" for test in tests]
        if (rest := len(reason.tests) - _MOST_TESTS) > 0:
            lines.append(f"    and {plural(rest, 'other test')}")
    if (rest := len(reasons) - _MOST_REASONS) > 0:
        lines.append(f"  and {plural(rest, 'other reason')}")
    return lines


def failure_markdown(failures: Sequence[Failure]) -> list[str]:
    """Return the summary's section on failed tests; empty if none failed."""
    if not failures:
        return []
    reasons = by_reason(failures)
    lines = [f"## {title(failures)}", ""]
    for reason in reasons[:_MOST_REASONS]:
        tests = ", ".join(map(code, reason.tests[:_MOST_TESTS]))
        rest = len(reason.tests) - _MOST_TESTS
        more = f" and {plural(rest, 'other test')}" if rest > 0 else ""
        lines.append(f"- {markdown(reason.said)} ({tests}{more})")
    if (rest := len(reasons) - _MOST_REASONS) > 0:
        lines.append(f"- and {plural(rest, 'other reason')}, in scores.json")
    return [*lines, ""]
