"""Whether p-values are uniform and intervals cover what they should, on pairs whose truth is known.

Writes alignbench/docs/calibration.md from all available draws. These are kept in a work folder, one file per
cell, and continued where they stopped; `--page` writes the page without drawing more.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.paths import cache_home
from alignbench.workshop.measure._calibration_cases import ALIGNED, INDEPENDENT
from alignbench.workshop.measure._calibration_cells import (
    E2E,
    RANKED,
    CalibrationCell,
    compute,
    missing,
    read,
)
from alignbench.workshop.sections import CALIBRATION, page_text, with_sections_of

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = CALIBRATION
SIZES = (9, 30, 90)
DRAWS = 2000
FIRST = ("debiased_cka", "mutual_knn")
THEN = {"calibrated_cka": 500, "rsa": 500, "rbf_cka": 500, "procrustes_similarity": 200, "ridge_r2": 200}
TRAINED = (INDEPENDENT[0], ALIGNED[0])
TRAININGS = 200


def plan(draws: int = DRAWS) -> list[CalibrationCell]:
    """Return all cells, the most important first; expensive ones have fewer draws."""
    cells = []
    for metric in FIRST:
        cells += [CalibrationCell(c.name, n, metric, draws) for n in SIZES for c in INDEPENDENT]
        cells += [CalibrationCell(c.name, n, metric, draws, 0) for n in SIZES[1:] for c in ALIGNED]
    cells += [CalibrationCell(c.name, n, RANKED, draws, 0) for n in SIZES[1:] for c in ALIGNED]
    cells += [CalibrationCell(c.name, n, E2E, min(draws, TRAININGS)) for n in SIZES[1:] for c in TRAINED]
    for metric, fewer in THEN.items():
        sizes = SIZES[1:] if metric == "ridge_r2" else SIZES
        cells += [CalibrationCell(c.name, n, metric, min(draws, fewer)) for n in sizes for c in INDEPENDENT]
    return cells


def main(argv: list[str]) -> None:
    """Compute the missing draws and write the page."""
    options = _options(argv)
    cells = plan(options.draws)
    options.work.mkdir(parents=True, exist_ok=True)
    if not options.page:
        draw_all([cell for cell, _ in missing(cells, options.work)], options.work, options.jobs)
    from alignbench.workshop.measure._calibration_page import page

    columns = list(read(cells, options.work))
    text = page(columns, missing(cells, options.work))
    options.out.write_text(with_sections_of(text, page_text(options.out)), encoding="utf-8")
    print(f"wrote {options.out}")


def rounds(cells: Sequence[CalibrationCell]) -> list[list[CalibrationCell]]:
    """Return the cells in the order of work: after an interruption, each cell has some of its draws."""
    first = [cell for cell in cells if cell.metric in (*FIRST, RANKED)]
    trained = [cell for cell in cells if cell.metric == E2E]
    shares = ((0.05, first), (0.1, trained), (0.25, first), (0.25, cells), (1.0, cells))
    return [[replace(c, draws=max(2, int(share * c.draws))) for c in chosen] for share, chosen in shares]


def draw_all(cells: Sequence[CalibrationCell], work: Path, jobs: int = 1) -> None:
    """Compute the cells in several processes with one thread each."""
    if jobs == 1:
        for chosen in rounds(cells):
            for cell in chosen:
                _draw(cell, work=work)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for chosen in rounds(cells):
            list(pool.map(partial(_draw, work=work), chosen))


def _draw(cell: CalibrationCell, work: Path) -> None:
    from threadpoolctl import threadpool_limits

    if cell.metric == E2E:
        import torch

        torch.set_num_threads(1)
    with threadpool_limits(1):
        compute(cell, work)
    print(f"{cell.name}: {cell.draws:,} draws", flush=True)


def _options(argv: list[str]) -> Any:
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure calibration", description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE, help="the page (%(default)s)")
    work = cache_home() / "calibration"
    parser.add_argument("--work", type=Path, default=work, help="the folder of the draws (%(default)s)")
    draws = "draws of a cell; expensive cells have fewer (%(default)s)"
    parser.add_argument("--draws", type=int, default=DRAWS, help=draws)
    parser.add_argument("--jobs", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument(
        "--page", action="store_true", help="write the page from the draws that exist, draw nothing"
    )
    options = parser.parse_args(argv)
    if options.draws < 2 or options.jobs < 1:
        parser.error("--draws: expected at least 2; --jobs: at least 1")
    return options
