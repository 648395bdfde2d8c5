"""Serves the web page in a separate process, as `alignbench ui` does, for measurements and tests."""

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
    """A running page.

    Args:
        url: its address.
        process: the process that serves it.
        log: the file with its output.
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
        folder: the folder in which it starts, with its cache and its log.
        options: the options of `alignbench ui`.
        environment: additional environment variables.
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
