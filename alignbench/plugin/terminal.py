"""What a run says in the terminal: its plan before, its progress during, and room for the table after."""

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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pytest

    from alignbench.datasets import Dataset
    from alignbench.session.options import Options
    from alignbench.types import ModelInfo
    from alignbench.weights import Location
    from alignbench.weights.sizes import ModelSize

# Rough on purpose: measured on two CPU cores; a plan says "about".
_TIMED_SAMPLES = 60  # that a model is given for one timing, on average over the batch sizes
_READ_BYTES_PER_SECOND = 4e8
_FLOPS = {"cpu": 1.5e11, "accelerator": 3e13}
TOKENS = 200  # that an image becomes, or a text of which nothing is known
_BYTES_A_PARAMETER = 2
_BYTES_A_TOKEN = 4
_CONVERTED_BYTES_PER_SECOND = 1e7  # of GGUF files, once
_HEAD = 7  # columns of the words that begin a line of the plan
_DOWNLOAD_BYTES_PER_SECOND = 3e7


@dataclass(frozen=True, slots=True)
class PendingModel:
    """A model of the run: where its weights are, and what it has yet to do.

    Args:
        info: which model.
        located: where its weights are.
        missing: how many samples it has yet to embed; None where no test needs its embeddings.
        patches: samples without patch vectors, where patches are used.
        timed: by how many tests; for these it is loaded even if all is embedded.
        arrays: what it is where there is no model, only arrays.
        mapped: whether attention maps are made of it; for these it is loaded, too.
        notes: what a reader of its scores has to know.
        size: how large it is; None where nothing tells.
        tokens: that one of its samples becomes, about.
        pixels: of an encoder, how an image becomes what it sees.
    """

    info: ModelInfo
    located: Location
    missing: int | None
    patches: int = 0
    timed: int = 0
    arrays: str = ""
    mapped: bool = False
    notes: tuple[str, ...] = ()
    size: ModelSize | None = None
    tokens: int = TOKENS
    pixels: str = ""

    @property
    def name(self) -> str:
        """What it was asked for as: so test ids call it."""
        return self.info.stand_in_for or self.info.name

    @property
    def passes(self) -> int:
        """How many samples are embedded by it."""
        return (self.missing or 0) + self.patches

    @property
    def parameters(self) -> int:
        """How many numbers the weights hold, about."""
        return self.bytes // _BYTES_A_PARAMETER if self.size is None else self.size.parameters

    @property
    def bytes(self) -> int:
        """The size of its weights."""
        return self.located.size or self.located.download

    @property
    def todo(self) -> str:
        """What it is needed for."""
        embedded = [f"{self.missing} to embed"] if self.missing else []
        embedded += [f"patches of {self.patches} to embed"] if self.patches else []
        if self.missing == 0 and not embedded:
            embedded = ["cached"]
        loaded = ["loaded to be timed"] if self.timed else []
        loaded += ["loaded for attention maps"] if self.mapped else []
        if not loaded and not self.passes:
            loaded = ["not loaded"]
        return ", ".join([*embedded, *loaded])


