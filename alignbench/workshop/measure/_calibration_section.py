"""A command that draws the cells of a section of the calibration page, continues them, and writes it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from alignbench.paths import cache_home
from alignbench.workshop.measure._calibration_cells import CalibrationCell, ScoreDraws, compute, missing, read
from alignbench.workshop.sections import CALIBRATION, page_text, with_section

if TYPE_CHECKING:
    from collections.abc import Callable

Unfinished = list[tuple[CalibrationCell, int]]


@dataclass(frozen=True, slots=True)
class CalibrationSection:
    """A section that a command of its own writes.

    Args:
        name: the name of the command and of the section.
        about: what the command does.
        work: the name of the folder of the draws, in the cache.
        draws: the draws of a cell, by default.
        least: the smallest number of draws that may be asked for.
        plan: returns all cells, given the draws of a cell.
        text: returns the section, given the available draws and the unfinished cells with their draws.
    """

    name: str
    about: str | None
    work: str
    draws: int
    least: int
    plan: Callable[[int], list[CalibrationCell]]
    text: Callable[[list[ScoreDraws], Unfinished], str]

    def run(self, argv: list[str]) -> None:
        """Compute the missing draws and write the section."""
        parser = argparse.ArgumentParser(
            prog=f"python -m alignbench.measure {self.name}", description=self.about
        )
        parser.add_argument("--out", type=Path, default=CALIBRATION, help="the page (%(default)s)")
        work = cache_home() / self.work
        parser.add_argument("--work", type=Path, default=work, help="the folder of the draws (%(default)s)")
        parser.add_argument("--draws", type=int, default=self.draws, help="draws of a cell (%(default)s)")
        parser.add_argument("--page", action="store_true", help="draw nothing, write what there is")
        options = parser.parse_args(argv)
        if options.draws < self.least:
            parser.error(f"--draws: expected at least {self.least}")
        cells = self.plan(options.draws)
        if not options.page:
            options.work.mkdir(parents=True, exist_ok=True)
            with threadpool_limits(1):
                for cell in cells:
                    compute(cell, options.work)
                    print(f"{cell.name}: {cell.draws:,} draws", flush=True)
        text = self.text(list(read(cells, options.work)), missing(cells, options.work))
        options.out.write_text(with_section(page_text(options.out), self.name, text), encoding="utf-8")
        print(f"wrote {options.out}")
