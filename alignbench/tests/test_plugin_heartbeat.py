"""The line of a long run: what is done, what is being done, and the time left."""

from __future__ import annotations

from threading import Thread

import pytest

from alignbench import doing
from alignbench.errors import InputError
from alignbench.plugin.heartbeat import Remaining
from alignbench.tests.toys import copy_benchmarks, run


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def remaining(workers: int = 1) -> tuple[Remaining, Clock]:
    clock = Clock()
    return Remaining({f"t.py::test_x[{i}]": 100.0 for i in range(4)}, workers, clock), clock


def test_the_time_left_is_that_of_the_tests_that_have_not_ended() -> None:
    left, clock = remaining()
    assert left.left() == pytest.approx(400)
    left.start("t.py::test_x[0]")
    clock.now = 30.0
    assert left.left() == pytest.approx(370)
    clock.now = 100.0
    left.end("t.py::test_x[0]")
    assert left.left() == pytest.approx(300)


def test_what_tests_really_take_moves_the_time_left() -> None:
    left, clock = remaining()
    left.start("t.py::test_x[0]")
    clock.now = 600.0
    assert left.left() == pytest.approx(300)  # the first takes longer than expected: nobody knows how much
    left.end("t.py::test_x[0]")
    assert left.left() == pytest.approx(300 * 610 / 110)


def test_workers_share_what_is_left() -> None:
    left, clock = remaining(workers=2)
    for i in (0, 1):
        left.start(f"t.py::test_x[{i}]")
    clock.now = 50.0
    assert left.left() == pytest.approx((50 + 50 + 200) / 2)
    assert left.line() == "alignbench: 0 of 4 tests done, 50 s gone, about 2 min left"


def test_the_line_says_what_is_being_done() -> None:
    left, clock = remaining()
    left.start("t.py::test_x[0]")
    clock.now = 40.0
    with doing.doing("epochs of linear projectors", 300):
        for _ in range(120):
            doing.advance()
        expected = "; test_x[0] for 40 s: 120 of 300 epochs of linear projectors"
        assert left.line().endswith(expected)
    assert left.line().endswith("; test_x[0] for 40 s")


def test_a_test_that_was_not_planned_does_no_harm() -> None:
    left, clock = remaining()
    left.end("t.py::test_other")
    left.start("t.py::test_other")
    clock.now = 5.0
    left.end("t.py::test_other")
    assert left.left() > 0


def test_threads_share_their_work_and_an_error_ends_it() -> None:
    def some() -> None:
        for _ in range(100):
            doing.advance()

    with doing.doing("steps", 400):
        threads = [Thread(target=some) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert doing.progress() == "400 of 400 steps"
    with pytest.raises(InputError), doing.doing("steps", 1):
        raise InputError("no")
    assert doing.progress() == ""
    doing.advance()


def test_a_long_run_says_the_time_left_also_where_output_is_redirected(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_e2e.py")
    project.makeconftest(
        (project.path / "conftest.py").read_text()
        + "\nimport alignbench.plugin.heartbeat as heartbeat\nheartbeat.EVERY = 0.02\n"
    )
    result = run(project, "benchmarks", "--align-epochs=200", "--align-loss=mse")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["alignbench: * of * tests done, * gone, about * left; test_e2e* epochs of linear*"]
    )
