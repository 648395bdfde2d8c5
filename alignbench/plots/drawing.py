"""All figures of a run, drawn by several processes: the same files and problems as by one, in its order.

A helper is a fresh interpreter that reads what to draw from its standard input and answers on its standard
output. It is no fork, which the threads of torch in this process would make unsafe, and no child of
multiprocessing, which would run the user's script once more.
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
from alignbench.plots.fonts import behind, boxes
from alignbench.plots.gaps import note_missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANY_SCORES = 150  # the figures of fewer are nearly drawn when a helper has imported what it needs
MOST_PROCESSES = 4
_LONGEST = 60.0  # seconds that a figure is waited for
_READ_METRICS = {"alignment_summary"}  # the user may have registered some, which a helper doesn't know
# The standard library comes first: a conftest's folder may hold a `random.py`.
HELPER = """
import sys
sys.path += [folder for folder in sys.argv[1:] if folder not in sys.path]
from alignbench.plots.drawing import help_drawing
help_drawing()
"""


class Drawn(NamedTuple):
    """What came of a figure.

    Args:
        files: their names; none where what the figure needs was not recorded.
        problem: what went wrong, or "".
        unwritten: why its files could not be written, or "".
        boxes: the letters that are boxes in it, since no installed font has them.
    """

    files: tuple[str, ...] = ()
    problem: str = ""
    unwritten: str = ""
    boxes: frozenset[str] = frozenset()


class Figures(NamedTuple):
    """What came of all figures.

    Args:
        files: their names.
        problems: what went wrong with those that could not be drawn, and which letters are boxes.
        unwritten: figure -> why its files could not be written.
    """

    files: list[str]
    problems: list[str]
    unwritten: dict[str, str]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a run's figures are drawn from, and the folder that they go to; as PDF if they are for a paper."""

    inputs: FigureInputs
    place: Path
    for_paper: bool = False

    def draw(self, name: str) -> Drawn:
        """Draw one figure, if there is what it needs."""
        try:
            figure = FIGURES.get(name)(self.inputs)
            if figure is None:
                return Drawn()
            note_missing(figure, name, self.inputs.failures, self.inputs.scores)
            files = (save_for_paper if self.for_paper else save)(figure, self.place / name)
        except UnwritableError as error:
            return Drawn(unwritten=error.why)
        except Exception as error:  # whatever a plot library raises must not cost the numbers
            return Drawn(problem=_problem(name, error))
        return Drawn(tuple(path.name for path in files), boxes=behind(figure).missing)


def draw_all(drawing: Drawing) -> Figures:
    """Draw all figures that the inputs allow.

    This process draws the figures that the user registered, which another doesn't know, and what a helper did
    not come to, failed at, or was warned of: so warnings meet the filters and loggers of the run, and that a
    process can't be started costs nothing but time.
    """
    names = FIGURES.names()
    own = [name for name in names if name in _READ_METRICS or not _is_ours(name)]
    shared = deque(name for name in names if name not in own)
    drawn: dict[str, Drawn] = {}
    helpers: list[_Helper] = []
    try:
        helpers.extend(_helpers(drawing, shared, drawn))
        for name in own:
            drawn[name] = drawing.draw(name)
        for name in _taken(shared):
            drawn[name] = drawing.draw(name)
    finally:
        shared.clear()
        for helper in helpers:
            helper.leave()
    found = [drawn[name] if name in drawn else drawing.draw(name) for name in names]
    unseen = boxes(frozenset().union(*(one.boxes for one in found)))
    return Figures(
        [file for one in found for file in one.files],
        [*(one.problem for one in found if one.problem), *([unseen] if unseen else [])],
        {name: one.unwritten for name, one in zip(names, found, strict=True) if one.unwritten},
    )


def help_drawing() -> None:
    """Draw the figures that standard input names after a `Drawing`; answer with what came of each."""
    # What a library prints is no answer.
    with os.fdopen(os.dup(1), "wb") as answers, suppress(EOFError):
        os.dup2(2, 1)
        drawing = pickle.load(sys.stdin.buffer)
        import matplotlib.figure  # noqa: F401  the dearest import, before the first figure is taken

        _say(answers, __file__)
        while True:
            _say(answers, drawn_in_silence(drawing, pickle.load(sys.stdin.buffer)))


def drawn_in_silence(drawing: Drawing, name: str) -> Drawn | None:
    """Draw a figure; return None where it failed or there is something to say, which is the run's to say."""
    said = logging.handlers.BufferingHandler(capacity=1000)
    said.setLevel(logging.WARNING)
    logging.getLogger().addHandler(said)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            drawn = drawing.draw(name)
    finally:
        logging.getLogger().removeHandler(said)
    return None if drawn.problem or drawn.unwritten or warned or said.buffer else drawn


class _Helper:
    """Another process that draws shared figures, with the thread that asks it to.

    Args:
        process: the other.
        drawing: what to draw from.
        shared: names, of which the helper takes while there are any.
        drawn: name -> what came of it; the helper adds to it.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], drawing: Drawing, shared: deque[str], drawn: dict[str, Drawn]
    ) -> None:
        self._process, self._ready = process, False
        self._thread = threading.Thread(target=self._ask, args=(drawing, shared, drawn), daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Wait for the figure that the process draws; one that is starting still is not waited for."""
        if not self._ready:
            self._process.kill()
        self._thread.join(_LONGEST)
        self._process.kill()  # what it has not said it has drawn is drawn without it

    def _ask(self, drawing: Drawing, shared: deque[str], drawn: dict[str, Drawn]) -> None:
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        with suppress(Exception), self._process:  # it may fail: what it has not drawn is drawn without it
            try:
                _say(into, drawing)
                self._ready = pickle.load(out) == __file__  # another installation may draw otherwise
                for name in _taken(shared) if self._ready else ():
                    _say(into, name)
                    answer = pickle.load(out)
                    if answer is not None:
                        drawn[name] = answer
            finally:
                self._process.kill()


def _helpers(drawing: Drawing, shared: deque[str], drawn: dict[str, Drawn]) -> Iterator[_Helper]:
    """Start a helper for each further core where there is much to draw, as far as the system allows it."""
    many = len(drawing.inputs.scores) >= MANY_SCORES
    for _ in range(min(available_cores(), MOST_PROCESSES) - 1 if many else 0):
        with suppress(Exception):  # then this process draws alone
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", HELPER, *map(os.path.abspath, sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            yield _Helper(process, drawing, shared, drawn)


def _taken(shared: deque[str]) -> Iterator[str]:
    """Take names until there are none."""
    with suppress(IndexError):
        while True:
            yield shared.pop()


def _is_ours(name: str) -> bool:
    """Return whether another process knows the figure as this one does."""
    try:
        draw = FIGURES.get(name).draw
    except Exception:  # whatever the import of a user's module raises: drawing it says so
        return False
    return draw.__module__.startswith("alignbench.") and draw.__name__ == name


def _say(stream: IO[bytes], what: object) -> None:
    pickle.dump(what, stream)
    stream.flush()


def _problem(name: str, error: Exception) -> str:
    return f"the figure {name} could not be drawn ({type(error).__name__}: {error})"
