"""Writes the files of a run's folder; each file is complete or absent."""

from __future__ import annotations

import errno
import secrets
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.errors import UnwritableError
from alignbench.files import make_folder
from alignbench.findings.files import (
    ARTIFACTS,
    PUBLISHED,
    REPORT,
    SCHEMA_VERSION,
    SCORES,
    dump,
    finite,
    plain_score,
    write_text,
)
from alignbench.plots.drawing import Figures
from alignbench.show.summary import summary_markdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alignbench.findings.findings import Findings

SUMMARY = "summary.md"


def write_run(run_dir: Path | str, findings: Findings, *, figures: bool = True) -> None:
    """Write scores.json, the figures that the scores allow, summary.md and report.html into the run's folder.

    The order of the scores in the files does not depend on the order in which they were recorded. If a figure
    or the report can't be made, there is a warning, and the other files are written all the same.

    Raises:
        UnwritableError: some files could not be written; the error names them.
    """
    folder = Path(run_dir)
    make_folder(folder)
    data = {
        "schema_version": SCHEMA_VERSION,
        "run": findings.run,
        "scores": [plain_score(score) for score in findings.scores],
        "ranking": [ranking.to_dict() for ranking in findings.rankings],
        "ranking_by_type": [ranking.to_dict() for ranking in findings.rankings_by_type],
    }
    if findings.prediction is not None:
        data["prediction"] = finite(findings.prediction.to_dict())
    missing: dict[str, str] = {}
    with _noting(missing, SCORES):
        write_text(folder / SCORES, dump(data, indent=1) + "\n")
    for other in findings.published:
        with _noting(missing, f"{PUBLISHED}/{other.name}.json"):
            make_folder(folder / PUBLISHED)
            write_text(folder / PUBLISHED / f"{other.name}.json", other.score_file(parts=True))
    drawn = draw_figures(folder, findings) if figures else Figures([], [], {})
    missing |= drawn.unwritten
    with _noting(missing, SUMMARY):
        write_text(folder / SUMMARY, summary_markdown(findings, drawn.files, drawn.problems))
    problems = list(drawn.problems)
    if SCORES in missing:
        missing[REPORT] = missing[SCORES]  # the report is made from the scores
    else:
        with _noting(missing, REPORT):
            problems += _report(folder, problems, findings)
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    if missing:
        raise UnwritableError(folder, "; ".join(dict.fromkeys(missing.values())), tuple(missing))


@contextmanager
def _noting(missing: dict[str, str], name: str) -> Iterator[None]:
    """Record why a file can't be written, and go on with the others."""
    try:
        yield
    except UnwritableError as error:
        missing[name] = error.why


def _report(folder: Path, problems: Sequence[str], findings: Findings) -> list[str]:
    """Write report.html; return the problems.

    Raises:
        UnwritableError: the file can't be written.
    """
    from alignbench.show.html import write_report  # imports the template engine

    try:
        write_report(folder, problems, findings)
    except UnwritableError:
        raise
    except Exception as error:  # the other files must not be lost with the page
        return [f"{REPORT} could not be written ({type(error).__name__}: {error})"]
    return []


def draw_figures(
    folder: Path, findings: Findings, into: Path | None = None, *, for_paper: bool = False
) -> Figures:
    """Draw what the scores and the artifacts allow.

    Args:
        folder: the run's folder, with its artifacts.
        findings: the run's findings.
        into: the folder for the figures; by default the run's.
        for_paper: draw PDF instead of PNG and SVG.
    """
    from alignbench.plots import read_artifacts
    from alignbench.plots.drawing import Drawing, draw_all

    unreadable: list[str] = []
    inputs = findings.figure_inputs(read_artifacts(folder / ARTIFACTS, unreadable.append))
    drawn = draw_all(Drawing(inputs, into or folder, for_paper))
    return drawn._replace(problems=[*unreadable, *drawn.problems])


LATEST = "latest"
# The errors of a disk; any other error means that the system or a folder of that name prevents a link.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def point_latest(run_dir: Path | str) -> str:
    """Make `latest` beside the run's folder a link to it, atomically, if the system has symbolic links.

    Returns:
        Why the disk refused, in which case `latest` leads to an earlier run; "" otherwise.
    """
    folder = Path(run_dir)
    temporary = folder.parent / f".latest-{secrets.token_hex(8)}"
    try:
        temporary.symlink_to(folder.name, target_is_directory=True)
        temporary.replace(folder.parent / LATEST)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        return str(error.strerror) if error.errno in _DISK else ""
    return ""
