"""What tells a machine that has become slower from code that has, and what timings are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from alignbench.experiments.speed.machine import Machine
from alignbench.experiments.speed.reference import Reference, slowdown
from alignbench.plugin.baseline import Baseline

if TYPE_CHECKING:
    from collections.abc import Callable

THEN = {"product": 1.0, "memory": 2.0, "calls": 4.0}


class Scripted(Machine):
    """A machine on which all work takes the same, that is said from outside."""

    takes = 1.0

    def timed(self, call: Callable[[], object]) -> tuple[float, bool]:
        call()
        return self.takes, True


def saved(median: float, reference: dict[str, float] | None = None) -> dict[str, Any]:
    stats = {"median": median, "min": 0.9 * median, "rounds": 10}
    return {"t": {"stats": stats, "extra_info": {} if reference is None else {"reference": reference}}}


def test_a_reading_is_the_middle_of_the_latest() -> None:
    machine = Scripted()
    reference = Reference(machine)
    assert reference.read() == {"product": 1.0, "memory": 1.0, "calls": 1.0}
    machine.takes = 3.0
    assert reference.read()["memory"] == 2.0
    for _ in range(2):
        reference.read()
    assert set(reference.read().values()) == {3.0}
    machine.takes = 9.0  # for a moment
    assert set(reference.read().values()) == {3.0}


def test_reference_work_takes_time() -> None:
    assert all(1e-5 < seconds < 0.1 for seconds in Reference(Machine()).read().values())


@pytest.mark.parametrize(
    ("then", "now", "times"),
    [
        (THEN, THEN, 1.0),
        (THEN, THEN | {"memory": 2.5}, 1.25),
        (THEN, THEN | {"memory": 99.0}, 1.3),
        (THEN, {kind: seconds / 2 for kind, seconds in THEN.items()}, 1.0),
        (THEN, {"product": 1.2, "of a later version": 9.0}, 1.2),
        ({}, THEN, 1.0),
        (THEN, {}, 1.0),
    ],
    ids=["same", "one-kind", "beyond-belief", "faster", "another-version", "saved-without", "none-now"],
)
def test_the_kind_that_lost_most_counts_and_a_faster_machine_does_not(
    then: dict[str, float], now: dict[str, float], times: float
) -> None:
    assert slowdown(then, now) == pytest.approx(times)


def test_what_is_expected_is_the_saved_median_on_the_machine_as_it_is() -> None:
    baseline = Baseline([saved(10.0, THEN)])
    assert baseline.expected("t", THEN) == 10.0
    assert baseline.expected("t", THEN | {"calls": 4.8}) == pytest.approx(12.0)
    assert baseline.expected("another", THEN) is None


def test_the_middle_of_the_last_runs_counts_where_it_is_higher() -> None:
    earlier = [saved(12.0), saved(11.0), saved(30.0), saved(9.0)]
    assert Baseline([saved(10.0)], earlier).expected("t", {}) == 11.0
    assert Baseline([saved(14.0)], earlier).expected("t", {}) == 14.0
    # Each is brought to the present by what the machine was then.
    now = {kind: 1.2 * seconds for kind, seconds in THEN.items()}
    assert Baseline([saved(10.0, now)], [saved(9.0, THEN)] * 2).expected("t", now) == pytest.approx(10.8)


def test_two_runs_have_no_middle() -> None:
    assert Baseline([saved(10.0)], [saved(30.0)]).expected("t", {}) == 10.0


def test_of_several_runs_that_were_named_the_fastest_counts() -> None:
    assert Baseline([saved(10.0), saved(8.0), saved(8.5)]).expected("t", {}) == 8.0


def test_adjusting_scales_times_and_nothing_else_and_keeps_the_ratio() -> None:
    compared = saved(10.0, THEN)
    baseline = Baseline([compared])
    baseline.compare("t", 18.0, THEN | {"memory": 2.4})
    baseline.compare("unsaved", 1.0, THEN)
    assert compared["t"]["stats"] == pytest.approx({"median": 12.0, "min": 10.8, "rounds": 10})
    assert baseline.ratios == pytest.approx({"t": 1.5})
    assert baseline.slowdowns == pytest.approx([1.2])
    baseline.compare("t", 18.0, THEN | {"memory": 2.4})  # a test that is run again
    assert compared["t"]["stats"]["median"] == pytest.approx(12.0)
