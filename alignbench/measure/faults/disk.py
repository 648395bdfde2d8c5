"""A full and a read-only disk at every place that a run writes, and files that can't grow beyond a size."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

from alignbench.errors import AlignbenchError
from alignbench.measure._suite import workplace
from alignbench.measure.faults import failing_disk
from alignbench.measure.faults.tally import Tally
from alignbench.report import read_run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from alignbench.measure._suite import Workplace

ARGUMENTS: Final = (
    "-m",
    "coral",
    "--encoders=mini-clip,random-vit",
    "--align-permutations=99",
    "--n-samples=12",
    "-p",
    "no:randomly",
)
_SIZES: Final = (0, 1000, 30_000, 300_000)  # bytes that a file may have
_RAW: Final = re.compile(r"INTERNALERROR|Traceback \(most recent call last\)")
_SAID: Final = re.compile(r"can't be|could not|cannot|no space|read-only|too large", re.IGNORECASE)
LIMIT = 900  # seconds for one run


def measure(options: argparse.Namespace) -> Iterator[Tally]:
    """Run the suite with a disk that fails at one place after the other."""
    tally = Tally("disk")
    with workplace() as place:
        site = place.root / "site"
        site.mkdir()
        shutil.copy(str(failing_disk.__file__), site / "sitecustomize.py")
        log = place.root / "written.log"
        _run(place, {"record": str(log)})
        places = list(dict.fromkeys(log.read_text(encoding="utf-8").splitlines()))
        expected = len(place.latest()[1])
        for at in places:
            for number in (errno.ENOSPC, errno.EROFS):
                done = _run(place, {"place": at, "errno": number})
                _judge(tally, f"{errno.errorcode[number]} at {at}", done, place, expected)
        for size in _SIZES:
            done = _run(place, None, _limit(size))
            _judge(tally, f"files of at most {size} bytes", done, place, expected)
    yield tally


def _run(
    place: Workplace, fault: dict[str, Any] | None, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str] | None:
    """Run the suite from an empty cache; None where it did not end."""
    for folder in ("reports", "cache", ".benchmarks"):
        shutil.rmtree(place.root / folder, ignore_errors=True)
    environment = place.environment()
    if fault is not None:
        environment[failing_disk.VARIABLE] = json.dumps({"root": str(place.root), **fault})
        path = [str(place.root / "site"), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    try:
        return subprocess.run(
            place.command(*ARGUMENTS),
            cwd=place.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            preexec_fn=before,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None


def _limit(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _judge(
    tally: Tally,
    what: str,
    done: subprocess.CompletedProcess[str] | None,
    place: Workplace,
    expected: int,
) -> None:
    """Count what a run came to.

    Scores are lost where a run neither kept them in a file nor showed them. A run that could not write
    something has to say so.
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
    kept = _kept(place.root / "reports")
    refused = done.returncode == 4  # before anything was embedded: nothing was scored
    said = _SAID.search(output)
    if not said and (kept < expected or done.returncode == 0):
        tally.add("silent", f"{what}: status {done.returncode}, {kept} of {expected} scores, not a word")
        return
    if not refused and kept < expected and "ranked by" not in output and f"{expected} scores" not in output:
        tally.add("lost", f"{what}: {kept} of {expected} scores in files, and none shown", expected - kept)
        return
    tally.add("refused" if done.returncode else "accepted", what)


def _last_error(output: str) -> str:
    errors = [line for line in output.splitlines() if re.search(r"Error\b.*:", line)]
    return errors[-1].strip()[:160] if errors else ""


def _kept(reports: Path) -> int:
    """Return how many scores of the newest run can be read."""
    runs = [folder for folder in reports.glob("*-*") if folder.is_dir()] if reports.is_dir() else []
    counts = [0]
    for folder in runs:
        try:
            counts.append(len(read_run(folder)[1]))
        except AlignbenchError:
            continue
    return max(counts)
