"""Work of the page: followed, stopped, one piece at a time."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref

import pytest

from alignbench.errors import AlignbenchWarning, DataError
from alignbench.ui import jobs
from alignbench.ui.jobs import Cancellation, Job


def endless(job: Job[int]) -> int:
    job.expect(1)
    job.step("counting")
    while True:
        job.advance(1)


def wait_until_ended(job: Job[int]) -> None:
    for thread in threading.enumerate():
        if thread.name == "alignbench-job":
            thread.join(timeout=10)
    assert job.ended, "the work goes on"


@pytest.mark.slow
def test_the_result_comes_after_the_last_step() -> None:
    seen = {"first": threading.Event(), "second": threading.Event()}

    def work(job: Job[int]) -> int:
        job.expect(2)
        for name, shown in seen.items():
            job.step(name)
            assert shown.wait(timeout=10), f"nobody was told of the step {name!r}"
        return 7

    job = Job(work)
    told = []
    for progress in job.follow():
        told.append(progress)
        if progress.what in seen:
            seen[progress.what].set()
    assert job.result() == 7
    assert [one.fraction for one in told] == sorted(one.fraction for one in told)
    assert all(0 <= one.fraction <= 1 for one in told)


def test_a_part_counts_within_its_step() -> None:
    job = Job(lambda job: 0)
    job.expect(4)
    job.step("embedding")
    job.step("scoring")
    job.start(10, "images")
    job.advance(5)
    assert job.state == jobs.JobState("images", 0.375)


def test_an_error_reaches_whoever_asks_for_the_result() -> None:
    def work(job: Job[int]) -> int:
        raise DataError("no such data")

    job = Job(work)
    list(job.follow())
    with pytest.raises(DataError, match="no such data"):
        job.result()


@pytest.mark.slow
def test_stopping_ends_the_work_and_frees_the_device() -> None:
    job = Job(endless)
    following = job.follow()
    next(following)
    job.stop()
    list(following)
    with pytest.raises(Cancellation):
        job.result()
    assert jobs.DEVICE.acquire(timeout=1)
    jobs.DEVICE.release()


@pytest.mark.slow
def test_closing_the_iterator_stops_the_work() -> None:
    job = Job(endless)
    following = job.follow()
    next(following)
    following.close()  # type: ignore[attr-defined]
    wait_until_ended(job)


@pytest.mark.slow
def test_work_that_nobody_asks_about_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PATIENCE", 0.5)
    job = Job(endless)
    following = job.follow()
    next(following)  # and never again, as when a tab was closed and nobody closed the iterator
    wait_until_ended(job)
    del following


@pytest.mark.slow
def test_two_pieces_of_work_never_run_at_once() -> None:
    running, most, first = 0, 0, True
    guard, waiting = threading.Lock(), threading.Semaphore(0)

    def work(job: Job[int]) -> int:
        nonlocal running, most, first
        with guard:
            running += 1
            most = max(most, running)
            wait, first = first, False
        if wait:  # the first piece of work goes on only once the two others wait for the device
            assert all(waiting.acquire(timeout=10) for _ in range(2)), "nobody waits for the device"
        with guard:
            running -= 1
        return 0

    def follow(job: Job[int]) -> None:
        told = False
        for progress in job.follow():
            if progress.what == "waiting for the device" and not told:
                told = True
                waiting.release()

    jobs_at_once = [Job(work) for _ in range(3)]
    threads = [threading.Thread(target=follow, args=(job,)) for job in jobs_at_once]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert [job.result() for job in jobs_at_once] == [0, 0, 0]
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