def plan(
    options: Options,
    dataset: Dataset,
    models: Sequence[PendingModel],
    tests: int,
    seconds: float,
    width: int = 80,
    warned: Sequence[str] = (),
) -> list[str]:
    """Return what the run is about to load, download and take, in lines of at most `width` columns.

    Args:
        options: of the run.
        dataset: its data.
        models: those that tests need.
        tests: how many there are.
        seconds: that the run takes about.
        width: the terminal's columns.
        warned: what speaks against the scores that will come of it.
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
        rows.append(("model", f"{model.info.label}: {model.info.weights_words}{size}, {todo}"))
        if model.pixels:
            rows.append(("", f"  sees {model.pixels}"))
    rows += [("note", note) for model in models for note in model.notes]
    download = sum(model.located.download for model in models)
    fetched = size_text(download) if download else "nothing"
    # Most of what tests do grows with the samples, and each in its own way.
    bound = "about" if len(dataset) <= 2 * MEASURED_SAMPLES else "at least"
    rows += [("warn", sentence) for sentence in warned]
    rows.append(("plan", f"{plural(tests, 'test')}; download {fetched}; {bound} {duration_text(seconds)}"))
    return [
        f"{head if i == 0 else '':<{_HEAD}}{line}"
        for head, text in rows
        for i, line in enumerate(wrap(clean(text), width - _HEAD))
    ]


def loading_seconds(models: Sequence[PendingModel], device: str) -> float:
    """Return about how many seconds it takes to download, to load and to embed."""
    return sum(model_seconds(model, device) for model in models)


def model_seconds(model: PendingModel, device: str) -> float:
    """Return the same of one model; of arrays it is nothing."""
    if model.arrays:
        return 0.0
    loads = bool(model.passes) + bool(model.timed) + model.mapped
    seconds = model.located.download / _DOWNLOAD_BYTES_PER_SECOND
    seconds += loads * model.bytes / _READ_BYTES_PER_SECOND
    if (
        loads
        and any(path.suffix == ".gguf" for path in model.located.weights)
        and not is_converted(model.located)
    ):
        seconds += model.bytes / _CONVERTED_BYTES_PER_SECOND
    return seconds + embedding_seconds(model, model.passes + model.timed * _TIMED_SAMPLES, device)


def embedding_seconds(model: PendingModel, samples: int, device: str) -> float:
    """Return about how many seconds so many samples take: two operations a parameter and token."""
    on_cpu = device in {"auto", "cpu"} and not shutil.which("nvidia-smi")
    flops = _FLOPS["cpu" if on_cpu else "accelerator"]
    return samples * model.parameters * 2 * model.tokens / flops


def tokens_of(dataset: Dataset) -> int:
    """Return about how many tokens a text of the data becomes: one for four bytes, and one at its start."""
    sizes = [len(sample.texts[0].encode(errors="replace")) for sample in dataset.samples if sample.texts]
    return 1 + round(sum(sizes) / len(sizes) / _BYTES_A_TOKEN) if sizes else TOKENS


class Printer:
    """Writes to the terminal past pytest's capture, where there is a terminal reporter at all."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @property
    def _reporter(self) -> Any:
        return self._config.pluginmanager.get_plugin("terminalreporter")

    @property
    def width(self) -> int:
        """The columns of the terminal; 80 where there is none, and never more than 120."""
        return min(120, max(80, shutil.get_terminal_size((80, 24)).columns))

    @property
    def encoding(self) -> str:
        """The encoding of the terminal's stream."""
        return getattr(sys.stdout, "encoding", None) or "utf-8"

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines under pytest's own header; nothing with `-q -q`."""
        if self._reporter is not None and self._config.option.verbose > -2:
            for line in lines:
                self._reporter.write_line(line)

    @contextmanager
    def patience(self, line: str, seconds: float = 2.0) -> Iterator[None]:
        """Say `line` if what is inside takes longer than that, so that nobody waits before a mute screen."""
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
    """A tqdm bar that is seen although pytest captures the streams; on a terminal, without workers.

    Attributes:
        delay: seconds of work after which the bar is shown.
    """

    delay = 1.0

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._bar: Any = None

    def start(self, total: int, what: str) -> None:
        """Begin a bar of `total` items; it is shown once the work has taken `delay` seconds."""
        from tqdm import tqdm

        # Asked only now: when the plugin is made, there is no reporter yet, and the streams are captured.
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if getattr(reporter, "isatty", False) and not getattr(self._config.option, "numprocesses", None):
            with self._uncaptured():
                self._bar = tqdm(
                    total=total, desc=what, unit="", leave=False, file=sys.__stderr__, delay=self.delay
                )

    def advance(self, n: int) -> None:
        """Say that `n` more items are done."""
        if self._bar is not None:
            with self._uncaptured():
                self._bar.update(n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            with self._uncaptured():
                self._bar.close()
            self._bar = None

    def _uncaptured(self) -> AbstractContextManager[None]:
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        return nullcontext() if capture is None else capture.global_and_fixture_disabled()
