"""`--align-compare` and `--align-update`: what has changed since an earlier run, and a new baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from alignbench.errors import AlignbenchError, ConfigError, UnwritableError
from alignbench.files import check_can_write, make_folder
from alignbench.findings import TIMED, Findings, check_gates, compare, is_baseline, write_text
from alignbench.findings.files import SCORES
from alignbench.paths import exists, is_dir
from alignbench.show import markdown_diff, terminal_diff
from alignbench.show.text import markdown, wrap
from alignbench.text import clean
from alignbench.units import plural

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.findings.diff import Comparison, Difference
    from alignbench.findings.gate import Gate
    from alignbench.plugin.terminal import Printer
    from alignbench.session.options import Options

COMPARISON = "comparison.md"
_COMPARE = "--align-compare"
_FAIL = "--align-compare-fail"
_UNLIKE = "--align-compare-unlike"
_UPDATE = "--align-update"
_SUFFIX = ".json"


@dataclass
class Against:
    """The comparison of this run with an earlier one.

    Args:
        earlier: the earlier run, read when this one begins, because `reports/latest` changes at its end; None
            if this run makes the first baseline.
        gates: which changes are regressions.
        unlike: whether to compare runs even if they are not alike.
        baseline: the file that this run's scores are written to; None if they are only compared.
        place: the earlier run as the user named it.
        lines: the result of the comparison, for the terminal.
        diff: the comparison itself, once it is made.
    """

    earlier: Findings | None
    gates: tuple[Gate, ...]
    unlike: bool
    baseline: Path | None = None
    place: str = ""
    lines: list[str] = field(default_factory=list)
    diff: Comparison | None = None

    @classmethod
    def from_options(cls, options: Options, folder: Path) -> Against | None:
        """Read the earlier run that the options name; return None if they name none.

        Args:
            options: the options of this run.
            folder: the folder that paths are relative to.

        Raises:
            ConfigError: the earlier run does not exist or is damaged, or it can't be updated.
            UnknownNameError: it has no score of a metric that has a gate.
        """
        if options.compare is None:
            return None
        path, place = folder / options.compare, str(options.compare)
        baseline = _checked(path, place) if options.update else None
        if baseline is not None and not exists(path):
            return cls(None, options.compare_fail, True, baseline, place)
        try:
            earlier = Findings.read(path, place)
        except AlignbenchError as error:
            hint = ""
            if path.suffix == _SUFFIX and not exists(path):
                hint = f"; {_UPDATE} makes it a baseline of this run's scores"
            elif path.suffix == _SUFFIX and path.name != SCORES:
                hint = f"; delete it and write a new one with {_UPDATE}, or name another file"
            raise ConfigError(f"{_COMPARE}: {error}{hint}") from error
        if baseline is None:
            metrics = [score.metric for score in earlier.scores]
            check_gates(options.compare_fail, metrics, _FAIL, f"in {earlier.name}")
        return cls(earlier, options.compare_fail, options.compare_unlike or options.update, baseline, place)

    def try_writing(self) -> None:
        """Check that the baseline can be written, if this run is to write one.

        Raises:
            UnwritableError: there is a file where a folder is needed, or no permission to write there.
        """
        if self.baseline is not None:
            check_can_write(self.baseline)

    @property
    def title(self) -> str:
        """The heading of the result in the terminal."""
        return f"compared with {self.place}" if self.earlier is not None else f"baseline {self.place}"

    def finish(
        self, findings: Findings | None, folder: Path, printer: Printer, *, passed: bool = True
    ) -> pytest.ExitCode:
        """Compare this run with the earlier one, and write the comparison into this run's folder.

        Args:
            findings: the findings of this run; None if it has no scores.
            folder: the folder of this run.
            printer: knows the terminal's width and encoding.
            passed: whether every test passed; otherwise this run becomes no baseline.

        Returns:
            TESTS_FAILED if there is a regression or a file can't be written; USAGE_ERROR if there are gates
            but the runs can't be compared.
        """
        if findings is None:
            to_do = "nothing to accept" if self.baseline is not None else "nothing to compare"
            self.lines = [f"{to_do}: this run recorded no score"]
            strict = self.gates or self.baseline is not None
            return pytest.ExitCode.USAGE_ERROR if strict else pytest.ExitCode.OK
        if self.earlier is None:
            return self._accept(findings, passed=passed)
        gates = self.gates
        if self.baseline is not None:  # what is accepted need not have every metric that is judged later
            both = {s.metric for s in self.earlier.scores} & {s.metric for s in findings.scores}
            gates = tuple(gate for gate in gates if gate.metric in both)
        try:
            self.diff = compare(
                self.earlier, findings, gates, unlike=self.unlike, option=_FAIL, way_out=_UNLIKE
            )
        except AlignbenchError as error:
            return self._refuse(folder, str(error), printer.width)
        self.lines = terminal_diff(self.diff, printer.width, encoding=printer.encoding)
        written = self._write(folder / COMPARISON, markdown_diff(self.diff))
        if self.baseline is not None:
            return self._accept(findings, passed=passed)
        return pytest.ExitCode.OK if written and not self.regressions else pytest.ExitCode.TESTS_FAILED

    @property
    def regressions(self) -> tuple[Difference, ...]:
        """The scores that are worse than their gates allow; none if this run is accepted all the same."""
        return () if self.baseline is not None or self.diff is None else self.diff.regressions

    def _accept(self, findings: Findings, *, passed: bool) -> pytest.ExitCode:
        """Make this run the baseline, unless tests failed, whose scores it lacks."""
        assert self.baseline is not None
        if not passed:
            kept = "is unchanged" if exists(self.baseline) else "was not written"
            self.lines.append(
                f"not accepted: {self.place} {kept}, because a test failed, a hook raised an error, or a "
                "score could not be kept"
            )
            return pytest.ExitCode.OK
        if not self._write(self.baseline, findings.score_file()):
            return pytest.ExitCode.TESTS_FAILED
        before = 0 if self.earlier is None else len(self.earlier.scores)
        now = sum(score.experiment != TIMED for score in findings.scores)
        was = f", instead of {before}" if before not in (0, now) else ""
        self.lines.append(f"accepted: {self.place} now holds {plural(now, 'score')} of this run{was}")
        return pytest.ExitCode.OK

    def _refuse(self, folder: Path, why: str, width: int) -> pytest.ExitCode:
        """Report why the runs can't be compared."""
        reasons = [clean(line) for line in why.splitlines()]
        head, *others = reasons
        self.lines = wrap(f"not compared: {head}", width, "  ")
        self.lines += [line for reason in others for line in wrap(f"- {reason}", width, "  ")]
        listed = "\n".join(f"- {markdown(reason)}" for reason in reasons)
        written = self._write(folder / COMPARISON, f"## What changed?\n\n**Not compared.**\n\n{listed}\n")
        if self.gates:
            return pytest.ExitCode.USAGE_ERROR
        return pytest.ExitCode.OK if written else pytest.ExitCode.TESTS_FAILED

    def _write(self, path: Path, text: str) -> bool:
        """Write a file; return whether that worked."""
        try:
            make_folder(path.parent)
            write_text(path, text)
        except UnwritableError as error:
            self.lines.append(clean(str(error)))
            return False
        return True


def _checked(path: Path, place: str) -> Path:
    """Return the path of a baseline that may be written.

    Raises:
        ConfigError: it is a folder, it has another suffix, or something else than a baseline is there.
    """
    example = f"name a file such as tests/alignment{_SUFFIX} with {_COMPARE}"
    if is_dir(path):
        raise ConfigError(f"{_UPDATE}: {place} is a folder, and a baseline is a file; {example}")
    if path.suffix != _SUFFIX:
        raise ConfigError(f"{_UPDATE}: {place} does not end in {_SUFFIX}; {example}")
    if exists(path) and not is_baseline(path):
        raise ConfigError(
            f"{_UPDATE}: {place} holds no baseline, or a damaged one, and is not overwritten; delete it, or "
            f"{example}"
        )
    return path


def shared_folder(given: Path | None, folder: Path) -> Path | None:
    """Return the folder of published results that `--align-against` names, if it does.

    Raises:
        ConfigError: it is not there.
    """
    if given is not None and not is_dir(folder / given):
        raise ConfigError(
            f"--align-against: there is no folder {given}; name one that `alignbench publish` writes to"
        )
    return None if given is None else folder / given
