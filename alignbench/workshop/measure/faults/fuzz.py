"""Feeds mutated input to each entrance for some minutes, each in a separate process."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.errors import ConfigError
from alignbench.registry import unknown
from alignbench.workshop.measure.faults.entrances import ENTRANCES
from alignbench.workshop.measure.faults.tally import Tally
from alignbench.workshop.measure.faults.trial import outcome_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from alignbench.workshop.measure.faults.tally import Outcome

LIMIT = 30  # seconds for one input
SETUP = 600  # seconds for preparing an entrance


class HangError(BaseException):
    """An input took too long; not an Exception, so that none of our handlers catches it."""


def measure(options: argparse.Namespace) -> Iterator[Tally]:
    """Fuzz every entrance, as many at once as there are cores."""
    names = options.entrances or list(ENTRANCES)
    for name in names:
        if name not in ENTRANCES:
            raise ConfigError(unknown("entrance", name, dict.fromkeys(ENTRANCES)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(partial(_in_a_process, minutes=options.minutes, seed=options.seed), names)


def _in_a_process(name: str, minutes: float, seed: int) -> Tally:
    tally = Tally(f"fuzz {name}")
    with tempfile.TemporaryDirectory() as folder:
        settings = json.dumps({"entrance": name, "minutes": minutes, "seed": seed, "folder": folder})
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "ALIGNBENCH_CACHE": str(Path(folder) / "cache")}
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__, settings],
                capture_output=True,
                text=True,
                env=environment,
                cwd=folder,
                timeout=minutes * 60 + SETUP,
                check=False,
            )
        except subprocess.TimeoutExpired:
            tally.add("hang", "the fuzzer itself did not end")
            return tally
        if done.returncode:
            tally.add("crash", f"status {done.returncode}: {done.stderr.strip()[-400:]}")
            return tally
        data = json.loads(done.stdout.splitlines()[-1])
        tally.counts.update(data["counts"])
        return replace(tally, examples=data["examples"], inputs=data["inputs"])


def fuzz(name: str, minutes: float, seed: int, folder: Path, *, most: float = math.inf) -> Tally:
    """Feed mutated inputs to the entrance called `name`; input i of a seed is always the same.

    Args:
        name: the name of the entrance.
        minutes: the time after which no more inputs are tried.
        seed: the seed of the mutations.
        folder: a scratch folder.
        most: the largest number of inputs.
    """
    warnings.simplefilter("ignore")
    tally, seen = Tally(f"fuzz {name}"), set[str]()
    feed = ENTRANCES[name](folder)
    ends = time.monotonic() + 60 * minutes
    signal.signal(signal.SIGALRM, _ring)
    while time.monotonic() < ends and tally.inputs < most:
        number = tally.inputs
        tally.inputs += 1
        outcome, message = _attempt(partial(feed, random.Random(f"{seed} {name} {number}")))
        place = message.rsplit("(", 1)[-1]
        if outcome in {"traceback", "hang"} and place in seen:
            tally.counts[outcome] += 1
        else:
            tally.add(outcome, f"input {number} of seed {seed}: {message}")
            seen.add(place)
    return tally


def _attempt(feed: Any) -> tuple[Outcome, str]:
    signal.alarm(LIMIT)
    try:
        return outcome_of(feed)
    except HangError:
        return "hang", f"no end after {LIMIT} s"
    finally:
        signal.alarm(0)


def _ring(*_: object) -> None:
    raise HangError


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    result = fuzz(settings["entrance"], settings["minutes"], settings["seed"], Path(settings["folder"]))
    print(json.dumps({"counts": result.counts, "examples": result.examples, "inputs": result.inputs}))
