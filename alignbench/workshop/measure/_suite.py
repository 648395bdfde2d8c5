"""Runs of the suite for measurements, in separate processes and a separate folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench import paths
from alignbench.findings import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alignbench.types import Score

CONFTEST = 'pytest_plugins = ["alignbench.plugin.fixtures"]\n'
# The options of a run that takes a few seconds; `-m` selects its experiments.
SMALL_RUN = (
    "--encoders=mini-clip,random-vit",
    "--align-permutations=99",
    "--n-samples=12",
    "-p",
    "no:randomly",
)


@dataclass(frozen=True, slots=True)
class Workplace:
    """A temporary folder with a copy of the benchmarks, a cache and reports.

    Args:
        root: the folder.
    """

    root: Path

    def command(self, *args: str) -> list[str]:
        """Return the pytest command of a run of all benchmarks in this folder."""
        return [sys.executable, "-m", "pytest", "benchmarks", "-q", "-p", "no:cacheprovider", *args]

    def environment(self) -> dict[str, str]:
        """Return the environment of a run: with a cache in this folder, and without the caller's options."""
        left_out = {"PYTEST_ADDOPTS", "VLM_DATA_ROOT", "VLM_OUTPUT_DIR"}
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        return {**kept, "ALIGNBENCH_CACHE": str(self.root / "cache"), "HF_HUB_OFFLINE": "1"}

    def run(self, *args: str) -> float:
        """Run the benchmarks and return the seconds that it took.

        Raises:
            RuntimeError: the run failed.
        """
        started = time.perf_counter()
        result = self.finish(*args)
        seconds = time.perf_counter() - started
        if result.returncode:
            raise RuntimeError(
                f"{' '.join(args)}: exit {result.returncode}\n{result.stdout[-3000:]}{result.stderr[-1000:]}"
            )
        return seconds

    def finish(
        self, *args: str, variables: Mapping[str, str] | None = None, **process: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the benchmarks, and return the result even if the run failed.

        Args:
            args: the arguments of pytest.
            variables: additional environment variables.
            process: further options of `subprocess.run`, such as `timeout`.
        """
        environment = {**self.environment(), **(variables or {})}
        command = self.command(*args)
        result: subprocess.CompletedProcess[str] = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, **process
        )
        return result

    def forget_embeddings(self) -> None:
        """Empty the cache."""
        shutil.rmtree(self.root / "cache", ignore_errors=True)

    def latest(self) -> tuple[dict[str, Any], list[Score]]:
        """Return the description and the scores of the last run."""
        return read_run(self.root / "reports" / "latest")


@contextmanager
def workplace(benchmarks: Path | None = None) -> Iterator[Workplace]:
    """Make a workplace for the duration of a measurement.

    Args:
        benchmarks: the folder with the tests, if not this clone's.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        source = benchmarks or paths.benchmarks()
        shutil.copytree(source, root / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
        (root / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        (root / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        yield Workplace(root)
