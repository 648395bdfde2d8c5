"""A page that is served for tests: in a process of its own, as the command does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STARTED_BY = 90.0  # seconds


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """Serve the page from `folder`; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "alignbench", "ui", "--no-browser", "--port", str(port), *options]
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "ALIGNBENCH_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _wait(server, url, folder / "log")
            yield url
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + STARTED_BY
    while True:
        try:
            with urlopen(url):
                return
        except URLError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no page: {log.read_text(encoding='utf-8')}") from error
            time.sleep(0.2)
