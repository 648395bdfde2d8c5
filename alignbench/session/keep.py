"""Keeps the scores of a run: each one in a log at once, and all of them at the end, even on a full disk."""

from __future__ import annotations

import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.errors import UnwritableError
from alignbench.findings import append_score
from alignbench.findings.files import SCORES, SCORES_LOG
from alignbench.show import point_latest, write_run
from alignbench.show.folder import LATEST

if TYPE_CHECKING:
    from alignbench.findings import Findings
    from alignbench.session.runfolder import RunFolder
    from alignbench.types import Score


class Keeper:
    """Writes the files of a run, and knows which ones could not be written.

    Args:
        folder: the folder of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.missing: dict[str, str] = {}
        self.rescued: Path | None = None
        self._unlogged: deque[Score] = deque()

    def log(self, score: Score) -> None:
        """Append a score to the run's log, after earlier ones that could not be written yet."""
        self._unlogged.append(score)
        self._log()

    def note(self, name: str, why: str) -> None:
        """Note that a file could not be written."""
        self.missing[name] = why

    def finish(self, findings: Findings, *, figures: bool) -> None:
        """Write the run; if its scores can't be written to its folder, write it to a temporary one.

        Args:
            findings: the findings of the run.
            figures: whether to draw its figures.
        """
        if self._unlogged:
            self._log()
        try:
            write_run(self.folder.path, findings, figures=figures)
        except UnwritableError as error:
            self.missing |= dict.fromkeys(error.missing or (SCORES,), error.why)
        if why := point_latest(self.folder.path):
            self.note(f"the link {LATEST}", why)
        if SCORES in self.missing:
            self._rescue(findings)

    def sentence(self) -> str:
        """Return which files could not be written, why, and where the scores are instead; "" if none."""
        if not self.missing:
            return ""
        names, reasons = ", ".join(self.missing), "; ".join(dict.fromkeys(self.missing.values()))
        text = f"NOT WRITTEN to {self.folder.path}: {names} ({reasons})"
        if self.rescued is not None:
            return f"{text}; the scores are in {self.rescued}"
        return f"{text}; what is above is all that is left of it" if SCORES in self.missing else text

    def _log(self) -> None:
        try:
            while self._unlogged:
                append_score(self.folder.path, self._unlogged[0])
                self._unlogged.popleft()
        except UnwritableError as error:
            self.note(SCORES_LOG, error.why)
        else:
            self.missing.pop(SCORES_LOG, None)

    def _rescue(self, findings: Findings) -> None:
        with suppress(OSError):  # without a temporary folder, only the table in the terminal is left
            place = Path(tempfile.mkdtemp(prefix="alignbench-run-"))
            try:
                write_run(place, findings, figures=False)
            except UnwritableError as error:
                if SCORES in error.missing:
                    return
            self.rescued = place
