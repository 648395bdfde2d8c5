"""Gathers the scores of a run on the controller, also those of workers, and writes the run's files."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.cores import available_cores
from alignbench.embed import gives
from alignbench.encoders import Encoder
from alignbench.errors import AlignbenchError, AlignbenchWarning, UnwritableError
from alignbench.experiments.attention.scores import what_it_lacks
from alignbench.experiments.dead import flag_dead
from alignbench.experiments.many import plan_of
from alignbench.findings import REPORT, Findings
from alignbench.findings.files import ARTIFACTS
from alignbench.findings.publish import read_published
from alignbench.findings.toys import toy_warnings
from alignbench.metrics import METRICS
from alignbench.metrics.moments import CHUNK
from alignbench.paths import exists
from alignbench.plugin.calling import HookCalls
from alignbench.plugin.failures import usage_errors
from alignbench.plugin.forecast import Forecast
from alignbench.plugin.selection import Demand, demand_of, further_of, models_of, parts_of
from alignbench.plugin.terminal import TOKENS, PendingModel, Printer, TerminalProgress, plan, tokens_of
from alignbench.plugin.typed import pytest_command
from alignbench.session.bench import SessionBench
from alignbench.session.describe import describe_run, texts_warning
from alignbench.session.environment import shared_gpus
from alignbench.session.keep import Keeper
from alignbench.session.samples import keep_samples
from alignbench.session.selection import named_in, needed_by_ids
from alignbench.show import failure_lines, terminal_table
from alignbench.show.published import TITLE, beside_lines
from alignbench.show.text import wrap
from alignbench.text import clean
from alignbench.types import Run, Score
from alignbench.units import plural
from alignbench.weights import Location
from alignbench.weights.arrays import array_file
from alignbench.weights.handle import Handle

if TYPE_CHECKING:
    import warnings
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.datasets import Dataset
    from alignbench.llms import LLM
    from alignbench.plugin.against import Against
    from alignbench.plugin.bridge import Bridge
    from alignbench.plugin.failures import Failures
    from alignbench.session.runfolder import RunFolder
    from alignbench.session.session import Session
    from alignbench.weights.custom import Custom


class Collector:
    """The controller's part of the plugin: it looks for weights, gathers scores and writes the run.

    Scores arrive in test reports (`user_properties` of the call phase), so it makes no difference whether a
    test ran here or in a worker, and what a worker recorded before it crashed is kept.
    """

    def __init__(
        self,
        config: pytest.Config,
        session: Session,
        folder: RunFolder,
        failures: Failures,
        bridge: Bridge | None = None,
        against: Against | None = None,
        shared: Path | None = None,
    ) -> None:
        self.config = config
        self.bridge = bridge
        self.against = against
        self.shared = shared
        self.session = session
        self.folder = folder
        self.keeper = Keeper(folder)
        self.hooks = HookCalls(config)
        self.printer = Printer(config)
        self.failures = failures
        self.scores: dict[tuple[str, ...], Score] = {}
        self.loads: list[dict[str, Any]] = []
        self.warnings: dict[str, None] = {}
        self._skipped: list[str] = []
        self._unreadable: dict[str, str] = {}
        self.findings: Findings | None = None
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()
        self._planned = False
        self.forecast = Forecast(config, session)
        session.progress = TerminalProgress(config)

    @property
    def place(self) -> Path:
        """The folder with the run's files: the run's, or a temporary one if that can't be written."""
        return self.keeper.rescued or self.folder.path

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Look once for the weights of every model that the collected tests need, and print the plan."""
        if not self.config.option.collectonly and session.items:
            encoders, llms = tuple(self.session.encoders), tuple(self.session.llms)
            demand = demand_of(session.items, encoders, llms)
            if demand.needed or self._further_specs(demand.tests):
                self._read_data()
                possible = [item for item in session.items if not self.session.lacks(models_of(item))]
                self._plan(demand_of(possible, encoders, llms))
            else:
                self._check(demand.tests)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Do the same on an xdist controller, which has no items; a UsageError would crash a worker."""
        encoders, llms = tuple(self.session.encoders), tuple(self.session.llms)
        if not self._planned and (needed_by_ids(ids, encoders, llms) or self._further_specs(ids)):
            self._read_data()
            lacking = [name for name in llms if self.session.lacks([name])]
            ids = [name for name in ids if not (lacking and needed_by_ids([name], (), lacking))]
            needed = needed_by_ids(ids, encoders, llms)
            self._plan(Demand(ids, needed, needed))
        elif not self._planned:
            self._check(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what the test recorded; each score is on the disk before the next test ends."""
        self.forecast.note(report)
        if report.skipped and isinstance(report.longrepr, tuple):
            self._skipped.append(report.longrepr[2].removeprefix("Skipped: "))
        # The report of the call repeats what the setup recorded; only a failed setup has no call after it.
        if report.when != "call" and not (report.when == "setup" and report.failed):
            return
        value: Any
        for name, value in report.user_properties:
            if name == "alignbench":
                score = Score.from_dict(value)
                self.scores[report.nodeid, *score.key] = score
                self.keeper.log(score)
                self.hooks.call("pytest_alignbench_score", score=score)
            elif name == "alignbench-unwritten":
                self.keeper.note(*value)
            elif name == "alignbench-load":
                self.loads.append(value)
                if getattr(report, "node", None) is not None:  # it ran in a worker, which has no progress bar
                    self.printer.lines([f"{value['model']}: weights loaded in {value['seconds']:.1f} s"])

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Keep alignbench's warnings for the report, each once; those of workers arrive here, too."""
        if issubclass(warning_message.category, AlignbenchWarning):
            self.warnings[str(warning_message.message)] = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write scores.json, the figures, summary.md and report.html, unless there are no scores."""
        options = self.session.options
        self.forecast.end()
        statuses = []
        if self.scores:
            self._keep_samples()
            published = self._published()
            scores, run = flag_dead(self.scores.values()), self._describe()
            self.findings = Findings.of(scores, run, "this run", published)
            self.keeper.finish(self.findings, figures=options.figures)
            self.hooks.call("pytest_alignbench_findings", findings=self.findings, folder=self.place)
        if self.against is not None and not self.config.option.collectonly:
            whole = not self.keeper.missing and not self.hooks.failed
            passed = session.exitstatus == pytest.ExitCode.OK and whole
            statuses.append(self.against.finish(self.findings, self.place, self.printer, passed=passed))
        unsaved = self.bridge is not None and self.bridge.unsaved
        if self.keeper.missing or self.hooks.failed or unsaved:
            statuses.append(pytest.ExitCode.TESTS_FAILED)
        for status in statuses:
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = status

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self) -> None:
        """Print the ranking, the report's place, and the comparisons of scores and timings."""
        skipped = [
            line
            for sentence in texts_warning(self._skipped, "test")
            for line in wrap(sentence, self.printer.width, "  ")
        ]
        if self.findings is not None:
            report = self.place / REPORT if exists(self.place / REPORT) else self.place
            with contextlib.suppress(ValueError):
                report = report.relative_to(self.config.invocation_params.dir)
            lines = terminal_table(
                self.findings,
                width=self.printer.width,
                report=report,
                encoding=self.printer.encoding,
                figures=[path.stem for path in self.folder.path.glob("*.png")],
            )
            self.printer.section("alignbench", [*skipped, *lines])
            if self.shared is not None:
                lines = beside_lines(self.findings, self.printer.width, encoding=self.printer.encoding)
                lines = lines or [f"no result on this data in {self.shared}"]
                for name, why in self._unreadable.items():
                    lines += wrap(clean(f"{name} can't be read: {why}"), self.printer.width, "  ")
                self.printer.section(TITLE.lower(), lines)
        elif self.failures.hidden:
            lines = failure_lines(self.failures.known, self.printer.width, self.printer.encoding)
            self.printer.section("alignbench: no score was recorded", lines)
        elif skipped:
            self.printer.section("alignbench: no score was recorded", skipped)
        if self.hooks.failed:
            self.printer.section("alignbench: errors in hooks", self.hooks.lines())
        if sentence := self.keeper.sentence():
            self.printer.section("alignbench: not written", [clean(sentence)])
        if self.against is not None and self.against.lines:
            self.printer.section(clean(self.against.title), self.against.lines)
        if self.bridge is not None:
            self.bridge.print_result()

    def _published(self) -> tuple[Findings, ...]:
        """Return the published results on the data of this run; what can't be read becomes a warning."""
        if self.shared is None:
            return ()
        found, self._unreadable = read_published(self.shared, self.session.dataset.digest)
        reasons = (f"published result {name}: {why}" for name, why in self._unreadable.items())
        self.warnings |= dict.fromkeys(reasons)
        return found

    def _keep_samples(self) -> None:
        if self.session.options.thumbnails:
            try:
                self.warnings |= dict.fromkeys(keep_samples(self.folder, self.session.dataset))
            except UnwritableError as error:
                self.keeper.note(f"{ARTIFACTS}/{error.path.name}", error.why)

    def _read_data(self) -> Dataset:
        with (
            usage_errors(),
            self.printer.patience("data   reading and checking; large data take a while"),
        ):
            return self.session.dataset

    def _check(self, tests: Sequence[str]) -> None:
        """Check that the run has what the parts of experiments that it computes take."""
        with usage_errors():
            for experiment, part in parts_of(tests, self.session.options):
                part.check(SessionBench(self.session, experiment.name, tuple))

    def _plan(self, demand: Demand) -> None:
        self._planned = True
        dataset = self.session.dataset
        self._check(demand.tests)
        with usage_errors():
            _ = self.session.store  # so that an error of the store is reported once, and not for each model
        models, problems = [], []
        for model in (
            *(self.session.encoders[name] for name in demand.needed.vision),
            *(self.session.llms[name] for name in demand.needed.text if not self.session.lacks([name])),
        ):
            try:
                models.append(self._to_load(model, demand))
            except AlignbenchError as error:
                problems.append(clean(str(error)))
        if problems:
            raise pytest.UsageError(*problems)
        further, notes = self._further(demand)
        models += further
        self.warnings |= dict.fromkeys(self.session.copies)
        if any(model.passes for model in models):
            with usage_errors():  # before embeddings are computed that could not be kept
                self.session.store.try_writing()
        options = self.session.options
        # More workers than cores would only wait for each other.
        workers = min(self._workers_asked or 1, available_cores())
        seconds = self.forecast.begin(demand.tests, models, dataset, workers)
        scored = [model.info for model in models if model.missing is not None]
        toys = toy_warnings(scored, dataset.origin)
        width, warned = self.printer.width, [*self.session.copies, *toys]
        named = named_in(demand.tests, tuple(METRICS))
        metrics = [METRICS.get(name) for name in METRICS if name in named]
        notes += [("score", sentence) for sentence in plan_of(metrics, dataset.n_groups)]
        notes += [
            ("images", f"{experiment.name} looks at images of its own, not at these samples")
            for experiment, part in parts_of(demand.tests, options)
            if part.own_images
        ]
        if gpus := shared_gpus(self._workers_asked, options.device):
            notes.append(("gpus", gpus))
        self.printer.lines(plan(options, dataset, models, len(demand.tests), seconds, width, warned, notes))

    @property
    def _workers_asked(self) -> int:
        """The number of xdist's workers; 0 without them."""
        return getattr(self.config.option, "numprocesses", None) or 0

    def _further_specs(self, tests: Sequence[str]) -> tuple[str, ...]:
        """Return the specs of the encoders that the tests run beside the selected ones."""
        with usage_errors():
            return further_of(tests, self.session.options)

    def _further(self, demand: Demand) -> tuple[list[PendingModel], list[tuple[str, str]]]:
        """Return the encoders that the tests run beside the selected ones, and a note on those they lack."""
        found: list[PendingModel] = []
        lacking: dict[str, str] = {}
        specs = self._further_specs(demand.tests)
        for spec in specs:
            try:
                found.append(self._to_load(self.session.further(spec), demand, further=True))
            except AlignbenchError as error:
                lacking[spec.partition("=")[0]] = str(error)
        if not lacking:
            return found, []
        some = f"{len(lacking)} of {plural(len(specs), 'further encoder')} can't be had: {', '.join(lacking)}"
        return found, [("note", f"{some}. The first: {next(iter(lacking.values()))}")]

    def _to_load(
        self, model: Encoder | LLM | Custom, demand: Demand, *, further: bool = False
    ) -> PendingModel:
        if (file := array_file(model)) is not None:
            # This finds everything that is wrong with its rows now, instead of once in every test.
            used = sum(map(len, file.blocks_of(self.session.dataset, CHUNK)))
            return PendingModel(model.info, Location(file.source), 0, arrays=file.describe(used))
        located = model.locate() if isinstance(model, Handle) else Location(model.info.source)
        embedder, dataset = self.session.embedder, self.session.dataset
        # This also raises an error if a model that is only timed can't compute with the chosen options.
        missing = embedder.count_missing(model, dataset)
        name = model.info.stand_in_for or model.info.name
        patches = any(self.session.encoders[encoder] is model for encoder in demand.needed.patches)
        without_patches = (
            embedder.count_missing(model, dataset, "patches") if patches and gives(model, "patches") else 0
        )
        mapped = name in demand.mapped and len(what_it_lacks(model)) < 2
        apart = name in demand.apart and gives(model, "patches")
        timed = demand.timings.get(name, 0)
        embedded = further or name in (*demand.embedded.vision, *demand.embedded.text)
        to_embed = missing if embedded else None
        if isinstance(model, Handle) and (to_embed or without_patches or timed or mapped or apart):
            model.examine()
        pixels = model.pixels if isinstance(model, Encoder) else None
        notes = model.notes if isinstance(model, Handle) else ()
        footprint, alone = embedder.footprint(model), not self._workers_asked
        self.warnings |= dict.fromkeys(notes)
        return PendingModel(
            model.info,
            located,
            to_embed,
            without_patches,
            timed,
            mapped=mapped,
            apart=apart,
            notes=notes,
            size=model.size() if isinstance(model, Handle) else None,
            tokens=tokens_of(dataset) if model.info.side == "text" else TOKENS,
            pixels=pixels.said() if pixels is not None else "",
            memory=footprint.total if footprint is not None else 0,
            gpus=model.gpus(embedder.device, embedder.dtype) if alone and isinstance(model, Handle) else 1,
        )

    def _describe(self) -> Run:
        return describe_run(
            self.session,
            self.scores.values(),
            name=self.folder.path.name,
            started=self._started,
            seconds=time.perf_counter() - self._clock,
            command=pytest_command([*map(str, self.config.invocation_params.args)]),
            folder=self.config.rootpath,
            loads=self.loads,
            warnings=(*texts_warning(self._skipped, "test"), *self.warnings),
            failures=self.failures.known,
        )
