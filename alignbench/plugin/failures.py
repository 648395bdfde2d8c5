"""Tests that failed: errors that the user can fix become one line, and all are recorded for the report."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.errors import AlignbenchError
from alignbench.experiments import EXPERIMENTS
from alignbench.memory import is_out_of_memory
from alignbench.plugin.selection import experiment_of, needed_by_items, parameters_of
from alignbench.session.selection import needed_by_ids
from alignbench.text import clean, cut
from alignbench.types import Failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from alignbench.session.selection import ModelNames
    from alignbench.session.session import Session

_PROPERTY = "alignbench-failure"
_SEEN = "_alignbench_first_test"
_MOST = 400  # characters of a reason that is not a message of alignbench


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn errors that the user can fix into pytest's errors of usage, in one line.

    Raises:
        UsageError: there was an error of alignbench.
    """
    try:
        yield
    except AlignbenchError as error:
        raise pytest.UsageError(clean(error)) from error


class Failures:
    """The part of the plugin that explains failed tests, in the process that runs them and on the controller.

    An error that the user can fix becomes one line instead of a traceback. pytest's own sections leave it
    out, because one unreadable image can fail a hundred tests; the run's table has the line once. With
    `--full-trace`, pytest shows everything.

    Args:
        session: the run's session, which knows the models.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._known: dict[tuple[str, str], Failure] = {}
        self._hidden: set[tuple[str, str]] = set()

    @property
    def known(self) -> tuple[Failure, ...]:
        """The tests that have failed so far, in an order that does not depend on the workers."""
        return tuple(self._known[key] for key in sorted(self._known))

    @property
    def hidden(self) -> tuple[Failure, ...]:
        """The failures that pytest's own sections leave out."""
        return tuple(self._known[key] for key in sorted(self._hidden))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record in a test's report why it failed."""
        report = yield
        if report.failed:
            _explain(item, call, report, self.session, experiment_of(item))
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Shorten an error that keeps a file from being collected to one line, if the user can fix it."""
        report = yield
        call: pytest.CallInfo[Any] | None = getattr(report, "call", None)
        error = None if call is None or call.excinfo is None else call.excinfo.value
        if isinstance(error, AlignbenchError) and not collector.config.option.fulltrace:
            report.longrepr = clean(error)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the failures; on an xdist controller, also those of workers."""
        if report.failed:
            failure = _failure_of(report, self.session)
            self._known[failure.nodeid, failure.phase] = failure
            if _is_one_line(report):
                self._hidden.add((failure.nodeid, failure.phase))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, object, object]:
        """Keep pytest from printing failures that are in the run's table; it still counts them."""
        stats: dict[str, list[Any]] = terminalreporter.stats
        failed = {name: reports for name, reports in stats.items() if name in {"failed", "error"}}
        for name, reports in failed.items():
            stats[name] = [report for report in reports if not _is_one_line(report)]
        try:
            return (yield)
        finally:
            stats |= failed


def _explain(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    session: Session,
    experiment: str,
) -> None:
    """Record in the report why the test failed, and which models it uses."""
    error = None if call.excinfo is None else call.excinfo.value
    fixable = isinstance(error, AlignbenchError)
    if fixable:
        reason = clean(error) or type(error).__name__
    elif "alignbench_session" in getattr(item, "fixturenames", ()) and is_out_of_memory(error):
        fixable = True
        text = clean(error) or type(error).__name__
        reason = f"out of memory: {text}; fewer samples take less (--n-samples)"
    elif call.excinfo is not None:
        reason = _first_line(call.excinfo.exconly())
    else:
        reason = _first_line(str(report.longrepr))  # another plugin's verdict
    first = _first_test_with(error, report.nodeid)
    once = (fixable or first is not None) and not item.config.option.fulltrace
    if once:
        report.longrepr = reason if fixable else f"{reason} (see the traceback of {first})"
    encoders, llms = _labels(needed_by_items([item], tuple(session.encoders), tuple(session.llms)), session)
    metric = parameters_of(item).get("metric")
    failure = Failure(
        nodeid=report.nodeid,
        phase=str(report.when),
        experiment=experiment,
        reason=reason,
        encoders=encoders,
        llms=llms,
        metric=metric if isinstance(metric, str) else "",
    )
    report.user_properties.append((_PROPERTY, {"failure": failure.to_dict(), "once": once}))


def _first_test_with(error: BaseException | None, nodeid: str) -> str | None:
    """Return the test that failed with this very error object before; None if this is the first one.

    A fixture that many tests share raises the same error in all of them.
    """
    first: str | None = getattr(error, _SEEN, None)
    if first is None and error is not None:
        with suppress(AttributeError, TypeError):  # an error that takes no attribute
            setattr(error, _SEEN, nodeid)
    return first if first != nodeid else None


def _failure_of(report: pytest.TestReport, session: Session) -> Failure:
    """Return the failure that was recorded in a report, or what the test's id reveals."""
    if (noted := _noted(report)) is not None:
        return Failure.from_dict(noted["failure"])
    # Of a test during which its worker died, only the id is known.
    needed = needed_by_ids([report.nodeid], tuple(session.encoders), tuple(session.llms))
    encoders, llms = _labels(needed, session)
    file = report.nodeid.partition("::")[0].rpartition("/")[2].removesuffix(".py").removeprefix("test_")
    return Failure(
        nodeid=report.nodeid,
        phase="",
        experiment=file if file in EXPERIMENTS else "custom",
        reason=_first_line(str(report.longrepr)),
        encoders=encoders,
        llms=llms,
    )


def _labels(needed: ModelNames, session: Session) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels of those encoders and LLMs that the run has."""
    return (
        tuple(session.encoders[name].info.label for name in needed.vision if name in session.encoders),
        tuple(session.llms[name].info.label for name in needed.text if name in session.llms),
    )


def _is_one_line(report: Any) -> bool:
    noted = _noted(report)
    return noted is not None and bool(noted["once"])


def _noted(report: Any) -> dict[str, Any] | None:
    """Return what `_explain` recorded for this phase."""
    noted = [value for name, value in getattr(report, "user_properties", ()) if name == _PROPERTY]
    return noted[-1] if noted and noted[-1]["failure"]["phase"] == report.when else None


def _first_line(text: str) -> str:
    lines = [clean(line) for line in text.splitlines() if line.strip()]
    return cut(lines[0], _MOST) if lines else "no reason was given"
