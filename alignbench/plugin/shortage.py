"""A test that runs out of memory fails in one line; the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pytest

from alignbench.errors import AlignbenchError
from alignbench.memory import is_out_of_memory
from alignbench.text import clean

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, T, T]:
    """Say it of fixtures, in which models embed."""
    return (yield from _in_one_line(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, T, T]:
    """Say it of the test itself."""
    return (yield from _in_one_line(item))


def _in_one_line(item: pytest.Item) -> Generator[None, T, T]:
    try:
        return (yield)
    except Exception as error:
        # Errors of ours say in one line already what ran out of memory, and what to do.
        used = "alignbench_session" in getattr(item, "fixturenames", ())
        if not used or isinstance(error, AlignbenchError) or not is_out_of_memory(error):
            raise
        why = " ".join(str(error).split()) or type(error).__name__
        pytest.fail(f"out of memory: {clean(why)}; fewer samples take less (--n-samples)", pytrace=False)
