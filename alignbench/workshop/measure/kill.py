"""What `kill -9` in the middle of a run costs: no score, no embedding, no half-written file."""

from __future__ import annotations

import argparse
import json
import subprocess
import time

import numpy as np

from alignbench.workshop.measure._suite import workplace

_NO_TIMINGS = ("-p", "no:randomly", "-m", "not speed")  # they load models, whatever is cached


def main(argv: list[str]) -> None:
    """Kill a run after some scores, look at what it left, and run again."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure kill", description=__doc__)
    parser.add_argument("--after", type=int, default=25, help="scores before the kill")
    after = parser.parse_args(argv).after
    with workplace() as place:
        process = subprocess.Popen(
            place.command(*_NO_TIMINGS),
            cwd=place.root,
            env=place.environment(),
            stdout=subprocess.DEVNULL,
        )
        log = None
        while process.poll() is None and (log is None or len(log.read_bytes().splitlines()) < after):
            log = next(iter(place.root.glob("reports/*/scores.jsonl")), None)
            time.sleep(0.02)
        if log is None or process.poll() is not None:
            raise SystemExit("the run ended before it could be killed; give a smaller --after")
        process.kill()
        process.wait()
        lines = log.read_text(encoding="utf-8").splitlines()
        whole = sum(json.loads(line)["status"] in {"ok", "not_applicable"} for line in lines)
        artifacts = list(log.parent.glob("artifacts/*.npz"))
        for path in artifacts:
            with np.load(path, allow_pickle=False) as arrays:
                _ = [arrays[name] for name in arrays.files]
        print(f"killed after {whole} scores: {len(lines)} lines of scores.jsonl, all whole")
        print(f"{len(artifacts)} artifacts, all of them open")
        seconds = place.run(*_NO_TIMINGS)
        run, scores = place.latest()
        models = [load["model"] for load in run["loads"]]
        print(f"the next run: {len(scores)} scores in {seconds:.1f} s; it had to load {models or 'no model'}")
