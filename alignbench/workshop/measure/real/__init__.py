"""The whole suite with real weights: EfficientNet-Lite0, SmolLM2 and Gemma 3 on photographs and drawings.

The weights are those that installed packages contain; nothing is installed or downloaded. The photographs
come with scikit-image and scikit-learn; the packaged drawings are used as well.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from alignbench import encoders, llms
from alignbench.findings.files import SCORES
from alignbench.paths import benchmarks
from alignbench.show.folder import SUMMARY
from alignbench.workshop.measure._suite import workplace
from alignbench.workshop.measure.real import checks
from alignbench.workshop.measure.real.photographs import installed_folders, write_data
from alignbench.workshop.measure.real.weights import ENCODERS, LLMS, at_hand, recognised

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alignbench.encoders import Encoder
    from alignbench.workshop.measure._suite import Workplace

_TOY_ENCODERS = ("mini-clip", checks.CONTROL)


def main(argv: Sequence[str]) -> int:
    """Run the suite with real weights and print one line per check; return 1 if one failed."""
    experiments = sorted(file.stem.removeprefix("test_") for file in benchmarks().glob("test_*.py"))
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure real", description=__doc__)
    listed = ", ".join(experiments)
    parser.add_argument(
        "--only", nargs="+", metavar="EXPERIMENT", choices=experiments, default=[], help=listed
    )
    parser.add_argument("--samples", type=int, default=30, help="samples of each data type (default: 30)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="a new folder for the run's report")
    parser.add_argument("arguments", nargs="*", help="further arguments of pytest, after --")
    options = parser.parse_args(argv)
    if options.keep is not None and options.keep.exists():
        parser.error(f"--keep: {options.keep} exists; name a new folder")
    arguments = [f"--n-samples={options.samples}", *options.arguments]
    if options.only:
        arguments.append(f"-m={' or '.join(options.only)}")
    failed = False
    with workplace() as place:
        for line in measured(place, arguments):
            print(line, flush=True)
            failed |= isinstance(line, checks.Check) and line.verdict == "FAILED"
        latest = place.root / "reports" / "latest"
        if options.keep is not None and latest.exists():
            shutil.copytree(latest, options.keep)
    return int(failed)


def measured(place: Workplace, arguments: Sequence[str]) -> Iterator[str | checks.Check]:
    """Run the suite with what is installed; yield what is missing, then the checks.

    Args:
        place: the workplace.
        arguments: arguments of pytest, besides models and data.
    """
    folders, lines = installed_folders()
    photographs, absent = write_data(place.root / "data", folders)
    networks, gone = at_hand(ENCODERS, encoders.resolve)
    models, missing = at_hand(LLMS, llms.resolve)
    yield from [*lines, *absent, *gone, *missing]
    for name in networks:
        yield from recognised(cast("Encoder", encoders.resolve(name, l2=False)), folders)
    if not (networks or models):
        yield checks.Check("FAILED", "no real weights are installed: there is nothing to measure")
        return
    load = os.getloadavg()[0] / (os.cpu_count() or 1) if sys.platform != "win32" else 0.0
    result = place.finish(
        f"--align-data-root={place.root / 'data'}",
        f"--encoders={','.join((*networks, *_TOY_ENCODERS))}",
        f"--llms={','.join((*models, checks.TOY))}",
        "-rs",
        *arguments,
    )
    output = result.stdout + result.stderr
    if not (place.root / "reports" / "latest").exists():
        yield checks.Check("FAILED", f"the run left no report, exit status {result.returncode}")
        yield output[-3000:]
        return
    yield f"{photographs} photographs in addition to the packaged drawings"
    yield from judged(place, output, result.returncode, load, tuple(models))


def judged(
    place: Workplace, output: str, status: int, load: float, real: tuple[str, ...]
) -> Iterator[checks.Check]:
    """Yield the checks of the finished run.

    Args:
        place: the workplace.
        output: the run's output.
        status: pytest's exit status.
        load: the load per core before the run.
        real: the names of the real LLMs.
    """
    run, scores = place.latest()
    yield from checks.no_failures(run, status)
    yield checks.estimated(output, run["seconds"], load)
    yield from checks.everywhere(run, scores, output)
    latest = place.root / "reports" / "latest"
    plain = json.loads((latest / SCORES).read_text(encoding="utf-8"))
    yield checks.ranked_all(run, [*plain["ranking"], *plain["ranking_by_type"]])
    summary = (latest / SUMMARY).read_text(encoding="utf-8")
    yield checks.summary_names_all(run, summary)
    for llm in real:
        yield checks.trained_above_control(scores, llm)
    yield checks.llms_agree(scores, real)
