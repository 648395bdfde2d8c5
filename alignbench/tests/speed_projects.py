"""A project whose encoder takes as long as a test says, and what its runs leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.tests.toys import CONFTEST

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TIMED = """
import time

from alignbench.experiments.speed import reference as speed_reference
from alignbench.experiments.speed import rounds as speed_rounds

speed_rounds._PAUSES = (0.0, 0.1)  # slow code is not to hold up the tests
reading = dict.fromkeys(("product", "memory", "calls"), 1.0)
speed_reference.Reference.read = lambda self: dict(reading)

class Timed(ToyEncoder):
    def embed(self, images):
        time.sleep({seconds})
        return super().embed(images)

ENCODERS.add("timed", Timed("timed"))
"""
ENCODE = ("benchmarks", "--encoders=timed", "-k", "test_encode", "--align-batch-sizes=1,2")
ONE = (*ENCODE[:-1], "--align-batch-sizes=1")


def takes(project: pytest.Pytester, seconds: float) -> None:
    """Have a batch take so long."""
    project.makeconftest(CONFTEST + TIMED.format(seconds=seconds))


def saved(project: pytest.Pytester) -> list[Path]:
    """Return the files of saved timings."""
    return sorted((project.path / "reports" / "speed" / "cpu").glob("*/*.json"))


def text(result: pytest.RunResult) -> str:
    """Return all that a run printed."""
    return result.stdout.str() + result.stderr.str()
