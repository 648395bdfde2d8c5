"""A run in which memory runs out: one line a test, and every other score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.tests.toys import run, scores

if TYPE_CHECKING:
    import pytest

TESTS = """
import numpy as np
import pytest

pytestmark = pytest.mark.cka
WORDS = "Unable to allocate 74.5 GiB for an array"


@pytest.fixture
def too_large(pair):
    raise MemoryError(WORDS)


def test_in_a_fixture(too_large, record):
    pass


def test_in_the_test(pair, record):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 80 bytes")


def test_in_a_metric(pair, record):
    from alignbench.metrics import Metric

    def fail(x, y):
        raise MemoryError(WORDS)

    record(Metric("large", fail, interval=None), pair)


def test_another_error(pair, record):
    raise RuntimeError("a bug")


def test_whole(pair, record):
    record("linear_cka", pair)
"""


def test_a_test_out_of_memory_fails_in_one_line(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=TESTS)
    result = run(project, "--encoders=toy-a", "-p", "no:randomly")
    result.assert_outcomes(passed=2, failed=2, errors=1)
    out = " ".join(result.stdout.str().split())
    less = "fewer samples take less (--n-samples)"
    assert f"out of memory: Unable to allocate 74.5 GiB for an array; {less}" in out
    tried = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 80 bytes"
    assert f"out of memory: {tried}; {less}" in out
    assert "raise MemoryError" not in out
    assert "can't allocate memory: you tried to allocate 80 bytes\")" not in out
    assert 'raise RuntimeError("a bug")' in out  # of a bug the traceback is wanted
    kept = {score["metric"]: score for score in scores(project).values()}
    assert kept["linear_cka"]["status"] == "ok"
    assert kept["large"]["status"] == "not_applicable"
    assert "out of memory: Unable to allocate 74.5 GiB" in kept["large"]["reason"]
