"""The commands for arrays and for earlier runs: `from-arrays`, `report`, `diff`."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from alignbench.cli.options import DATA, add_options, add_run_arguments
from alignbench.cli.run import run_suite
from alignbench.errors import AlignbenchError, ConfigError, DataError, UnwritableError
from alignbench.experiments import experiments
from alignbench.paths import is_file, user_path
from alignbench.schema import shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from alignbench.experiments import Experiment


_ARRAYS = {
    "data": ("labels", "groups", *DATA),
    "run": ("metrics", "methods", "l2", "seed", "permutations", "output_dir", "run_name", "figures"),
}


def add_commands(commands: Any) -> None:
    """Add the commands."""
    arrays = commands.add_parser(
        "from-arrays",
        help="score embeddings that you have: VISION.npy [VISION.npy ...] TEXT.npy",
        description=f"Computes every score that needs only vectors. Left out: {_left_out()}.",
        allow_abbrev=False,
    )
    arrays.add_argument(
        "files", nargs="+", metavar="FILE.npy", help="arrays [n, d] of vision, and the last one of text"
    )
    add_run_arguments(arrays)
    add_options(arrays, _ARRAYS)
    arrays.set_defaults(run=from_arrays, is_run=True)
    report = commands.add_parser(
        "report",
        help="write report.html of a run again, or its figures as PDF",
        description="Write report.html of a run again from what its folder holds, or its figures as PDF.",
    )
    report.add_argument("folder", metavar="RUN", help="a run's folder, such as reports/latest")
    report.add_argument("--paper", action="store_true", help="write figures for publication to RUN/paper")
    report.set_defaults(run=report_of)
    _add_diff(commands)


def _add_diff(commands: Any) -> None:
    diff = commands.add_parser(
        "diff",
        help="show what changed between two runs; exit status 1 on a regression",
        description="Shows the scores that changed between two runs, with paired intervals if the samples "
        "are the same. Exit status: 0; 1 on a regression (--fail); 4 if the runs are not alike or do not "
        "exist.",
        allow_abbrev=False,
    )
    diff.add_argument("before", metavar="A", help="the earlier run: its folder, or its scores.json")
    diff.add_argument("after", metavar="B", help="the later run")
    diff.add_argument(
        "--fail",
        action="append",
        metavar="METRIC:TOLERANCE[,...]",
        help="fail if a metric became worse by more than this, such as linear_cka:0.02,eas:5%%",
    )
    diff.add_argument(
        "--unlike",
        action="store_true",
        help="compare runs even if data, weights, preprocessing or seed differ",
    )
    diff.add_argument(
        "--format",
        choices=("text", "markdown"),
        default="text",
        help="the form of the output (default: text)",
    )
    diff.set_defaults(run=diff_of)


def from_arrays(arguments: argparse.Namespace, extra: list[str]) -> int:
    """Run the tests that score arrays, and print which experiments are left out."""
    if len(arguments.files) < 2:
        raise ConfigError(
            "from-arrays: expected one or more files of vision and then one of text, got one file"
        )
    for file in arguments.files:
        if not is_file(user_path(file, "from-arrays")):
            raise ConfigError(f"from-arrays: there is no file {file}")
    *vision, text = arguments.files
    models = [f"--encoders={','.join(map(_spec, vision))}", f"--llms={_spec(text)}"]
    scored = [known.name for known in experiments() if known.parts and not _why_left_out(known)]
    selection = ["-m", " or ".join(scored), *models]
    return run_suite(selection, arguments, extra, note=f"left out: {_left_out()}")


def report_of(arguments: argparse.Namespace) -> int:
    """Write a run's report, or its figures for publication; print the paths of the files."""
    from alignbench.show.html import write_report

    folder = user_path(arguments.folder, "report")
    if not arguments.paper:
        with _written_by_a_run(arguments.folder):
            print(write_report(folder))
        return 0
    from alignbench.files import make_folder
    from alignbench.findings import Findings
    from alignbench.show import draw_figures

    findings = Findings.read(folder)
    into = folder / "paper"
    make_folder(into)
    drawn = draw_figures(folder, findings, into, for_paper=True)
    for name in drawn.files:
        print(into / name)
    for problem in drawn.problems:
        print(f"alignbench: {problem}", file=sys.stderr)
    if drawn.unwritten:
        raise UnwritableError(into, "; ".join(dict.fromkeys(drawn.unwritten.values())), [*drawn.unwritten])
    return int(bool(drawn.problems))


def diff_of(arguments: argparse.Namespace) -> int:
    """Print what changed between two runs; exit with 1 on a regression."""
    from alignbench.findings import Findings, compare, parse_gates
    from alignbench.show import markdown_diff, terminal_diff
    from alignbench.show.text import encodable

    gates = parse_gates(",".join(arguments.fail), "--fail") if arguments.fail else ()
    runs = (arguments.before, arguments.after)
    before, after = (Findings.read(user_path(run, "diff"), run) for run in runs)
    with _written_by_a_run(" and ".join(runs)):
        diff = compare(before, after, gates, unlike=arguments.unlike)
    encoding = sys.stdout.encoding or "utf-8"
    if arguments.format == "markdown":
        print(encodable(markdown_diff(diff), encoding), end="")
    else:
        width = max(80, shutil.get_terminal_size((100, 24)).columns)
        print("\n".join(terminal_diff(diff, width, encoding=encoding)))
    return int(bool(diff.regressions))


@contextmanager
def _written_by_a_run(place: str) -> Iterator[None]:
    """Turn any error into one line: files that fit the schema may still hold what no run writes.

    The schema does not restrict the parameters of scores, and anybody may have changed the files.

    Raises:
        DataError: there was an error other than alignbench's own.
    """
    try:
        yield
    except AlignbenchError:
        raise
    except Exception as error:
        problem = f"{type(error).__name__}: {shown(str(error))}"
        raise DataError(f"{place}: holds what no run writes ({problem}); make the run anew") from error


def _left_out() -> str:
    reasons = {experiment.name: _why_left_out(experiment) for experiment in experiments()}
    return "; ".join(f"{name} ({reason})" for name, reason in reasons.items() if reason)


def _why_left_out(experiment: Experiment) -> str:
    """Return why an experiment is not run on arrays; "" if it is."""
    return experiment.not_for_arrays or ("takes long" if experiment.long else "")


def _spec(file: str) -> str:
    if "," in file:
        raise ConfigError(f"from-arrays: {file!r}: file names can't have a comma here; rename it")
    return f"npy:{file}"
