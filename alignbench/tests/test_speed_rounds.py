"""Rounds of a timing: how many, which of them count, and for how long a quiet machine is waited for."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from alignbench.experiments.speed.rounds import Effort, Patience, Timing, TooSlow, measure
from alignbench.tests.speed_fakes import FakeMachine

if TYPE_CHECKING:
    from collections.abc import Callable

EFFORT = Effort(warmups=3, rounds=10, least=3, seconds=1.0)


def timing(machine: FakeMachine, effort: Effort = EFFORT, **how: object) -> Timing:
    return measure(machine.work, effort, machine, **how)  # type: ignore[arg-type]


def test_warm_ups_are_not_counted() -> None:
    machine = FakeMachine([0.9, 0.5, 0.3, 0.01])
    found = timing(machine, Effort(seconds=100.0))
    assert found.seconds == pytest.approx([0.01] * 10)
    assert found.warmups == 3
    assert machine.calls == 13


def test_calls_that_take_long_have_fewer_rounds_and_warm_ups() -> None:
    found = timing(FakeMachine([0.25]))
    assert (len(found.seconds), found.warmups) == (4, 3)
    found = timing(FakeMachine([0.6]))
    assert (len(found.seconds), found.warmups) == (3, 1)


def test_a_call_that_takes_very_long_has_one_round() -> None:
    assert len(timing(FakeMachine([60.0])).seconds) == 1


def test_short_calls_are_repeated_in_a_round() -> None:
    found = timing(FakeMachine([0.001]))
    assert found.calls == 5
    assert found.seconds == pytest.approx([0.001] * 10)


def test_a_call_longer_than_allowed_is_not_timed() -> None:
    machine = FakeMachine([0.4])
    with pytest.raises(TooSlow):
        timing(machine, Effort(longest=0.3))
    assert machine.calls == 1


def test_of_one_thread_the_wait_for_a_cpu_is_left_out() -> None:
    found = timing(FakeMachine([0.02], waits=[0.0, 0.0, 0.0, *[0.5] * 10]))
    assert found.seconds == pytest.approx([0.02] * 10)
    assert found.repeated == 0


def test_a_wait_outside_of_the_call_is_not_taken_off_it() -> None:
    machine = FakeMachine([0.02])

    def call() -> None:
        machine.work()
        machine.waiting += 5.0  # before the clock was looked at, in fact

    assert measure(call, EFFORT, machine).seconds == pytest.approx([0.02] * 10)


def test_of_several_threads_a_timing_whose_rounds_waited_is_made_again() -> None:
    machine = FakeMachine([0.02], waits=[0.0, 0.0, 0.0, *[0.05] * 6], threads=2)
    found = timing(machine, patience=Patience(10.0))
    assert found.seconds == pytest.approx([0.02] * 10)
    assert (found.repeated, found.disturbed) == (10, 0)


def test_of_several_threads_a_few_rounds_that_waited_move_no_median() -> None:
    machine = FakeMachine([0.02], waits=[0.0, 0.0, 0.0, *[0.05] * 5], threads=2)
    found = timing(machine, patience=Patience(10.0))
    assert found.seconds == pytest.approx([0.07] * 5 + [0.02] * 5)
    assert (found.repeated, found.disturbed) == (0, 5)


def test_where_all_tries_are_disturbed_the_one_that_is_least_so_counts() -> None:
    waits = [*[0.0] * 3, *[0.05] * 8, *[0.0] * 5, *[0.05] * 7, *[0.0] * 6, *[0.05] * 999]
    found = timing(FakeMachine([0.02], waits, threads=2), patience=Patience(10.0, per_timing=5.0))
    assert found.disturbed == 7
    assert found.busy


def test_without_patience_a_round_that_waited_stays() -> None:
    machine = FakeMachine([0.02], waits=[0.0, 0.0, 0.0, *[0.5] * 20], threads=2)
    found = timing(machine)
    assert found.median == pytest.approx(0.52)
    assert (found.repeated, found.disturbed) == (0, 10)
    assert found.busy


def slower_than(seconds: float) -> Callable[[Timing], float]:
    return lambda found: found.median / seconds - 1


def test_a_timing_slower_than_expected_is_made_again_until_the_machine_is_itself() -> None:
    slow = [0.04] * 26  # a neighbour that nobody sees, for two timings
    machine = FakeMachine([*slow, 0.02])
    found = timing(machine, too_slow_by=slower_than(0.022), patience=Patience(10.0, per_timing=5.0))
    assert found.seconds == pytest.approx([0.02] * 10)
    assert found.repeated == 20
    assert machine.pauses == [0.0, 0.5]


def test_slow_code_stays_slow() -> None:
    machine = FakeMachine([0.04])
    found = timing(machine, too_slow_by=slower_than(0.022), patience=Patience(10.0, per_timing=2.0))
    assert found.median == pytest.approx(0.04)
    assert not found.busy


def test_of_all_tries_the_one_that_is_least_too_slow_counts() -> None:
    machine = FakeMachine([*[0.05] * 13, *[0.03] * 13, 0.04])
    found = timing(machine, too_slow_by=slower_than(0.022), patience=Patience(30.0, per_timing=30.0))
    assert found.median == pytest.approx(0.03)
    assert found.repeated == 50


def test_a_timing_stays_where_another_try_would_take_too_long() -> None:
    machine = FakeMachine([*[0.09] * 13, 0.2])
    effort = Effort(seconds=100.0, longest=0.1)
    found = timing(machine, effort, too_slow_by=slower_than(0.08), patience=Patience(10.0))
    assert found.median == pytest.approx(0.09)


def test_patience_ends_for_one_timing_and_for_all() -> None:
    patience = Patience(3.0, per_timing=1.0)
    machine = FakeMachine([0.04])
    impatient = slower_than(0.022)
    timing(machine, too_slow_by=impatient, patience=patience)
    assert 1.0 <= 3.0 - patience.seconds < 3.0
    for _ in range(3):
        timing(machine, too_slow_by=impatient, patience=patience)
    assert patience.seconds <= 0
    assert timing(machine, too_slow_by=impatient, patience=patience).repeated == 0


def test_load_by_others_is_told_and_makes_it_busy() -> None:
    quiet = timing(FakeMachine([0.02]))
    loaded = timing(FakeMachine([0.02], waits=[0.02] * 13))
    assert quiet.others == pytest.approx(0.0)
    assert not quiet.busy
    assert loaded.others == pytest.approx(0.5)
    assert loaded.busy


def test_quartiles_of_the_rounds() -> None:
    assert Timing((1.0, 2.0, 3.0, 4.0, 5.0)).quartiles == (2.0, 4.0)
    assert Timing((2.0,)).quartiles == (2.0, 2.0)


def test_the_standard_deviation_of_the_rounds_is_that_of_a_sample() -> None:
    assert Timing((1.0, 2.0, 4.0)).deviation == pytest.approx((7 / 3) ** 0.5)
    assert Timing((3.0,)).deviation is None


def test_no_garbage_is_collected_during_a_round() -> None:
    machine = FakeMachine([0.01])
    states = []

    def call() -> None:
        machine.work()
        states.append(gc.isenabled())

    measure(call, EFFORT, machine)
    assert states == [True] * 3 + [False] * 10
    assert gc.isenabled()
