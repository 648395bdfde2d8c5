"""`--align-compare`: what changed since an earlier run, said at the end of this one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from alignbench.errors import AlignbenchError, ConfigError, UnwritableError
from alignbench.findings import Findings, check_gates, compare, write_text
from alignbench.show import markdown_diff, terminal_diff
from alignbench.show.text import markdown, wrap
from alignbench.text import clean

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.findings.gate import Gate
    from alignbench.plugin.terminal import Printer
    from alignbench.session.options import Options

COMPARISON = "comparison.md"
_FAIL = "--align-compare-fail"
_UNLIKE = "--align-compare-unlike"


@dataclass
class Against:
    """The run that this one is compared with.

    Args:
        earlier: as it was when this run began; `reports/latest` will be another one at its end.
        gates: what is a regression.
        unlike: whether runs that are not alike are compared, too.
        lines: what came of it.
    """

    earlier: Findings
    gates: tuple[Gate, ...]
    unlike: bool
    lines: list[str] = field(default_factory=list)

    @classmethod
    def from_options(cls, options: Options, folder: Path) -> Against | None:
        """Read the run that was named; None where none was.

        Args:
            options: of this run.
            folder: that paths are relative to.

        Raises:
            ConfigError: it is not there, or damaged.
            UnknownNameError: it has no score of a metric that is to be judged.
        """
        if options.compare is None:
            return None
        try:
            earlier = Findings.read(folder / options.compare, str(options.compare))
        except AlignbenchError as error:
            raise ConfigError(f"--align-compare: {error}") from error
        metrics = [score.metric for score in earlier.scores]
        check_gates(options.compare_fail, metrics, _FAIL, f"in {earlier.name}")
        return cls(earlier, options.compare_fail, options.compare_unlike)

    def finish(self, findings: Findings | None, folder: Path, printer: Printer) -> pytest.ExitCode:
        """Compare with this run, and write the comparison into its folder.

        Args:
            findings: of this run; None where it scored nothing.
            folder: of this run.
            printer: tells how wide the lines are.

        Returns:
            TESTS_FAILED on a regression; USAGE_ERROR where what was to be judged could not be.
        """
        if findings is None:
            self.lines = ["nothing to compare: this run recorded no score"]
            return pytest.ExitCode.USAGE_ERROR if self.gates else pytest.ExitCode.OK
        try:
            found = compare(
                self.earlier,
                findings,
                self.gates,
                unlike=self.unlike,
                option=_FAIL,
                way_out=_UNLIKE,
            )
        except AlignbenchError as error:
            return self._refuse(folder, str(error), printer.width)
        self.lines = terminal_diff(found, printer.width, encoding=printer.encoding)
        if not self._write(folder, markdown_diff(found)):
            return pytest.ExitCode.TESTS_FAILED
        return pytest.ExitCode.TESTS_FAILED if found.regressions else pytest.ExitCode.OK

    def _refuse(self, folder: Path, why: str, width: int) -> pytest.ExitCode:
        reasons = [clean(line) for line in why.splitlines()]
        head, *others = reasons
        self.lines = wrap(f"not compared: {head}", width, "  ")
        self.lines += [line for reason in others for line in wrap(f"- {reason}", width, "  ")]
        listed = "\n".join(f"- {markdown(reason)}" for reason in reasons)
        written = self._write(folder, f"## What changed?\n\n**Not compared.**\n\n{listed}\n")
        if self.gates:
            return pytest.ExitCode.USAGE_ERROR
        return pytest.ExitCode.OK if written else pytest.ExitCode.TESTS_FAILED

    def _write(self, folder: Path, text: str) -> bool:
        """Write the comparison into the run's folder; return whether it is there, and say it if not."""
        try:
            write_text(folder / COMPARISON, text)
        except UnwritableError as error:
            self.lines.append(clean(str(error)))
            return False
        return True
