"""The bridge to pytest-benchmark, which saves timings and compares them with earlier ones."""

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
from alignbench.plugin.workers import with_workers
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
# The options that timings depend on; they are saved with the description of the machine.
_SETTINGS = ("dtype", "pooling", "layer", "llm_layer", "fit", "quantize")
_VERSIONS = ("python", "torch", "transformers", "numpy")
_ALL_COLUMNS = 10  # older versions of pytest-benchmark list all columns by default
_NUMBERED = "[0-9][0-9][0-9][0-9]_"
_TOLERANCE = 0.1
_WORTH_REPORTING = 1.02  # slowdown of the machine itself
_MOST_LISTED = 10  # slower timings
# The largest slowdown that other processes cause: they slow a timing down even if it has a core of its own.
_BY_OTHERS = 1.7


@dataclass(eq=False)
class Bridge:
    """The suite's part in saving and comparing timings.

    Args:
        config: pytest's configuration.
        options: the options of the run.
        root: the folder that timings are saved in; None if the user chose a storage that is not a folder.
        tag: the name under which the run is saved; None if the user chose one.
        made: the folders that did not exist before, the innermost first.
        first: whether the user asked for a comparison although nothing has been saved yet.
        differences: how this machine differs from that of the saved timings.
        unjudged: the tests that were slower while other processes used the machine.
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
    def of_run(cls, config: pytest.Config, options: Options, output_dir: Path) -> Bridge | None:
        """Set pytest-benchmark's options before it reads them; return None if the run has no timings.

        Raises:
            UsageError: a comparison was asked for with several workers, or with a run that does not exist.
        """
        option = config.option
        if "benchmark_storage" not in option:
            return None
        if with_workers(config):
            if option.benchmark_compare or option.benchmark_compare_fail:
                raise pytest.UsageError(
                    "--benchmark-compare: not together with -n, whose workers would time each other; "
                    "leave out -n"
                )
            option.benchmark_disable = True  # otherwise it does so itself, with a warning in every run
            return None
        if option.benchmark_storage == "file://./.benchmarks":  # the default
            option.benchmark_storage = f"file://{output_dir / 'speed' / accelerator(options.device)}"
        kind, _, place = option.benchmark_storage.rpartition("://")
        root = Path(place).absolute() if kind in {"", "file"} else None
        tag = None
        if not option.benchmark_save and not option.benchmark_autosave:
            # The random part keeps two runs that begin in the same second apart.
            moment = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
            tag = option.benchmark_autosave = f"{git_commit(config.rootpath) or 'no-commit'}_{moment}"
        _leave_out_table(option)
        folders = () if root is None else (root, *root.parents)
        bridge = cls(config, options, root, tag, tuple(folder for folder in folders if not exists(folder)))
        if option.benchmark_compare and root is not None:
            bridge._find_compared(root)
        config.pluginmanager.register(bridge, "alignbench-bridge")
        return bridge

    @property
    def session(self) -> Any:
        """The session of pytest-benchmark."""
        return self.config.pluginmanager.get_plugin("pytest-benchmark")

    @property
    def tolerance(self) -> float:
        """The slowdown that is accepted: the smallest share in `--benchmark-compare-fail`."""
        checks = self.config.option.benchmark_compare_fail or ()
        shares = [check.threshold / 100 for check in checks if "Percentage" in type(check).__name__]
        return min(shares, default=_TOLERANCE)

    @property
    def fails(self) -> bool:
        """Whether slower timings fail the run."""
        return bool(self.config.option.benchmark_compare_fail)

    @cached_property
    def baseline(self) -> Baseline:
        """What timings are compared with; not to be used before pytest-benchmark has read its files."""
        return Baseline([*self._compared.values()], self.earlier)

    def too_slow_by(self, nodeid: str, timing: Timing) -> float:
        """Return by which share a timing exceeds the limit that fails the run; below 0 if it does not."""
        expected = self.baseline.expected(nodeid, _quiet(timing))
        return timing.median / (expected * (1 + self.tolerance)) - 1 if expected and self.fails else -1.0

    def judges(self, nodeid: str, timing: Timing) -> bool:
        """Compare a timing and return True; return False if other processes may have slowed it down."""
        if timing.busy and 0 < self.too_slow_by(nodeid, timing) <= _BY_OTHERS - 1:
            self.unjudged.append(nodeid)
            return False
        self.baseline.compare(nodeid, timing.median, _quiet(timing))
        return True

    def keep(self, benchmark: Any, work: Work, timing: Timing) -> None:
        """Pass a timing to pytest-benchmark, which saves and compares it.

        pytest-benchmark accepts no rounds that were measured before; it reads its timer before and after each
        call of a function. So it gets a function that does nothing, and a timer, `now`, that returns what was
        measured. Only a profile (`--benchmark-cprofile`) needs the work itself.
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
        """Return the time that pytest-benchmark sees: 0 before a round, and its duration after it."""
        return self._looks.popleft()

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_generate_machine_info(self) -> dict[str, Any]:
        """Describe what timings depend on and what does not change from run to run."""
        installed = versions()
        used = {name: installed[name] for name in _VERSIONS}
        settings = {name: getattr(self.options, name) for name in _SETTINGS}
        return {**machine(), "threads": threads_to_use(), **used, **settings}

    @pytest.hookimpl(tryfirst=True)
    def pytest_benchmark_compare_machine_info(
        self, benchmarksession: Any, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
    ) -> None:
        """Keep the differences from the machine of the saved timings, and read the earlier timings."""
        saved = compared_benchmark["machine_info"]
        for name in sorted(machine_info.keys() | saved.keys()):
            if machine_info.get(name) != saved.get(name):
                self.differences.append(f"{name} {machine_info.get(name)}, saved {saved.get(name)}")
        # pytest-benchmark's own warning would print both in full, and it fails if the reports are not below
        # the folder in which pytest was started.
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
        """Print what timings will be compared with."""
        timed = sum(map(is_timed, session.items))
        if timed and not self.config.option.collectonly:
            self._print(self._plan(timed))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Iterator[None]:
        """Save the timings, and rename the file if some of them are slower or were not judged.

        A renamed file is kept, but later runs are not compared with it.
        """
        if self.tag is not None and not self.session.benchmarks:
            self.session.autosave = None  # pytest-benchmark would warn that there is nothing to save
        finish: Callable[[], None] = self.session.finish

        def finish_even_if_unsaved() -> None:
            try:
                finish()
            except OSError as error:  # timings that can't be written must not cost the scores
                self.unsaved = error.strerror or str(error)

        self.session.finish = finish_even_if_unsaved
        yield
        prefix = "slower" if self.session.performance_regressions else "unjudged" if self.unjudged else None
        if self.root is not None and self.tag is not None and prefix is not None:
            for path in self.root.glob(f"*/{_NUMBERED}{self.tag}.json"):
                path.rename(path.with_name(f"{prefix}_{path.name}"))

    @pytest.hookimpl(wrapper=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Iterator[None]:
        """Let a regression end with exit status 1, without a traceback, as it has been reported."""
        try:
            yield
        except Exception as error:
            if type(error).__name__ != "PerformanceRegression":
                raise
            terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """Remove the folders that pytest-benchmark created, if nothing was saved in them."""
        inside = self.root.glob("*") if self.root is not None and self.root in self.made else ()
        for folder in (*inside, *self.made):
            with suppress(OSError):
                folder.rmdir()

    def print_result(self) -> None:
        """Print the result of the comparison."""
        if self.unsaved:
            self._print([f"NOT SAVED under {self._relative(self.root)}: {self.unsaved}"])
        if self.first:
            self._print(["nothing was saved to compare with; the next run is compared with this one"])
        elif self._compared and self.session.benchmarks:
            self._print(self._comparison(len(self.session.benchmarks)))

    @property
    def _compared(self) -> dict[Any, Run]:
        return getattr(self.session, "compared_mapping", None) or {}

    def _find_compared(self, root: Path) -> None:
        """Check that the run to compare with exists; if nothing is saved at all, switch comparing off.

        Raises:
            UsageError: the run that the user named does not exist.
        """
        option = self.config.option
        run = option.benchmark_compare
        saved = [path.name for path in _saved_runs(root)]
        if run is True:
            if not saved:
                self.first = True
                option.benchmark_compare, option.benchmark_compare_fail = [], None
        elif not is_file(run) and not any(name.startswith(run.rstrip("*")) for name in saved):
            hint = "; give the path of the tests before the option" if exists(run) else ""
            known = ", ".join(name.partition("_")[0] for name in saved[-5:]) or "none"
            where = self._relative(root)
            raise pytest.UsageError(
                f"--benchmark-compare: no saved run {run!r} under {where}; saved: {known}{hint}"
            )

    def _plan(self, timings: int) -> list[str]:
        text = f"{plural(timings, 'timing')} with {plural(threads_to_use(), 'thread')}"
        if self.first:
            return [f"{text}; nothing saved yet to compare with: the next run is compared with this one"]
        if self._compared:
            differ = [f"not the same as then: {'; '.join(self.differences)}"] if self.differences else []
            return [f"{text}; compared with {', '.join(map(str, self._compared))}", *differ]
        return [f"{text}; saved under {self._relative(self.root)}" if self.root else text]

    def _comparison(self, timings: int) -> list[str]:
        ratios, slowdowns = self.baseline.ratios, self.baseline.slowdowns
        slower = sorted(((r, name) for name, r in ratios.items() if r > 1 + self.tolerance), reverse=True)
        faster = sum(ratio < 1 / (1 + self.tolerance) for ratio in ratios.values())
        lines = [
            f"{len(ratios)} of {plural(timings, 'timing')} compared: {len(slower)} slower by more than "
            f"{self.tolerance:.0%}, {faster} faster"
        ]
        if slowdowns and (change := statistics.median(slowdowns)) > _WORTH_REPORTING:
            lines.append(f"the machine itself is {change:.2f} times as slow as then, which is allowed for")
        if len(ratios) < timings:
            lines.append(f"nothing saved to compare with: {timings - len(ratios)}")
        if self.unjudged:
            lines.append(f"slower while other processes used the machine, not judged: {len(self.unjudged)}")
        lines += [
            f"  {ratio:.2f} times as long: {name.rpartition('::')[2]}"
            for ratio, name in slower[:_MOST_LISTED]
        ]
        if len(slower) > _MOST_LISTED:
            lines.append(f"  and {len(slower) - _MOST_LISTED} more")
        return lines

    def _print(self, texts: Sequence[str]) -> None:
        printer = Printer(self.config)
        head = "speed  "
        for text in texts:
            indent = "  " if text.startswith("  ") else ""
            for line in wrap(clean(text), printer.width - len(head)):
                printer.lines([head + indent + line])
                head = " " * len(head)

    def _relative(self, path: Path | None) -> str:
        with suppress(ValueError, AttributeError):
            return str(path.relative_to(self.config.invocation_params.dir))  # type: ignore[union-attr]
        return str(path)


def why_not(config: pytest.Config) -> str | None:
    """Return why this run times nothing; None if it times."""
    option = config.option
    if "benchmark_storage" not in option:
        return NO_PLUGIN
    if with_workers(config):
        return NO_WORKERS
    off = option.benchmark_skip or (option.benchmark_disable and not option.benchmark_enable)
    return SWITCHED_OFF if off else None


def _leave_out_table(option: Any) -> None:
    """Leave out pytest-benchmark's table unless its options were set, because the suite has its own."""
    all_columns = len(option.benchmark_columns or ()) in {0, _ALL_COLUMNS}
    wanted = option.benchmark_verbose or option.benchmark_histogram or option.benchmark_cprofile
    if not wanted and all_columns and (option.benchmark_sort, option.benchmark_group_by) == ("min", "group"):
        option.benchmark_quiet = True
    if all_columns:
        option.benchmark_columns = ["median", "iqr", "rounds"]  # these fit into 80 columns


def _saved_runs(root: Path) -> list[Path]:
    """Return the files of the runs that were saved on this machine and not renamed, the last one last."""
    from pytest_benchmark.utils import get_machine_id

    return sorted((root / str(get_machine_id())).glob(f"{_NUMBERED}*.json"))


def _quiet(timing: Timing) -> Mapping[str, float]:
    """Return the timings of reference work; an empty mapping if other processes slowed it down."""
    return {} if timing.busy else timing.reference
