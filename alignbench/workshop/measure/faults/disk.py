"""What a run does if the disk is full or read-only wherever it writes, or if file sizes are limited."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from alignbench.errors import AlignbenchError
from alignbench.findings import read_run
from alignbench.workshop.measure._suite import SMALL_RUN, workplace
from alignbench.workshop.measure.faults import failing_disk
from alignbench.workshop.measure.faults.tally import Tally

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from alignbench.workshop.measure._suite import Workplace

ARGUMENTS: Final = ("-m", "coral", *SMALL_RUN)
_SIZES: Final = (1000, 30_000, 300_000)  # size limits of files in bytes; pytest itself has to write some
_RAW: Final = re.compile(r"INTERNALERROR|Traceback \(most recent call last\)")
_ADMITS: Final = re.compile(r"can't be|could not|cannot|no space|read-only|too large", re.IGNORECASE)
LIMIT = 900  # seconds for one run


@dataclass(frozen=True, slots=True)
class RunRemains:
    """What remains of a run.

    Args:
        scores: the number of readable scores.
        files: the files in its folder, and `latest` if that leads to it.
    """

    scores: int
    files: frozenset[str]


def measure(options: argparse.Namespace) -> Iterator[Tally]:
    """Run the suite with a disk that fails at one place after another."""
    tally = Tally("disk")
    with workplace() as place:
        site = place.root / "site"
        site.mkdir()
        shutil.copy(str(failing_disk.__file__), site / "sitecustomize.py")
        log = place.root / "written.log"
        _run(place, {"record": str(log)})
        places = list(dict.fromkeys(log.read_text(encoding="utf-8").splitlines()))
        whole = _left(place.root / "reports")
        for at in places:
            for number in (errno.ENOSPC, errno.EROFS):
                done = _run(place, {"place": at, "errno": number})
                _judge(tally, f"{errno.errorcode[number]} at {at}", done, place, whole)
        for size in _SIZES:
            done = _run(place, None, _limit(size))
            _judge(tally, f"files of at most {size} bytes", done, place, whole)
    yield tally


def _run(
    place: Workplace, fault: dict[str, Any] | None, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str] | None:
    """Run the suite from an empty cache; return None if it did not end."""
    for folder in ("reports", "cache", ".benchmarks"):
        shutil.rmtree(place.root / folder, ignore_errors=True)
    variables = {}
    if fault is not None:
        variables[failing_disk.VARIABLE] = json.dumps({"root": str(place.root), **fault})
        path = [str(place.root / "site"), os.environ.get("PYTHONPATH", "")]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    try:
        return place.finish(*ARGUMENTS, variables=variables, timeout=LIMIT, preexec_fn=before)
    except subprocess.TimeoutExpired:
        return None


def _limit(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _judge(
    tally: Tally,
    what: str,
    done: subprocess.CompletedProcess[str] | None,
    place: Workplace,
    whole: RunRemains,
) -> None:
    """Count the outcome of a run.

    Scores are lost if a run neither kept them in a file nor showed them. A run that could not write something
    has to say so.
    """
    tally.inputs += 1
    if done is None:
        tally.add("hang", what)
        return
    output = done.stdout + done.stderr
    if found := _RAW.search(output):
        lines = len(output.splitlines())
        tally.add("traceback", f"{what}: {found.group()} in {lines} lines; {_last_error(output)}")
        return
    if done.returncode < 0:
        tally.add("crash", f"{what}: signal {-done.returncode}")
        return
    left, expected = _left(place.root / "reports"), whole.scores
    refused = done.returncode == 4  # the run stopped before anything was scored
    if not _ADMITS.search(output) and left != whole:
        missing = sorted(whole.files - left.files)
        tally.add("silent", f"{what}: status {done.returncode}, {left.scores} scores, without {missing}")
        return
    shown = "ranked by" in output or f"{expected} scores" in output
    if not refused and left.scores < expected and not shown:
        tally.add("lost", f"{what}: {left.scores} of {expected} scores in files, and none shown", expected)
        return
    tally.add("refused" if done.returncode else "accepted", what)


def _last_error(output: str) -> str:
    errors = [line for line in output.splitlines() if re.search(r"Error\b.*:", line)]
    return errors[-1].strip()[:160] if errors else ""


def _left(reports: Path) -> RunRemains:
    """Return what remains of the newest run."""
    runs = sorted(folder for folder in reports.glob("*-*") if folder.is_dir())
    if not runs:
        return RunRemains(0, frozenset())
    files = {path.relative_to(runs[-1]).as_posix() for path in runs[-1].rglob("*") if path.is_file()}
    if (reports / "latest").resolve() == runs[-1].resolve():
        files.add("latest")
    try:
        scores = len(read_run(runs[-1])[1])
    except AlignbenchError:
        scores = 0
    return RunRemains(scores, frozenset(files))
