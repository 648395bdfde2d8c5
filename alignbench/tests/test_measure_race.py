"""The simulation of races: its truth is right, and the best encoder is hardly ever dropped."""

from __future__ import annotations

import numpy as np
import pytest

from alignbench.metrics import linear_cka
from alignbench.stats import wilson_interval
from alignbench.stats.race import Race
from alignbench.workshop.measure import race as measure

EQUAL = next(world for world in measure.WORLDS if world.title == "ten equal")
CLEAR = next(world for world in measure.WORLDS if world.title == "one clearly best")


@pytest.mark.parametrize("world", measure.WORLDS, ids=lambda world: world.title)
def test_the_cka_of_the_population_is_that_of_many_samples(world: measure.World) -> None:
    text, images = world.draw(np.random.default_rng(0), 6000)
    for encoder in (0, 1, 9):
        assert linear_cka(images[encoder], text) == pytest.approx(world.cka(encoder), abs=0.03)
    assert world.best[0] == 0


def test_what_races_show_is_counted() -> None:
    races = [measure.raced(CLEAR, number, groups=40) for number in range(2)]
    told = measure.Told.of(CLEAR, [*races, Race((), "budget")], 40)
    assert told.lost.tolist() == [0, 0, 1]
    assert told.dropped.tolist() == [0, 0, 1]
    assert told.used[:2].tolist() == [race.entries / 400 for race in races]
    assert told.alone.tolist() == [float(race.survivors == ("0",)) for race in [*races, Race((), "budget")]]


@pytest.mark.slow
def test_a_race_is_the_same_again_and_another_with_another_number() -> None:
    assert measure.raced(CLEAR, 1, groups=40) == measure.raced(CLEAR, 1, groups=40)
    assert measure.raced(CLEAR, 1, groups=40) != measure.raced(CLEAR, 2, groups=40)


@pytest.mark.slow
def test_in_sixty_races_the_best_is_hardly_ever_dropped() -> None:
    clear = [measure.raced(CLEAR, number, groups=160) for number in range(30)]
    equal = [measure.raced(EQUAL, number, groups=80) for number in range(30)]
    told = [
        measure.Told.of(world, races, groups)
        for world, races, groups in ((CLEAR, clear, 160), (EQUAL, equal, 80))
    ]
    dropped = sum(float(one.dropped.sum()) for one in told)
    assert wilson_interval(dropped, 60).low <= 0.05
    assert told[0].alone.mean() > 0.9
    assert np.median(told[0].used) <= 0.25


def test_the_command_prints_a_row_for_each_world(capsys: pytest.CaptureFixture[str]) -> None:
    measure.main(["--races", "1", "--groups", "20", "--only", "clearly"])
    printed = capsys.readouterr().out
    assert "| one clearly best | debiased_cka | 1 |" in printed
    assert "1 races by debiased_cka: a best one dropped in 0.0%" in printed
    with pytest.raises(SystemExit):
        measure.main(["--only", "nowhere"])
