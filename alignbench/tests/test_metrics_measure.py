"""The measurements themselves: both forms agree, the synthetic truth is the truth, mistakes are named."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from alignbench.measure import __main__ as measure
from alignbench.measure import cka, truth
from alignbench.metrics import debiased_cka


def test_our_form_and_the_textbook_give_the_same_numbers() -> None:
    x, y = cka.data(150, 20, 30)
    assert cka.ours(x, y) == pytest.approx(cka.textbook(x, y), abs=1e-12)


def test_moments_of_a_stream_stay_small_and_exact() -> None:
    command = [sys.executable, "-m", "alignbench.measure", "moments", "--rows", "30000", "--width", "16"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "30,000 x 16 pairs" in result.stdout


@pytest.mark.parametrize("world", [truth.INDEPENDENT, *truth.ALIGNED], ids=lambda world: world.title)
def test_the_population_value_is_what_many_pairs_approach(world: truth.World) -> None:
    x, y, _ = world.draw(4000, 0)
    assert debiased_cka(x, y) == pytest.approx(world.population_cka, abs=0.02)


def test_trials_are_the_same_again_and_differ_from_each_other() -> None:
    first, again, other = (truth.ALIGNED[0].draw(9, trial)[0] for trial in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_page_in_the_docs_is_of_these_worlds_and_metrics() -> None:
    page = truth.PAGE.read_text(encoding="utf-8")
    for title in (world.title for world in truth.ALIGNED):
        assert f"### {title}\n" in page
    for name in (*truth.SEEING, *truth.BLIND):
        assert f"\n| {name} |" in page


def test_an_unknown_measurement_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert measure.main(["moment"]) == 2
    assert "Did you mean 'moments'" in capsys.readouterr().err
    assert measure.main([]) == 2
    assert measure.main(["--help"]) == 0
    assert "moments" in capsys.readouterr().out
