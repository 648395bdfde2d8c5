"""Whether a run has the same bits here, in two processes, and on Ray, also if a worker is killed half-way."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import psutil

from alignbench.errors import ConfigError
from alignbench.session.session import Session
from alignbench.workshop.measure._suite import Workplace, workplace

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

_ENCODER, _LLM, _DRAWINGS = "mini-clip", "mini-llama", "drawings"
_GIVEN = re.compile(r": worker (\d+) gets (shard \d+ .*)$", re.MULTILINE)
_RAY = ("--align-executor=ray",)
_WAYS = {"local": (), "-n 2": ("-n", "2"), "Ray": _RAY, "Ray, a worker killed": _RAY}
# One worker for each core, and the same arithmetic in all ways.
_VARIABLES = {"OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
_PAUSE = 0.02


def add_options(parser: argparse._ArgumentGroup) -> None:
    """Add the sizes."""
    parser.add_argument("--drawings", type=int, default=20_000, help="rounded up to a multiple of 3 types")
    parser.add_argument("--shard-rows", type=int, default=256)


def measure(options: argparse.Namespace) -> int:
    """Print what came of each way; return 1 if bits differ, or a shard was computed twice for no reason."""
    if find_spec("ray") is None:
        raise ConfigError('this measurement needs ray: pip install "alignbench[ray]"')
    per_type = -(-options.drawings // 3)
    args = (
        f"--encoders={_ENCODER}",
        f"--llms={_LLM}",
        f"--align-data={_DRAWINGS}",
        "--n-samples=all",
        f"--align-shards={options.shard_rows}",
        "--align-permutations=19",
        "--align-no-figures",
        "--align-no-thumbnails",
        "-p",
        "no:randomly",
        "-m",
        "cka",
        "-k",
        "linear_cka",
    )
    failed, bits, first = False, set(), dict[str, str]()
    print(f"{3 * per_type:,} drawings in shards of {options.shard_rows}: {_ENCODER} and {_LLM}, linear CKA")
    with workplace() as place:
        _draw(place, per_type)
        for way, more in _WAYS.items():
            place.forget_embeddings()
            log = place.root / "run.log"
            log.unlink(missing_ok=True)
            logged = (f"--log-file={log}", "--log-file-level=DEBUG") if more == _RAY else ()
            shards = 2 * -(-3 * per_type // options.shard_rows)
            started = time.perf_counter()
            killed = _run(place, (*args, *more, *logged), log, shards // 4 if "killed" in way else 0)
            seconds = time.perf_counter() - started
            lost = [text for text in place.latest()[0]["warnings"] if "a worker was lost" in text]
            given = Counter(name for _, name in _GIVEN.findall(log.read_text())) if logged else Counter()
            # Both models' shards have the same names.
            twice = sum(given.values()) - shards if logged else 0
            scores, vectors = _scores(place), _vectors(place, options.shard_rows)
            bits.add((digest := _digest(json.dumps(scores).encode()), vectors))
            failed |= twice != killed or len(lost) != killed
            print(f"  {way:<22} {seconds:6.1f} s  {len(scores)} scores {digest}  vectors {vectors}", end="")
            print(f"  given twice: {twice}, of lost workers: {len(lost)}" if logged else "", flush=True)
            first = first or scores
            for key in [key for key in first if scores.get(key) != first[key]][:1]:
                print(f"    {key}: {scores.get(key)} instead of {first[key]}")
        moments = {_moments(place, options.shard_rows, who) for who in ("local", "ray")}
    print(f"  moments, local and Ray: {', '.join(sorted(moments))}")
    same = len(bits) == 1 and len(moments) == 1
    print("  the same bits in all ways" if same else "  THE BITS DIFFER")
    return int(failed or not same)


def _draw(place: Workplace, per_type: int) -> None:
    """Write the drawings to a folder: to draw them takes longer than to embed them."""
    command = ("-m", "alignbench", "data", "synthetic", f"--n-samples={per_type}", f"--to={_DRAWINGS}")
    subprocess.run(
        [sys.executable, *command],
        cwd=place.root,
        env=place.environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _run(place: Workplace, args: Sequence[str], log: Path, kill_after: int) -> int:
    """Run, kill a worker once so many shards have been given, and return how many were killed."""
    command = place.command(*args)
    environment = {**place.environment(), **_VARIABLES}
    with subprocess.Popen(
        command, cwd=place.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        killed: list[int] = []
        if kill_after:
            watch = threading.Thread(target=_kill_one, args=(run, log, kill_after, killed))
            watch.start()
        out, _ = run.communicate()
        if kill_after:
            watch.join()
    if run.returncode:
        raise RuntimeError(f"{' '.join(args)}: exit {run.returncode}\n{out[-3000:]}")
    return len(killed)


def _kill_one(run: subprocess.Popen[str], log: Path, after: int, killed: list[int]) -> None:
    """Kill one of the run's own workers while it embeds."""
    while run.poll() is None:
        if log.is_file() and len(_GIVEN.findall(log.read_text())) >= after:
            for process in psutil.Process(run.pid).children(recursive=True):
                if process.cmdline() and process.cmdline()[0].startswith("ray::_Worker.do"):
                    process.kill()
                    killed.append(process.pid)
                    return
        time.sleep(_PAUSE)


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def _scores(place: Workplace) -> dict[str, str]:
    """Return all scores of the last run by key; the commands that reproduce them differ, of course."""
    of_run = sorted(place.latest()[1], key=lambda score: score.key)
    return {
        "/".join(map(str, score.key)): json.dumps({**score.to_dict(), "reproduce": ""}, sort_keys=True)
        for score in of_run
    }


def _session(place: Workplace, shard_rows: int, **options: Any) -> Session:
    return Session(
        encoders=_ENCODER,
        llms=_LLM,
        data=str(place.root / _DRAWINGS),
        n_samples="all",
        shards=shard_rows,
        cache_dir=place.root / "cache" / "embeddings",
        **options,
    )


def _vectors(place: Workplace, shard_rows: int) -> str:
    """Return the digest of both models' vectors in the store."""
    session = _session(place, shard_rows)
    sides = (session.vision(_ENCODER).values, session.text(_LLM).values)
    digest = _digest(*(values.tobytes() for values in sides))
    if session.take_loads():
        raise RuntimeError("the store lacked vectors after a run")
    return digest


def _moments(place: Workplace, shard_rows: int, executor: str) -> str:
    """Return the digest of the moments of both models."""
    session = _session(place, shard_rows, executor=executor)
    moments = session.moments(_ENCODER, _LLM)
    return _digest(*(part.tobytes() for part in (moments.x.outer, moments.y.outer, moments.cross.outer)))
