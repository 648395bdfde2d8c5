"""The validity study's result as files: tables, numbers and figures in one folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.validity.figures import validity_matrix, validity_paradox, validity_scatter
from alignbench.experiments.validity.study_tables import study_validities, write_study
from alignbench.plots.style import save

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.experiments.validity.links import Validity
    from alignbench.experiments.validity.study import Cell

FIGURES = (validity_matrix, validity_scatter, validity_paradox)


def write_result(folder: Path, cells: Sequence[Cell]) -> list[Validity]:
    """Write the result of the study's cells into `folder`; return the tables, the primary one first."""
    results = study_validities(cells)
    if not results:
        return []
    first = cells[0]
    about = {
        "encoders": len({cell.encoder for cell in cells}),
        "cells": len(cells),
        "hours": round(sum(cell.seconds for cell in cells) / 3600, 2),
        "n": first.n,
        "settings": first.basis["settings"],
        "data": sorted({str(cell.basis["data"]) for cell in cells}),
    }
    write_study(folder, cells, results, about)
    for spec in FIGURES:
        figure = spec(results[0])
        if figure is not None:
            save(figure, folder / spec.draw.__name__)
    return results
