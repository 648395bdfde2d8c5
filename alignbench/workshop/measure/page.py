"""Whether the memory of the web page stops growing over many small jobs.

A page is served as `alignbench ui` serves it, and a client runs one small job after another on it: the CORAL
tab, the Embedding Space tab by PCA, the Attention tab with an uploaded image and the Alignment tab, each with
one encoder and one LLM. Every job has its own session, as if it came from a new visitor. This works on Linux
only: the resident size is read from /proc.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen
from uuid import uuid4

from scipy.stats import theilslopes

from alignbench.units import plural
from alignbench.workshop.measure._memory import resident_mib
from alignbench.workshop.measure._served import served

if TYPE_CHECKING:
    from collections.abc import Sequence

_DATA = (["chart", "table"], 5)
_ENCODER, _LLM = "mini-clip", "mini-llama"
_SEEDS = 40  # more than the data sets that the page keeps, so that their memory is part of the measurement
TABS = ("coral", "embedding", "attention", "compare")


def main(argv: list[str]) -> int:
    """Run the jobs and print a line at intervals; the exit status is 1 if memory still grows."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure page", description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--every", type=int, default=25, help="jobs between two lines (default: 25)")
    parser.add_argument("--tabs", nargs="+", choices=TABS, default=list(TABS))
    parser.add_argument(
        "--tolerance", type=float, default=2.0, help="growth in MiB per 100 jobs that is ignored"
    )
    options = parser.parse_args(argv)
    sizes: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as place, served(Path(place), "--n-samples", "5") as page:
        started = time.perf_counter()
        for job in range(options.jobs):
            run_job(page.url, options.tabs[job % len(options.tabs)], seed=job % _SEEDS)
            if (job + 1) % options.every == 0:
                sizes.append((job + 1, resident_mib(page.process.pid)))
                seconds = time.perf_counter() - started
                print(f"{job + 1:5} jobs  {sizes[-1][1]:7.1f} MiB  {seconds:6.0f} s", flush=True)
    growth = growth_per_100(sizes)
    print(f"growth over the last half: {growth:+.2f} MiB per 100 jobs ({plural(options.jobs, 'job')})")
    return int(growth > options.tolerance)


def growth_per_100(sizes: Sequence[tuple[int, float]]) -> float:
    """Return the slope of memory over jobs in the last half of the run, in MiB per 100 jobs.

    It is the median of the slopes between all pairs of measurements (Theil and Sen), so that a single early
    or late garbage collection has no influence.

    Args:
        sizes: (number of jobs so far, MiB).
    """
    late = sizes[len(sizes) // 2 :]
    if len(late) < 2:
        return 0.0
    jobs, memory = zip(*late, strict=True)
    return 100 * float(theilslopes(memory, jobs).slope)


def run_job(url: str, tab: str, seed: int) -> None:
    """Run one small job on the page and wait for its result.

    Args:
        url: the page's address.
        tab: the name of the tab's endpoint.
        seed: the seed of the job; for the Attention tab, the brightness of the uploaded image.

    Raises:
        RuntimeError: the job failed.
    """
    values: dict[str, list[Any]] = {
        "coral": [[_ENCODER], [_LLM], *_DATA, seed, 99],
        "embedding": [[_ENCODER], [_LLM], *_DATA, seed, ["pca"], "", ""],
        "compare": [[_ENCODER], [_LLM], *_DATA, seed, 99],
    }
    session = uuid4().hex
    data = [[_ENCODER], _uploaded(url, seed), "a red ball"] if tab == "attention" else values[tab]
    body = {"data": data, "session_hash": session}
    event = _post(f"{url}gradio_api/call/{tab}", json.dumps(body).encode(), "application/json")["event_id"]
    with urlopen(f"{url}gradio_api/call/{tab}/{event}", timeout=600) as answer:
        events = answer.read().decode("utf-8")
    if "event: complete" not in events:
        raise RuntimeError(f"{tab}: {events[-2000:]}")


def _uploaded(url: str, brightness: int) -> dict[str, Any]:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (brightness, 20, 60)).save(buffer, "PNG")
    border = uuid4().hex
    head = f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="{brightness}.png"\r\n'
    body = head.encode() + b"Content-Type: image/png\r\n\r\n" + buffer.getvalue()
    body += f"\r\n--{border}--\r\n".encode()
    [path] = _post(f"{url}gradio_api/upload", body, f"multipart/form-data; boundary={border}")
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def _post(url: str, body: bytes, kind: str) -> Any:
    with urlopen(Request(url, body, {"Content-Type": kind}), timeout=600) as answer:
        return json.load(answer)
