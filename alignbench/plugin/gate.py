"""The bridge to pytest-benchmark: where it saves timings, and what it compares them with."""

from __future__ import annotations

import itertools
import secrets
import statistics
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.experiments.speed.machine import threads_to_use
from alignbench.paths import exists, is_file
from alignbench.plugin.baseline import MIDDLE_OF, Baseline
from alignbench.plugin.selection import is_timed
from alignbench.plugin.terminal import Printer
from alignbench.session.environment import accelerator, git_commit, machine, versions
from alignbench.show.text import wrap
from alignbench.text import clean
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from alignbench.experiments.speed.rounds import Timing
    from alignbench.experiments.speed.works import Work
    from alignbench.plugin.baseline import Run
    from alignbench.session.options import Options

NO_PLUGIN = "timings need pytest-benchmark, which is not installed or switched off (-p no:benchmark)"
NO_WORKERS = "workers would time each other; run without -n"
SWITCHED_OFF = "timings are switched off (--benchmark-disable, --benchmark-skip)"
# What tells saved timings apart beside the machine; of the run's options those that shape a model's work.
_SETTINGS = ("dtype", "pooling", "layer", "llm_layer", "fit", "quantize")
_VERSIONS = ("python", "torch", "transformers", "numpy")
_ALL_COLUMNS = 10  # the default, said in older versions as a list of all there are
_NUMBERED = "[0-9][0-9][0-9][0-9]_"
_TOLERANCE = 0.1
_WORTH_SAYING = 1.02  # of what the machine itself has become slower
_SHOWN = 10  # of those that are slower
# While others use the machine, a core of one's own is still slower than on an idle one, but not by so much.
_BY_OTHERS = 1.7


