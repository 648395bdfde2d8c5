"""A web page that is served in a process of its own, as the command does it: for measurements and tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STARTED_BY = 180.0  # seconds; far less on a machine that is not busy


@dataclass(frozen=True, slots=True)
class PageServer:
    """A page that answers.

    Args:
        url: its address.
        process: that serves it.
        log: the file of what it prints.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def served(
    folder: Path, *options: str, environment: Mapping[str, str] | None = None, started_by: float = STARTED_BY
) -> Iterator[PageServer]:
    """Serve a page until the block is left.

    Args:
        folder: where it is started; its cache and its log are there.
        options: of `alignbench ui`.
        environment: further variables of its environment.
        started_by: the seconds after which a page that does not answer is an error.

    Raises:
        RuntimeError: it did not start.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "alignbench", "ui", "--no-browser", "--port", str(port), *options]
    variables = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "ALIGNBENCH_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        **(environment or {}),
    }
    with (folder / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
        page = PageServer(url, process, folder / "log")
        try:
            _wait(page, started_by)
            yield page
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait(page: PageServer, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urlopen(page.url):
                return
        except URLError as error:
            if page.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the page did not start: {page.log.read_text('utf-8')}") from error
            time.sleep(0.2)
