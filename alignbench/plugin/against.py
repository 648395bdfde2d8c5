"""`--align-compare`: reports at the end of a run what has changed since an earlier one."""

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
    """The comparison of this run with an earlier one.

    Args:
        earlier: the earlier run, read when this one begins, because `reports/latest` changes at its end.
        gates: which changes are regressions.
        unlike: whether to compare runs even if they are not alike.
        lines: the result of the comparison, for the terminal.
    """

    earlier: Findings
    gates: tuple[Gate, ...]
    unlike: bool
    lines: list[str] = field(default_factory=list)

    @classmethod
    def from_options(cls, options: Options, folder: Path) -> Against | None:
        """Read the earlier run that the options name; return None if they name none.

        Args:
            options: the options of this run.
            folder: the folder that paths are relative to.

        Raises:
            ConfigError: the earlier run does not exist or is damaged.
            UnknownNameError: it has no score of a metric that has a gate.
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
        """Compare this run with the earlier one, and write the comparison into this run's folder.

        Args:
            findings: the findings of this run; None if it has no scores.
            folder: the folder of this run.
            printer: knows the terminal's width and encoding.

        Returns:
            TESTS_FAILED if there is a regression or the comparison can't be written; USAGE_ERROR if there are
            gates but the runs can't be compared.
        """
        if findings is None:
            self.lines = ["nothing to compare: this run recorded no score"]
            return pytest.ExitCode.USAGE_ERROR if self.gates else pytest.ExitCode.OK
        try:
            diff = compare(
                self.earlier, findings, self.gates, unlike=self.unlike, option=_FAIL, way_out=_UNLIKE
            )
        except AlignbenchError as error:
            return self._refuse(folder, str(error), printer.width)
        self.lines = terminal_diff(diff, printer.width, encoding=printer.encoding)
        written = self._write(folder, markdown_diff(diff))
        return pytest.ExitCode.OK if written and not diff.regressions else pytest.ExitCode.TESTS_FAILED

    def _refuse(self, folder: Path, why: str, width: int) -> pytest.ExitCode:
        """Report why the runs can't be compared."""
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
        """Write the comparison into the run's folder; return whether that worked."""
        try:
            write_text(folder / COMPARISON, text)
        except UnwritableError as error:
            self.lines.append(clean(str(error)))
            return False
        return True
