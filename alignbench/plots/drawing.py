"""All figures of a run, drawn by several processes; files, problems and their order are those of one process.

A helper is a fresh interpreter that reads what to draw from its standard input and answers on its standard
output. It is not a fork, which torch's threads in this process would make unsafe, and not a child of
multiprocessing, which would run the user's script a second time.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

from alignbench.cores import available_cores
from alignbench.errors import UnwritableError
from alignbench.plots import FIGURES, FigureInputs, save, save_for_paper
from alignbench.plots.fonts import boxes_message, fallback_fonts
from alignbench.plots.gaps import note_missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANY_SCORES = 150  # with fewer, the figures are nearly done by the time a helper has imported its modules
MOST_PROCESSES = 4
_LONGEST = 60.0  # seconds to wait for a figure
_READS_METRICS = {"alignment_summary"}  # the user may have registered metrics that a helper doesn't know
# The standard library comes first: a conftest's folder may hold a `random.py`.
HELPER = """
import sys
sys.path += [folder for folder in sys.argv[1:] if folder not in sys.path]
from alignbench.plots.drawing import help_drawing
help_drawing()
"""


class Outcome(NamedTuple):
    """The outcome of drawing one figure.

    Args:
        files: the names of its files; none if the data that the figure needs was not recorded.
        problem: what went wrong, or "".
        unwritten: why its files could not be written, or "".
        boxes: the letters that are boxes in it, since no installed font has them.
    """

    files: tuple[str, ...] = ()
    problem: str = ""
    unwritten: str = ""
    boxes: frozenset[str] = frozenset()


class Figures(NamedTuple):
    """The outcome of drawing all figures.

    Args:
        files: the names of their files.
        problems: why some figures could not be drawn, and which letters are boxes.
        unwritten: figure -> why its files could not be written.
    """

    files: list[str]
    problems: list[str]
    unwritten: dict[str, str]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a run's figures are drawn from, and the folder to write them to: as PDF if `for_paper`."""

    inputs: FigureInputs
    place: Path
    for_paper: bool = False

    def draw(self, name: str) -> Outcome:
        """Draw one figure, if the data that it needs was recorded."""
        try:
            figure = FIGURES.get(name)(self.inputs)
            if figure is None:
                return Outcome()
            note_missing(figure, name, self.inputs.failures, self.inputs.scores)
            files = (save_for_paper if self.for_paper else save)(figure, self.place / name)
        except UnwritableError as error:
            return Outcome(unwritten=error.why)
        except Exception as error:  # no error of a plot library may cost the user the scores
            problem = f"the figure {name} could not be drawn ({type(error).__name__}: {error})"
            return Outcome(problem=problem)
        return Outcome(tuple(path.name for path in files), boxes=fallback_fonts(figure).missing)


def draw_all(drawing: Drawing) -> Figures:
    """Draw all figures that the inputs allow.

    This process draws the figures that the user registered, which a helper doesn't know. It also draws those
    that a helper did not get to, failed at, or was warned about: so warnings meet the filters and loggers of
    the run, and if no process can be started, only time is lost.
    """
    names = FIGURES.names()
    unshared = [name for name in names if name in _READS_METRICS or not _is_ours(name)]
    shared = deque(name for name in names if name not in unshared)
    outcomes: dict[str, Outcome] = {}
    helpers: list[_Helper] = []
    try:
        helpers.extend(_helpers(drawing, shared, outcomes))
        for name in unshared:
            outcomes[name] = drawing.draw(name)
        for name in _take(shared):
            outcomes[name] = drawing.draw(name)
    finally:
        shared.clear()
        for helper in helpers:
            helper.leave()
    for name in names:
        if name not in outcomes:
            outcomes[name] = drawing.draw(name)
    in_order = {name: outcomes[name] for name in names}
    problems = [outcome.problem for outcome in in_order.values() if outcome.problem]
    boxes = frozenset().union(*(outcome.boxes for outcome in in_order.values()))
    if boxes:
        problems.append(boxes_message(boxes))
    return Figures(
        [file for outcome in in_order.values() for file in outcome.files],
        problems,
        {name: outcome.unwritten for name, outcome in in_order.items() if outcome.unwritten},
    )


def help_drawing() -> None:
    """Draw the figures that standard input names after a `Drawing`; answer with the outcome of each."""
    # Anything that a library prints must not be taken for an answer.
    with os.fdopen(os.dup(1), "wb") as answers, suppress(EOFError):
        os.dup2(2, 1)
        drawing = pickle.load(sys.stdin.buffer)
        import matplotlib.figure  # noqa: F401  the slowest import, before the first figure is taken

        _send(answers, __file__)
        while True:
            _send(answers, draw_silently(drawing, pickle.load(sys.stdin.buffer)))


def draw_silently(drawing: Drawing, name: str) -> Outcome | None:
    """Draw a figure; return None if that failed, warned or logged: the run itself must then report it."""
    log = logging.handlers.BufferingHandler(capacity=1000)
    log.setLevel(logging.WARNING)
    logging.getLogger().addHandler(log)
    try:
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            outcome = drawing.draw(name)
    finally:
        logging.getLogger().removeHandler(log)
    return None if outcome.problem or outcome.unwritten or raised or log.buffer else outcome


class _Helper:
    """Another process that draws shared figures, with the thread that sends it their names.

    Args:
        process: the other process.
        drawing: what to draw from.
        shared: the names of figures; the helper takes one after another.
        outcomes: name -> the outcome of drawing the figure; the helper adds to it.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        drawing: Drawing,
        shared: deque[str],
        outcomes: dict[str, Outcome],
    ) -> None:
        self._process, self._ready = process, False
        self._thread = threading.Thread(target=self._ask, args=(drawing, shared, outcomes), daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Wait for the figure that the process is drawing; a process that is still starting is killed."""
        if not self._ready:
            self._process.kill()
        self._thread.join(_LONGEST)
        self._process.kill()  # this process draws every figure for which there is no answer

    def _ask(self, drawing: Drawing, shared: deque[str], outcomes: dict[str, Outcome]) -> None:
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        with suppress(Exception), self._process:  # if it fails, this process draws the rest
            try:
                _send(into, drawing)
                self._ready = pickle.load(out) == __file__  # another installation may draw differently
                if not self._ready:
                    return
                for name in _take(shared):
                    _send(into, name)
                    answer = pickle.load(out)
                    if answer is not None:
                        outcomes[name] = answer
            finally:
                self._process.kill()


def _helpers(drawing: Drawing, shared: deque[str], outcomes: dict[str, Outcome]) -> Iterator[_Helper]:
    """Start a helper for each further core if there is much to draw and the system allows it."""
    if len(drawing.inputs.scores) < MANY_SCORES:
        return
    for _ in range(min(available_cores(), MOST_PROCESSES) - 1):
        with suppress(Exception):  # this process then draws alone
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", HELPER, *map(os.path.abspath, sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            yield _Helper(process, drawing, shared, outcomes)


def _take(shared: deque[str]) -> Iterator[str]:
    """Take names until none are left."""
    with suppress(IndexError):
        while True:
            yield shared.pop()


def _is_ours(name: str) -> bool:
    """Return whether another process draws the figure as this one does."""
    try:
        draw = FIGURES.get(name).draw
    except Exception:  # the import of a user's module may raise anything; drawing the figure reports it
        return False
    return draw.__module__.startswith("alignbench.") and draw.__name__ == name


def _send(stream: IO[bytes], message: object) -> None:
    pickle.dump(message, stream)
    stream.flush()