@dataclass
class Gate:
    """The suite's part in saving and comparing timings.

    Args:
        config: pytest's.
        options: of the run.
        root: the folder that timings are saved in; None where the user chose a place that is none.
        tag: what the run is saved as; None where the user chose a name.
        made: the folders that were not there before, from the inside out.
        first: whether a comparison was asked for and nothing is saved yet.
        differences: what differs from the machine of the saved timings.
        unjudged: the tests that were slower while others used the machine.
        earlier: the timings of runs before the one that is compared with.
        unsaved: why the timings could not be saved, or "".
    """

    config: pytest.Config
    options: Options
    root: Path | None
    tag: str | None
    made: tuple[Path, ...] = ()
    first: bool = False
    differences: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)
    earlier: list[Run] = field(default_factory=list)
    unsaved: str = ""
    _looks: deque[float] = field(default_factory=deque)

    @classmethod
    def of_run(cls, config: pytest.Config, options: Options, output_dir: Path) -> Gate | None:
        """Set pytest-benchmark's options, before it reads them; None where it takes no part.

        Raises:
            UsageError: a comparison with several workers, or with a run that is not there.
        """
        option = config.option
        if not hasattr(option, "benchmark_storage"):
            return None
        if _with_workers(config):
            if option.benchmark_compare or option.benchmark_compare_fail:
                raise pytest.UsageError(
                    "--benchmark-compare: not together with -n, whose workers would time each other; "
                    "leave out -n"
                )
            option.benchmark_disable = True  # it would do so itself, with a warning at the end of every run
            return None
        if option.benchmark_storage == "file://./.benchmarks":  # the default
            option.benchmark_storage = f"file://{output_dir / 'speed' / accelerator(options.device)}"
        kind, _, place = option.benchmark_storage.rpartition("://")
        root = Path(place).absolute() if kind in {"", "file"} else None
        tag = None
        if not option.benchmark_save and not option.benchmark_autosave:
            # Two runs of one second would write one file, and be set apart together.
            moment = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
            tag = option.benchmark_autosave = f"{git_commit(config.rootpath) or 'no-commit'}_{moment}"
        _leave_out_table(option)
        folders = () if root is None else (root, *root.parents)
        gate = cls(config, options, root, tag, tuple(folder for folder in folders if not exists(folder)))
        if option.benchmark_compare and root is not None:
            gate._find_compared(root)
        config.pluginmanager.register(gate, "alignbench-gate")
        return gate

    @property
    def session(self) -> Any:
        """pytest-benchmark's own session."""
        return self.config.pluginmanager.get_plugin("pytest-benchmark")

    @property
    def tolerance(self) -> float:
        """The slowdown that may be: of `--benchmark-compare-fail`, the smallest share."""
        checks = self.config.option.benchmark_compare_fail or ()
        shares = [check.threshold / 100 for check in checks if "Percentage" in type(check).__name__]
        return min(shares, default=_TOLERANCE)

    @property
    def fails(self) -> bool:
        """Whether slower timings are to fail the run."""
        return bool(self.config.option.benchmark_compare_fail)

    @cached_property
    def baseline(self) -> Baseline:
        """What timings are compared with; of no use before pytest-benchmark has read its files."""
        return Baseline([*self._compared.values()], self.earlier)

    def too_slow_by(self, nodeid: str, timing: Timing) -> float:
        """Return by how many times a timing exceeds what fails the run, less 1; below 0 where it doesn't."""
        expected = self.baseline.expected(nodeid, _quiet(timing))
        return timing.median / (expected * (1 + self.tolerance)) - 1 if expected and self.fails else -1.0

    def judges(self, nodeid: str, timing: Timing) -> bool:
        """Say whether a timing can be compared: a slow one that load by others may explain can't."""
        if timing.busy and 0 < self.too_slow_by(nodeid, timing) <= _BY_OTHERS - 1:
            self.unjudged.append(nodeid)
            return False
        self.baseline.compare(nodeid, timing.median, _quiet(timing))
        return True

    def keep(self, benchmark: Any, work: Work, timing: Timing) -> None:
        """Hand a timing to pytest-benchmark, which saves and compares it.

        It takes no rounds that somebody else measured, but looks at its timer before and after each call of a
        function. So the function does nothing, and the timer, `now`, shows what was measured. Only a profile
        (`--benchmark-cprofile`) needs the work itself.
        """
        benchmark.group = work.group
        benchmark.extra_info |= {
            "busy": timing.busy,
            "load_by_others": timing.others,
            "disturbed_rounds": timing.disturbed,
            "repeated_rounds": timing.repeated,
            "calls_a_round": timing.calls,
            "reference": dict(timing.reference),
        }
        self._looks = deque(itertools.chain.from_iterable((0.0, seconds) for seconds in timing.seconds))
        target = work.call if benchmark.cprofile else lambda: None
        benchmark.pedantic(target, rounds=len(timing.seconds))

    def now(self) -> float:
        """Return the time that pytest-benchmark sees: 0 before a round, and after it what it took."""
        return self._looks.popleft()

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_generate_machine_info(self) -> dict[str, Any]:
        """Describe the machine by what timings depend on; nothing that changes from run to run."""
        installed = versions()
        known = {name: installed[name] for name in _VERSIONS}
        asked = {name: getattr(self.options, name) for name in _SETTINGS}
        return {**machine(), "threads": threads_to_use(), **known, **asked}

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_compare_machine_info(
        self, benchmarksession: Any, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
    ) -> None:
        """Keep what differs from the machine of the saved timings, to be said in a line, and earlier ones."""
        saved = compared_benchmark["machine_info"]
        for name in sorted(machine_info.keys() | saved.keys()):
            if machine_info.get(name) != saved.get(name):
                self.differences.append(f"{name} {machine_info.get(name)}, saved {saved.get(name)}")
        # pytest-benchmark's own warning prints both in full, and fails where reports are not under the folder
        # that pytest was started in.
        compared_benchmark["machine_info"] = machine_info
        if self.config.option.benchmark_compare is True:
            runs = [run for _, run in benchmarksession.storage.load()][-MIDDLE_OF:-1]
            self.earlier = [
                {bench["fullname"]: bench for bench in run["benchmarks"]}
                for run in runs
                if run.get("machine_info") == saved
            ]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Say what timings will be compared with."""
        timed = sum(map(is_timed, session.items))
        if timed and not self.config.option.collectonly:
            self._print(self._plan(timed))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Iterator[None]:
        """Have a run saved that timed something, and set apart one that was found slower or not judged.

        What is set apart stays, but the next run is not compared with it.
        """
        if self.tag is not None and not self.session.benchmarks:
            self.session.autosave = None  # pytest-benchmark would warn that there is nothing to save
        finish: Callable[[], None] = self.session.finish

        def finish_without_saving_if_need_be() -> None:
            try:
                finish()
            except OSError as error:  # that timings can't be written must not cost the scores
                self.unsaved = error.strerror or str(error)

        self.session.finish = finish_without_saving_if_need_be
        yield
        apart = "slower" if self.session.performance_regressions else "unjudged" if self.unjudged else None
        if self.root is not None and self.tag is not None and apart is not None:
            for path in self.root.glob(f"*/{_NUMBERED}{self.tag}.json"):
                path.rename(path.with_name(f"{apart}_{path.name}"))

    @pytest.hookimpl(wrapper=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Iterator[None]:
        """Let a regression end in exit status 1, without a traceback: what is slower has been said."""
        try:
            yield
        except Exception as error:
            if type(error).__name__ != "PerformanceRegression":
                raise
            terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """Take away the folders that pytest-benchmark made, if nothing was saved in them."""
        inside = self.root.glob("*") if self.root is not None and self.root in self.made else ()
        for folder in (*inside, *self.made):
            with suppress(OSError):
                folder.rmdir()

    def say_result(self) -> None:
        """Say what came of the comparison."""
        if self.unsaved:
            self._print([f"NOT SAVED under {self._shown(self.root)}: {self.unsaved}"])
        if self.first:
            self._print(["nothing was saved to compare with; this run is what the next is compared with"])
        elif self._compared and self.session.benchmarks:
            self._print(self._comparison(len(self.session.benchmarks)))

    @property
    def _compared(self) -> dict[Any, Run]:
        return getattr(self.session, "compared_mapping", None) or {}

    def _find_compared(self, root: Path) -> None:
        """Look for what is to be compared with; with nothing saved at all there is nothing to compare.

        Raises:
            UsageError: the run that was named is not there.
        """
        option = self.config.option
        asked = option.benchmark_compare
        there = [path.name for path in _saved_runs(root)]
        if asked is True:
            if not there:
                self.first = True
                option.benchmark_compare, option.benchmark_compare_fail = [], None
        elif not is_file(asked) and not any(name.startswith(asked.rstrip("*")) for name in there):
            hint = "; give the path of the tests before the option" if exists(asked) else ""
            known = ", ".join(name.partition("_")[0] for name in there[-5:]) or "none"
            raise pytest.UsageError(
                f"--benchmark-compare: no saved run {asked!r} under {self._shown(root)}; saved: {known}{hint}"
            )

    def _plan(self, timings: int) -> list[str]:
        text = f"{plural(timings, 'timing')} with {plural(threads_to_use(), 'thread')}"
        if self.first:
            return [f"{text}; nothing saved yet to compare with: the next run is compared with this one"]
        if self._compared:
            differ = [f"not the same as then: {'; '.join(self.differences)}"] if self.differences else []
            return [f"{text}; compared with {', '.join(map(str, self._compared))}", *differ]
        return [f"{text}; saved under {self._shown(self.root)}" if self.root else text]

    def _comparison(self, timings: int) -> list[str]:
        ratios, slowdowns = self.baseline.ratios, self.baseline.slowdowns
        slower = sorted(((r, name) for name, r in ratios.items() if r > 1 + self.tolerance), reverse=True)
        faster = sum(ratio < 1 / (1 + self.tolerance) for ratio in ratios.values())
        lines = [
            f"{len(ratios)} of {plural(timings, 'timing')} compared: {len(slower)} slower by more than "
            f"{self.tolerance:.0%}, {faster} faster"
        ]
        if slowdowns and (change := statistics.median(slowdowns)) > _WORTH_SAYING:
            lines.append(f"the machine itself is {change:.2f} times as slow as then, which is allowed for")
        if len(ratios) < timings:
            lines.append(f"nothing saved to compare with: {timings - len(ratios)}")
        if self.unjudged:
            lines.append(f"slower while other processes used the machine, not judged: {len(self.unjudged)}")
        lines += [
            f"  {ratio:.2f} times as long: {name.rpartition('::')[2]}" for ratio, name in slower[:_SHOWN]
        ]
        if len(slower) > _SHOWN:
            lines.append(f"  and {len(slower) - _SHOWN} more")
        return lines

    def _print(self, texts: Sequence[str]) -> None:
        printer = Printer(self.config)
        head = "speed  "
        for text in texts:
            indent = "  " if text.startswith("  ") else ""
            for line in wrap(clean(text), printer.width - len(head)):
                printer.lines([head + indent + line])
                head = " " * len(head)

    def _shown(self, path: Path | None) -> str:
        with suppress(ValueError, AttributeError):
            return str(path.relative_to(self.config.invocation_params.dir))  # type: ignore[union-attr]
        return str(path)


def why_not(config: pytest.Config) -> str | None:
    """Return why nothing is timed in this run; None where it is."""
    option = config.option
    if not hasattr(option, "benchmark_storage"):
        return NO_PLUGIN
    if _with_workers(config):
        return NO_WORKERS
    off = option.benchmark_skip or (option.benchmark_disable and not option.benchmark_enable)
    return SWITCHED_OFF if off else None


def _with_workers(config: pytest.Config) -> bool:
    """Whether tests are run by xdist's workers, or this is one of them."""
    return hasattr(config, "workerinput") or getattr(config.option, "dist", "no") != "no"


def _leave_out_table(option: Any) -> None:
    """Leave pytest-benchmark's table out, unless somebody asked for how it looks: the suite has its own."""
    all_columns = len(option.benchmark_columns or ()) in {0, _ALL_COLUMNS}
    asked = option.benchmark_verbose or option.benchmark_histogram or option.benchmark_cprofile
    if not asked and all_columns and (option.benchmark_sort, option.benchmark_group_by) == ("min", "group"):
        option.benchmark_quiet = True
    if all_columns:
        option.benchmark_columns = ["median", "iqr", "rounds"]  # what 80 columns have room for


def _saved_runs(root: Path) -> list[Path]:
    """Return the files of the runs that were saved on this machine and not set apart, the last one last."""
    from pytest_benchmark.utils import get_machine_id

    return sorted((root / str(get_machine_id())).glob(f"{_NUMBERED}*.json"))


def _quiet(timing: Timing) -> Mapping[str, float]:
    """Return what tells the machine's own speed: nothing while others use it, who slow it down as well."""
    return {} if timing.busy else timing.reference
