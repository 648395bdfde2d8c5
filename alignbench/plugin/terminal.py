"""What a run prints: its plan before, its progress during, and sections of the summary after."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from threading import Timer
from typing import TYPE_CHECKING, Any

from alignbench.llms.gguf import is_converted
from alignbench.plugin.costs import MEASURED_SAMPLES
from alignbench.show.text import wrap
from alignbench.text import clean
from alignbench.units import duration_text, plural, size_text
from alignbench.weights.files import is_gguf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pytest

    from alignbench.datasets import Dataset
    from alignbench.session.options import Options
    from alignbench.types import ModelInfo
    from alignbench.weights import Location
    from alignbench.weights.sizes import ModelSize

# Rough on purpose, because a plan says "about"; measured on two CPU cores.
_TIMED_SAMPLES = 60  # samples of a model in one timing, on average over the batch sizes
_READ_BYTES_PER_SECOND = 4e8
_FLOPS = {"cpu": 1.5e11, "accelerator": 3e13}
TOKENS = 200  # tokens of an image, or of a text of unknown length
_BYTES_PER_PARAMETER = 2
_BYTES_PER_TOKEN = 4
_CONVERTED_BYTES_PER_SECOND = 1e7  # GGUF files are converted once
_WORTH_SAYING = 256 * 2**20  # bytes of memory
_HEAD = 7  # width of the first column of a plan
_DOWNLOAD_BYTES_PER_SECOND = 3e7


@dataclass(frozen=True, slots=True)
class PendingModel:
    """A model of the run, with the place of its weights and the work that it has yet to do.

    Args:
        info: the description of the model.
        located: the place of its weights.
        missing: the number of samples that it has yet to embed; None if no test needs its embeddings.
        patches: the number of samples without patch vectors, if patches are used.
        timed: the number of tests that time it; for these it is loaded even if everything is embedded.
        arrays: the description of the arrays that stand in the place of a model; "" for a model.
        mapped: whether its attention maps are drawn, for which it is loaded, too.
        apart: whether it embeds images that are not the run's, for which it is loaded unless they are cached.
        notes: what readers of its scores have to know.
        size: its size; None if it is unknown.
        tokens: about how many tokens a sample becomes.
        pixels: for an encoder, how an image becomes its input.
        memory: about how many bytes embedding with it takes on its device; 0 if that is unknown.
        gpus: over how many GPUs it is distributed.
    """

    info: ModelInfo
    located: Location
    missing: int | None
    patches: int = 0
    timed: int = 0
    arrays: str = ""
    mapped: bool = False
    apart: bool = False
    notes: tuple[str, ...] = ()
    size: ModelSize | None = None
    tokens: int = TOKENS
    pixels: str = ""
    memory: int = 0
    gpus: int = 1

    @property
    def name(self) -> str:
        """The name that the user chose, which test ids have."""
        return self.info.stand_in_for or self.info.name

    @property
    def passes(self) -> int:
        """The number of samples that it has yet to embed, in either way."""
        return (self.missing or 0) + self.patches

    @property
    def parameters(self) -> int:
        """About how many parameters it has."""
        return self.bytes // _BYTES_PER_PARAMETER if self.size is None else self.size.parameters

    @property
    def bytes(self) -> int:
        """The size of its weights."""
        return self.located.size or self.located.download

    @property
    def todo(self) -> str:
        """Its remaining work, in words."""
        work = []
        if self.missing:
            work.append(f"{self.missing} to embed")
        if self.patches:
            work.append(f"patches of {self.patches} to embed")
        if self.missing == 0 and not self.patches:
            work.append("cached")
        if self.timed:
            work.append("loaded to be timed")
        if self.mapped:
            work.append("loaded for attention maps")
        if self.apart:
            work.append("pairs of images to match")
        if not self.loads:
            work.append("not loaded")
        return ", ".join(work)

    @property
    def loads(self) -> bool:
        """Whether its weights are loaded."""
        return bool(self.passes or self.timed or self.mapped or self.apart)

    @property
    def place(self) -> str:
        """What it takes on its device, in words; "" if that is little or nothing."""
        if not self.loads or self.memory < _WORTH_SAYING:
            return ""
        over = f", distributed over {self.gpus} GPUs" if self.gpus > 1 else ""
        return f", about {size_text(self.memory)} in memory{over}"


def plan(
    options: Options,
    dataset: Dataset,
    models: Sequence[PendingModel],
    tests: int,
    seconds: float,
    width: int = 80,
    warned: Sequence[str] = (),
    notes: Sequence[tuple[str, str]] = (),
) -> list[str]:
    """Return the plan: what the run loads and downloads, and how long it takes.

    Args:
        options: the options of the run.
        dataset: the data of the run.
        models: the models that the tests need.
        tests: the number of tests.
        seconds: the expected duration.
        width: the largest width of a line.
        warned: warnings about the scores of this run.
        notes: (heading, sentence) about what many pairs or several GPUs change.
    """
    rows = [("data" if i == 0 else "", line) for i, line in enumerate(dataset.describe())]
    if len(options.config.origin) > 1:
        rows.append(("config", ", ".join(options.config.origin[1:])))
    for model in models:
        if model.arrays:
            rows.append(("model", f"{model.info.label}: {model.arrays}"))
            continue
        size = f", {size_text(model.bytes)}" if model.bytes else ""
        todo = model.todo
        if model.located.download:
            todo += f", download {size_text(model.located.download)} from {model.located.source} first"
        rows.append(("model", f"{model.info.label}: {model.info.weights_words}{size}, {todo}{model.place}"))
        if model.pixels:
            rows.append(("", f"  sees {model.pixels}"))
    rows += [("note", note) for model in models for note in model.notes]
    download = sum(model.located.download for model in models)
    fetched = size_text(download) if download else "nothing"
    # Most tests take longer with more samples, each in its own way, so the estimate only holds for few.
    bound = "about" if len(dataset) <= 2 * MEASURED_SAMPLES else "at least"
    rows += notes
    rows += [("warn", sentence) for sentence in warned]
    rows.append(("plan", f"{plural(tests, 'test')}; download {fetched}; {bound} {duration_text(seconds)}"))
    return [
        f"{head if i == 0 else '':<{_HEAD}}{line}"
        for head, text in rows
        for i, line in enumerate(wrap(clean(text), width - _HEAD))
    ]


def model_seconds(model: PendingModel, device: str) -> float:
    """Return about how many seconds it takes to download a model, to load it and to embed; 0 for arrays."""
    if model.arrays:
        return 0.0
    loads = bool(model.passes) + bool(model.timed) + model.mapped + model.apart
    seconds = model.located.download / _DOWNLOAD_BYTES_PER_SECOND
    seconds += loads * model.bytes / _READ_BYTES_PER_SECOND
    if loads and any(map(is_gguf, model.located.weights)) and not is_converted(model.located):
        seconds += model.bytes / _CONVERTED_BYTES_PER_SECOND
    return seconds + embedding_seconds(model, model.passes + model.timed * _TIMED_SAMPLES, device)


def embedding_seconds(model: PendingModel, samples: int, device: str) -> float:
    """Return about how many seconds that many samples take, at two operations per parameter and token."""
    on_cpu = device in {"auto", "cpu"} and not shutil.which("nvidia-smi")
    flops = _FLOPS["cpu" if on_cpu else "accelerator"]
    return samples * model.parameters * 2 * model.tokens / flops


def tokens_of(dataset: Dataset) -> int:
    """Return about how many tokens a text of the data becomes: one per four bytes, and one at its start."""
    sizes = [len(sample.texts[0].encode(errors="replace")) for sample in dataset.samples if sample.texts]
    return 1 + round(sum(sizes) / len(sizes) / _BYTES_PER_TOKEN) if sizes else TOKENS


class Printer:
    """Writes to the terminal past pytest's capture, if there is a terminal reporter."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @property
    def _reporter(self) -> Any:
        return self._config.pluginmanager.get_plugin("terminalreporter")

    @property
    def width(self) -> int:
        """The width of the terminal, limited to 80 to 120 columns; 80 without a terminal."""
        return min(120, max(80, shutil.get_terminal_size((80, 24)).columns))

    @property
    def encoding(self) -> str:
        """The encoding of the terminal's stream."""
        return getattr(sys.stdout, "encoding", None) or "utf-8"

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines below pytest's own header, unless `-q -q` was given."""
        if self._reporter is not None and self._config.option.verbose > -2:
            for line in lines:
                self._reporter.write_line(line)

    @contextmanager
    def patience(self, line: str, seconds: float = 2.0) -> Iterator[None]:
        """Write `line` if the block takes longer than this many seconds, so that users know what it does."""
        timer = Timer(seconds, self.lines, ([line],))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def section(self, title: str, lines: Iterable[str]) -> None:
        """Write a titled section of the summary."""
        if self._reporter is not None:
            self._reporter.write_sep("=", title)
            for line in lines:
                self._reporter.write_line(line)


class TerminalProgress:
    """A tqdm bar that is visible although pytest captures the streams; only on a terminal without workers.

    Attributes:
        delay: the seconds of work after which the bar appears.
    """

    delay = 1.0

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._bar: Any = None

    def start(self, total: int, what: str) -> None:
        """Begin a bar of `total` items, which appears once the work has taken `delay` seconds."""
        from tqdm import tqdm

        # Not earlier: when the plugin is created, there is no reporter yet, and the streams are captured.
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if getattr(reporter, "isatty", False) and not getattr(self._config.option, "numprocesses", None):
            with self._uncaptured():
                self._bar = tqdm(
                    total=total, desc=what, unit="", leave=False, file=sys.__stderr__, delay=self.delay
                )

    def advance(self, n: int) -> None:
        """Count `n` more items as done."""
        if self._bar is not None:
            with self._uncaptured():
                self._bar.update(n)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            with self._uncaptured():
                self._bar.close()
            self._bar = None

    def _uncaptured(self) -> AbstractContextManager[None]:
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        return nullcontext() if capture is None else capture.global_and_fixture_disabled()
