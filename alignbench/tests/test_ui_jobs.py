"""Work of the page: followed, stopped, one piece at a time."""

from __future__ import annotations

import gc
import threading
import time
import warnings
import weakref

import pytest

from alignbench.errors import AlignbenchWarning, DataError
from alignbench.ui import jobs
from alignbench.ui.jobs import Job, Stopped


def endless(job: Job[int]) -> int:
    job.expect(1)
    job.step("counting")
    while True:
        time.sleep(0.01)
        job.advance(1)


def wait_until_ended(job: Job[int]) -> None:
    deadline = time.monotonic() + 10
    while not job.ended:
        assert time.monotonic() < deadline, "the work goes on"
        time.sleep(0.01)


def test_the_result_comes_after_the_last_step() -> None:
    def work(job: Job[int]) -> int:
        job.expect(2)
        for name in ("first", "second"):
            job.step(name)
            time.sleep(0.3)
        return 7

    job = Job(work)
    told = list(job.follow())
    assert job.result() == 7
    assert [one.what for one in told if one.what in ("first", "second")]
    assert [one.fraction for one in told] == sorted(one.fraction for one in told)
    assert all(0 <= one.fraction <= 1 for one in told)


def test_a_part_counts_within_its_step() -> None:
    job = Job(lambda job: 0)
    job.expect(4)
    job.step("embedding")
    job.step("scoring")
    job.start(10, "images")
    job.advance(5)
    assert job.told == jobs.Told("images", 0.375)


def test_an_error_reaches_whoever_asks_for_the_result() -> None:
    def work(job: Job[int]) -> int:
        raise DataError("no such data")

    job = Job(work)
    list(job.follow())
    with pytest.raises(DataError, match="no such data"):
        job.result()


def test_stopping_ends_the_work_and_frees_the_device() -> None:
    job = Job(endless)
    following = job.follow()
    next(following)
    job.stop()
    list(following)
    with pytest.raises(Stopped):
        job.result()
    assert jobs.DEVICE.acquire(timeout=1)
    jobs.DEVICE.release()


def test_closing_the_iterator_stops_the_work() -> None:
    job = Job(endless)
    following = job.follow()
    next(following)
    following.close()  # type: ignore[attr-defined]
    wait_until_ended(job)


def test_work_that_nobody_asks_about_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PATIENCE", 0.5)
    job = Job(endless)
    following = job.follow()
    next(following)  # and never again, as when a tab was closed and nobody closed the iterator
    wait_until_ended(job)
    del following


def test_two_pieces_of_work_never_run_at_once() -> None:
    running, most = 0, 0
    guard = threading.Lock()

    def work(job: Job[int]) -> int:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        time.sleep(0.3)
        with guard:
            running -= 1
        return 0

    both = [Job(work) for _ in range(3)]
    threads = [threading.Thread(target=lambda job=job: list(job.follow())) for job in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert [job.result() for job in both] == [0, 0, 0]
    assert most == 1


def test_what_the_reader_has_to_know_is_kept() -> None:
    def work(job: Job[int]) -> int:
        warnings.warn("2 texts were cut", AlignbenchWarning, stacklevel=2)
        return 0

    job = Job(work)
    list(job.follow())
    assert job.warnings == ["2 texts were cut"]


def test_the_cycles_that_a_job_leaves_are_freed_with_it() -> None:
    class Figure:
        axes: object

    left: list[weakref.ref[Figure]] = []

    def work(job: Job[int]) -> int:
        figure = Figure()
        figure.axes = [figure]
        left.append(weakref.ref(figure))
        return 1

    gc.disable()
    try:
        job = Job(work)
        for _ in job.follow():
            pass
        assert job.result() == 1
        assert left[0]() is None
    finally:
        gc.enable()
