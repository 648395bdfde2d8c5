"""Tests that failed: one line where the user can mend it, and a record for the report either way."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.errors import AlignbenchError
from alignbench.experiments import EXPERIMENTS
from alignbench.memory import is_out_of_memory
from alignbench.plugin.selection import experiment_of, needed_by_items
from alignbench.session.selection import needed_by_ids
from alignbench.text import clean, cut
from alignbench.types import Failure

if TYPE_CHECKING:
    from collections.abc import Generator

    from alignbench.session.session import Session

_PROPERTY = "alignbench-failure"
_SEEN = "_alignbench_first_test"
_MOST = 400  # characters of a reason that is no message of ours


class Failures:
    """The plugin's part that looks at failed tests: where they ran, and where the run is reported.

    An error that the user can mend is one line in the place of a traceback, and pytest's own sections leave
    it out: one unreadable image can fail a hundred tests, and its line is said once, by the run's table. With
    `--full-trace` everything is left to pytest.

    Args:
        session: knows the models by their names.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._known: dict[tuple[str, str], Failure] = {}
        self._hidden: set[tuple[str, str]] = set()

    @property
    def known(self) -> tuple[Failure, ...]:
        """The tests that have failed so far, in an order that does not depend on who ran them."""
        return tuple(self._known[key] for key in sorted(self._known))

    @property
    def hidden(self) -> tuple[Failure, ...]:
        """Those of them that pytest's own sections leave out."""
        return tuple(self._known[key] for key in sorted(self._hidden))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note with a test's report why it failed."""
        report = yield
        if report.failed:
            _explain(item, call, report, self.session, experiment_of(item))
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Say in one line why a file can't be collected, where the user can mend it."""
        report = yield
        call: pytest.CallInfo[Any] | None = getattr(report, "call", None)
        error = None if call is None or call.excinfo is None else call.excinfo.value
        if isinstance(error, AlignbenchError) and not collector.config.option.fulltrace:
            report.longrepr = clean(error)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what failed; on an xdist controller, in a worker, too."""
        if report.failed:
            failure = _failure_of(report, self.session)
            self._known[failure.nodeid, failure.phase] = failure
            if _is_one_line(report):
                self._hidden.add((failure.nodeid, failure.phase))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, object, object]:
        """Keep pytest from printing what is said once, in the run's table; it still counts it."""
        reports: dict[str, list[Any]] = terminalreporter.stats
        kept = {name: of for name, of in reports.items() if name in {"failed", "error"}}
        reports |= {name: [report for report in of if not _is_one_line(report)] for name, of in kept.items()}
        try:
            return (yield)
        finally:
            reports |= kept


def _explain(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    session: Session,
    experiment: str,
) -> None:
    """Note in the report why the test failed, and which models it is about."""
    error = None if call.excinfo is None else call.excinfo.value
    mendable = isinstance(error, AlignbenchError)
    if mendable:
        reason = clean(error) or type(error).__name__
    elif "alignbench_session" in getattr(item, "fixturenames", ()) and is_out_of_memory(error):
        mendable = True
        words = clean(error) or type(error).__name__
        reason = f"out of memory: {words}; fewer samples take less (--n-samples)"
    elif call.excinfo is not None:
        reason = _first_line(call.excinfo.exconly())
    else:
        reason = _first_line(str(report.longrepr))  # another plugin's verdict
    first = _first_test_with(error, report.nodeid)
    once = (mendable or first is not None) and not item.config.option.fulltrace
    if once:
        report.longrepr = reason if mendable else f"{reason} (the traceback is with {first})"
    needed = needed_by_items([item], tuple(session.encoders), tuple(session.llms))
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    metric = parameters.get("metric")
    failure = Failure(
        nodeid=report.nodeid,
        phase=str(report.when),
        experiment=experiment,
        reason=reason,
        encoders=tuple(session.encoders[n].info.label for n in needed.vision if n in session.encoders),
        llms=tuple(session.llms[n].info.label for n in needed.text if n in session.llms),
        metric=metric if isinstance(metric, str) else "",
    )
    report.user_properties.append((_PROPERTY, {"failure": failure.to_dict(), "once": once}))


def _first_test_with(error: BaseException | None, nodeid: str) -> str | None:
    """Return the test that failed with this very error before; None where this is the first.

    A fixture that is shared by many tests raises one error in all of them.
    """
    first: str | None = getattr(error, _SEEN, None)
    if first is None and error is not None:
        with suppress(AttributeError, TypeError):  # an error that takes no attribute
            setattr(error, _SEEN, nodeid)
    return first if first != nodeid else None


def _failure_of(report: pytest.TestReport, session: Session) -> Failure:
    """Return what is known of a failed test, whoever ran it."""
    if (noted := _noted(report)) is not None:
        return Failure.from_dict(noted["failure"])
    # A worker that died says no more than the test's id.
    needed = needed_by_ids([report.nodeid], tuple(session.encoders), tuple(session.llms))
    file = report.nodeid.partition("::")[0].rpartition("/")[2].removesuffix(".py").removeprefix("test_")
    return Failure(
        nodeid=report.nodeid,
        phase="",
        experiment=file if file in EXPERIMENTS else "custom",
        reason=_first_line(str(report.longrepr)),
        encoders=tuple(session.encoders[name].info.label for name in needed.vision),
        llms=tuple(session.llms[name].info.label for name in needed.text),
    )


def _is_one_line(report: Any) -> bool:
    noted = _noted(report)
    return noted is not None and bool(noted["once"])


def _noted(report: Any) -> dict[str, Any] | None:
    """Return what `_explain` noted of this phase."""
    noted = [value for name, value in getattr(report, "user_properties", ()) if name == _PROPERTY]
    return noted[-1] if noted and noted[-1]["failure"]["phase"] == report.when else None


def _first_line(text: str) -> str:
    lines = [clean(line) for line in text.splitlines() if line.strip()]
    return cut(lines[0], _MOST) if lines else "no reason was given"
