"""GitHub Actions: what failed or regressed as annotations, and the run's summary in that of the step."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alignbench.errors import UnwritableError
from alignbench.files import UnfitFileError, append_record, read_regular
from alignbench.plugin.against import COMPARISON
from alignbench.show.diff_words import change_text, of_what, score_name, values_of
from alignbench.show.folder import SUMMARY
from alignbench.text import clean
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from alignbench.findings.diff import Difference
    from alignbench.plugin.against import Against
    from alignbench.plugin.collect import Collector
    from alignbench.plugin.failures import Failures
    from alignbench.types import Failure

OTHERS = "pytest_github_actions_annotate_failures"
"""Another plugin that annotates failures; where it is, this one leaves them to it."""
MOST = 10  # GitHub shows no more errors of a step
_NAMED = 5
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = _DATA | {":": "%3A", ",": "%2C"}

Place = tuple[str, int]  # a file, relative to the repository, and a line


class GitHub:
    """Tells GitHub Actions of failures and regressions; only on the controller of a run there.

    Args:
        config: pytest's configuration.
        collector: knows the run's folder.
        failures: knows the failed tests.
        against: the comparison with an earlier run, if there is one.
    """

    def __init__(
        self, config: pytest.Config, collector: Collector, failures: Failures, against: Against | None
    ) -> None:
        self.config = config
        self.collector = collector
        self.failures = failures
        self.against = against
        self._places: dict[str, Place] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note where the test is."""
        if (place := _place(self.config.rootpath, report.location)) is not None:
            self._places[report.nodeid] = place

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the annotations, and append the run's summary to that of the step."""
        failed = () if self.config.pluginmanager.has_plugin(OTHERS) else self.failures.known
        regressions = () if self.against is None else self.against.regressions
        place = "" if self.against is None else self.against.place
        for line in commands(failed, regressions, self._places, place):
            terminalreporter.write_line(line)
        for said in self.collector.hooks.errors():
            terminalreporter.write_line(command(said, "a hook raised an error", None))
        if self.collector.findings is not None and (why := self._summarise()):
            terminalreporter.write_line(f"alignbench: {clean(why)}")

    def _summarise(self) -> str:
        """Append the run's summary and comparison to the step's; return why that failed, or ""."""
        if not (target := os.environ.get("GITHUB_STEP_SUMMARY")):
            return ""
        folder = self.collector.place
        names = [SUMMARY, *([COMPARISON] if self.against is not None and self.against.diff else [])]
        try:
            for name in names:
                append_record(Path(target), b"\n" + read_regular(folder / name) + b"\n")
        except (OSError, UnfitFileError, UnwritableError) as error:
            return f"the summary of the step lacks that of the run ({error})"
        return ""


def on_github() -> bool:
    """Return whether this process runs in GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def commands(
    failures: Sequence[Failure],
    regressions: Sequence[Difference],
    places: Mapping[str, Place],
    baseline: str,
) -> list[str]:
    """Return a workflow command for each reason of failures and for each regression, ten at most.

    Args:
        failures: the failed tests; those with the same reason share a command.
        regressions: the scores that became worse by more than their gates allow.
        places: node id -> where the test is.
        baseline: the earlier run as the user named it.
    """
    lines = [*_of_failures(failures, places), *(_of_regression(d, places, baseline) for d in regressions)]
    if (hidden := len(lines) - MOST + 1) > 1:
        rest = f"{hidden} more errors are in the log and in the run's report"
        return [*lines[: MOST - 1], command(rest, "alignbench", None)]
    return lines


def _of_failures(failures: Sequence[Failure], places: Mapping[str, Place]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for failure in failures:
        by_reason[failure.reason].append(failure.nodeid)
    for reason, nodeids in by_reason.items():
        tests = list(dict.fromkeys(nodeids))
        title = f"{plural(len(tests), 'test')} failed"
        more = [f"and {len(tests) - _NAMED} more"] if len(tests) > _NAMED else []
        yield command("\n".join([reason, *tests[:_NAMED], *more]), title, places.get(tests[0]))


def _of_regression(difference: Difference, places: Mapping[str, Place], baseline: str) -> str:
    before, after = values_of(difference)
    change = "" if difference.lost else f" ({change_text(difference)})"
    return command(
        f"{of_what(difference.after)}: {before} in {baseline}, {after} in this run{change}; "
        f"--align-compare-fail allows {difference.failed}",
        f"{score_name(difference.after)} regressed",
        places.get(difference.after.nodeid or ""),
    )


def command(message: str, title: str, place: Place | None) -> str:
    """Return the workflow command of an error, with everything escaped that GitHub would interpret."""
    where = () if place is None else (("file", place[0]), ("line", str(place[1])))
    properties = ",".join(f"{name}={_escaped(text, _PROPERTY)}" for name, text in (*where, ("title", title)))
    lines = "\n".join(clean(line) for line in message.splitlines())
    return f"::error {properties}::{_escaped(lines, _DATA)}"


def _escaped(text: str, codes: Mapping[str, str]) -> str:
    return "".join(codes.get(character, character) for character in text)


def _place(root: Path, location: tuple[str, int | None, str]) -> Place | None:
    """Return where a test is; None if its file is not in the repository."""
    file, line, _ = location
    path = Path(os.path.normpath(root / file))
    repository = Path(os.environ.get("GITHUB_WORKSPACE") or root)
    if not path.is_relative_to(repository):
        return None
    return path.relative_to(repository).as_posix(), (line or 0) + 1
