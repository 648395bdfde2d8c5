"""Whether scores survive `kill -9` at many moments of a run, serial and with workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from alignbench.errors import AlignbenchError
from alignbench.findings import read_run
from alignbench.workshop.measure._suite import SMALL_RUN, workplace
from alignbench.workshop.measure.faults.tally import Tally

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from alignbench.types import Score
    from alignbench.workshop.measure._suite import Workplace

ARGUMENTS: Final = ("-m", "cka or coral", *SMALL_RUN)


def measure(options: argparse.Namespace) -> Iterator[Tally]:
    """Kill runs at moments spread evenly over the duration of a whole run."""
    with workplace() as place:
        for workers in ((), ("-n", "2")):
            tally = Tally(f"kill -9, {'-n 2' if workers else 'serial'}")
            place.forget_embeddings()
            started = time.monotonic()
            place.run(*ARGUMENTS, *workers)
            seconds = time.monotonic() - started
            expected = _values(place.latest()[1])
            moments = options.kills // 2
            for number in range(moments):
                if number % 2 == 0:
                    place.forget_embeddings()
                _kill_at(tally, place, workers, seconds * (number + 0.5) / moments, expected)
            yield tally


def _kill_at(
    tally: Tally, place: Workplace, workers: tuple[str, ...], moment: float, expected: dict[str, Any]
) -> None:
    """Kill a run after `moment` seconds, check what it left, and run again."""
    earlier = set(place.root.glob("reports/*-*"))
    process = subprocess.Popen(
        place.command(*ARGUMENTS, *workers),
        cwd=place.root,
        env=place.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    folder = next(iter(set(place.root.glob("reports/*-*")) - earlier), None)
    recorded = _whole_lines(folder) if folder is not None else 0
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    tally.inputs += 1
    what = f"after {moment:.1f} s, {recorded} scores"
    if folder is not None:
        try:
            kept = len(read_run(folder)[1]) if recorded else 0
        except AlignbenchError as error:
            tally.add("lost", f"{what}: {error}", recorded)
            return
        tally.add("lost", f"{what}: {recorded - kept} of them can't be read", max(0, recorded - kept))
        _open_artifacts(tally, folder, what)
    done = place.finish(*ARGUMENTS, *workers)
    if done.returncode:
        tally.add("traceback", f"{what}: the next run ended with {done.returncode}: {done.stdout[-200:]}")
        return
    values = _values(place.latest()[1])
    differing = [name for name, value in expected.items() if values.get(name) != value]
    tally.add("lost", f"{what}: the next run differs in {differing[:3]}", len(differing))
    tally.add("accepted", what)


def _whole_lines(folder: Path) -> int:
    log = folder / "scores.jsonl"
    return log.read_bytes().count(b"\n") if log.is_file() else 0


def _open_artifacts(tally: Tally, folder: Path, what: str) -> None:
    for path in folder.glob("artifacts/*.npz"):
        try:
            with np.load(path, allow_pickle=False) as arrays:
                _ = [arrays[name] for name in arrays.files]
        except (OSError, ValueError) as error:
            tally.add("lost", f"{what}: {path.name} can't be read ({error})")


def _values(scores: list[Score]) -> dict[str, Any]:
    """Return the content of each score, by what identifies the score."""
    keys = ("experiment", "metric", "encoder", "llm", "other", "data_type", "variant", "nodeid")
    plain = [score.to_dict() for score in scores]
    return {json.dumps([p.get(key) for key in keys]): p for p in plain}
