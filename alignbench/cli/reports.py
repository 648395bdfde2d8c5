"""Commands on arrays and on runs that there are: `from-arrays`, `report`, `diff`."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from alignbench.cli.options import add_options
from alignbench.cli.run import run_suite
from alignbench.errors import AlignbenchError, ConfigError, DataError, UnwritableError
from alignbench.experiments import experiments
from alignbench.paths import is_file, user_path
from alignbench.schema import shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


_ARRAYS = {
    "data": ("labels", "groups", "dataset", "data_root", "n_samples"),
    "run": ("metrics", "methods", "l2", "seed", "permutations", "output_dir", "run_name", "figures"),
}


def add_commands(commands: Any) -> None:
    """Add the commands."""
    arrays = commands.add_parser(
        "from-arrays",
        help="all scores of embeddings that you have: VISION.npy [VISION.npy ...] TEXT.npy",
        description="Every score that can be computed of vectors alone. Left out: " + _left_out() + ".",
        allow_abbrev=False,
    )
    arrays.add_argument(
        "files", nargs="+", metavar="FILE.npy", help="vision [n, d] each; the last one is text [n, d]"
    )
    arrays.add_argument("--dry-run", action="store_true", help="print the pytest run, and make none")
    arrays.add_argument(
        "-n", "--workers", metavar="N", help="run on so many processes, or auto (pytest-xdist)"
    )
    add_options(arrays, _ARRAYS)
    arrays.set_defaults(run=from_arrays, is_run=True)
    report = commands.add_parser("report", help="report.html of a run, anew; --paper: its figures as PDF")
    report.add_argument("folder", metavar="RUN", help="a run's folder, such as reports/latest")
    report.add_argument("--paper", action="store_true", help="figures for publication, in RUN/paper")
    report.set_defaults(run=report_of)
    _add_diff(commands)


def _add_diff(commands: Any) -> None:
    diff = commands.add_parser(
        "diff",
        help="what changed between two runs; exit status 1 on a regression",
        description="Two runs side by side: the scores that changed, with paired intervals where the samples "
        "are the same. Exit status: 0; 1 on a regression (--fail); 4 if the runs are not alike or not there.",
        allow_abbrev=False,
    )
    diff.add_argument("before", metavar="A", help="the earlier run: its folder, or its scores.json")
    diff.add_argument("after", metavar="B", help="the later run")
    diff.add_argument(
        "--fail",
        action="append",
        metavar="METRIC:TOLERANCE[,...]",
        help="what is a regression: by how much a metric may become worse, such as linear_cka:0.02,eas:5%%",
    )
    diff.add_argument(
        "--unlike",
        action="store_true",
        help="compare runs of other data, weights, preprocessing or seed all the same",
    )
    diff.add_argument("--format", choices=("text", "markdown"), default="text", help="(default: text)")
    diff.set_defaults(run=diff_of)


def from_arrays(given: argparse.Namespace, extra: list[str]) -> int:
    """Run the tests that score arrays, and say which are left out."""
    if len(given.files) < 2:
        raise ConfigError(
            "from-arrays: expected one or more files of vision and then one of text, got one file"
        )
    for file in given.files:
        if not is_file(user_path(file, "from-arrays")):
            raise ConfigError(f"from-arrays: there is no file {file}")
    *vision, text = given.files
    models = [f"--encoders={','.join(map(_spec, vision))}", f"--llms={_spec(text)}"]
    scored = [one.name for one in experiments() if one.parts and not one.not_for_arrays]
    chosen = ["-m", " or ".join(scored), *models]
    return run_suite(chosen, given, extra, note=f"left out: {_left_out()}")


def report_of(given: argparse.Namespace) -> int:
    """Write a run's report, or its figures for publication; print what was written."""
    from alignbench.show.html import write_report

    folder = user_path(given.folder, "report")
    if not given.paper:
        with _of_a_run(given.folder):
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


def diff_of(given: argparse.Namespace) -> int:
    """Print what changed between two runs; exit with 1 on a regression."""
    from alignbench.findings import Findings, compare, parse_gates
    from alignbench.show import markdown_diff, terminal_diff
    from alignbench.show.text import encodable

    gates = parse_gates(",".join(given.fail), "--fail") if given.fail else ()
    before, after = (Findings.read(user_path(run, "diff"), run) for run in (given.before, given.after))
    with _of_a_run(f"{given.before} and {given.after}"):
        found = compare(before, after, gates, unlike=given.unlike)
    encoding = sys.stdout.encoding or "utf-8"
    if given.format == "markdown":
        print(encodable(markdown_diff(found), encoding), end="")
    else:
        width = max(80, shutil.get_terminal_size((100, 24)).columns)
        print("\n".join(terminal_diff(found, width, encoding=encoding)))
    return int(bool(found.regressions))


@contextmanager
def _of_a_run(place: str) -> Iterator[None]:
    """Say in a line that files have the right form and still hold what no run writes.

    Their schema leaves open what a score's own parameters are; anybody may have changed the files.

    Raises:
        DataError: whatever came of it.
    """
    try:
        yield
    except AlignbenchError:
        raise
    except Exception as error:
        raise DataError(
            f"{place}: holds what no run writes ({type(error).__name__}: {shown(str(error))}); "
            "make the run anew"
        ) from error


def _left_out() -> str:
    left_out = [experiment for experiment in experiments() if experiment.not_for_arrays]
    return "; ".join(f"{experiment.name} ({experiment.not_for_arrays})" for experiment in left_out)


def _spec(file: str) -> str:
    if "," in file:
        raise ConfigError(f"from-arrays: {file!r}: a comma separates files; rename it")
    return f"npy:{file}"
