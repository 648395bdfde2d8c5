"""The measurements themselves: both forms agree, the synthetic truth is the truth, mistakes are named."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from alignbench.metrics import METRICS, debiased_cka
from alignbench.workshop.measure import cka, needed, scale, truth
from alignbench.workshop.measure import command as measure

pytestmark = pytest.mark.slow


def test_our_form_and_the_textbook_give_the_same_numbers() -> None:
    x, y = cka.data(150, 20, 30)
    assert cka.ours(x, y) == pytest.approx(cka.textbook(x, y), abs=1e-12)


def test_moments_of_a_stream_stay_small_and_exact() -> None:
    command = [sys.executable, "-m", "alignbench.measure", "moments", "--rows", "30000", "--width", "16"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "30,000 x 16 pairs" in result.stdout


def test_what_many_pairs_cost_is_measured_in_parts(capsys: pytest.CaptureFixture[str]) -> None:
    small = [
        "--rows",
        "21000",
        "--widths",
        "6",
        "8",
        "--models",
        "2",
        "--singles",
        "1",
        "--grid-rows",
        "21000",
    ]
    small += ["--grid-width", "4", "--sizes", "100", "300", "--growth-width", "4"]
    scale.main(["million", "grid", "growth", *small])
    printed = capsys.readouterr().out
    assert "21,000 pairs, 6 x 8:" in printed
    assert "2 x 2 models, 21,000 pairs, 4 columns" in printed
    for name in METRICS.names(default=True):
        assert f"  {name} " in printed
    with pytest.raises(SystemExit):
        scale.main(["billion"])


def test_growth_says_where_a_part_stands_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--growth-metrics", "linear_cka", "mutual_knn", "--growth-whole"]
    scale.main(["growth", "--sizes", "301", "5100", "--growth-width", "3", *chosen])
    heading, _, *rows = capsys.readouterr().out.splitlines()
    assert heading.startswith("value, null and interval, 3 columns, as in a run: ")
    assert [row.split()[0] for row in rows] == ["linear_cka", "mutual_knn"]
    marks = [[cell.rstrip()[-1] in "sq" for cell in row.split("|")[:2]] for row in rows]
    assert marks == [[False, False], [False, True]]


def test_what_a_pair_costs_is_a_row_for_each_metric_that_sees_the_pairing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scale.main(["pair", "--pair-rows", "120", "--pair-widths", "6", "8"])
    heading, columns, _, *rows, total, ratio = capsys.readouterr().out.splitlines()
    assert heading == "CPU seconds of one pair, 120 rows, 6 x 8, one thread of BLAS:"
    assert " ".join(columns.split()) == "metric value + null + within classes + interval in a run"
    cells = {row.split()[0]: row.split()[1:] for row in rows}
    seeing = [name for name in METRICS.names(pairing=True) if METRICS.get(name).default]
    assert list(cells) == [*seeing, "all"]
    assert {name for name, row in cells.items() if "-" in row} == {"eas_adjusted"}
    in_run = [float(row[-1]) for row in cells.values()]
    assert sum(in_run[:-1]) == pytest.approx(in_run[-1], abs=0.01 * len(in_run))
    assert total.startswith("all metrics in one run: ")
    assert ratio.endswith("(aim 4)")


@pytest.mark.parametrize("world", [truth.INDEPENDENT, *truth.ALIGNED], ids=lambda world: world.title)
def test_the_population_value_is_what_many_pairs_approach(world: truth.Population) -> None:
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


def pool_of(size: int) -> needed.Pool:
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(3 * size, 4)).astype(np.float32)
    images = tuple((texts + noise * rng.normal(size=texts.shape)).astype(np.float32) for noise in (0.5, 0.7))
    groups = np.asarray([f"g{i}" for i in range(3 * size)])
    return needed.Pool(("a", "b"), (images[0], images[1]), texts, groups, np.repeat(["x", "y", "z"], size))


def test_a_growing_sample_keeps_what_it_had_and_its_types() -> None:
    pool = pool_of(60)
    small, large = pool.nested(0, (30, 90))
    assert set(small) < set(large)
    assert [list(pool.types[large]).count(name) for name in "xyz"] == [30, 30, 30]
    assert not np.array_equal(small, pool.nested(1, (30,))[0])


def test_a_clear_difference_is_seen_and_more_samples_see_it_better() -> None:
    pool = pool_of(60)
    small, large = (needed.look(pool, rows) for rows in pool.nested(0, (30, 180)))
    assert large.difference > 0
    assert large.apart
    assert large.error < small.error
    assert large.needed < 180


@pytest.mark.parametrize(
    ("shares", "expected"),
    [((0.1, 0.6, 1.0), "about 141"), ((0.9, 1.0, 1.0), "below 50"), ((0.1, 0.2, 0.3), "above 200")],
)
def test_where_the_power_is_reached_is_between_the_sizes_that_were_looked_at(
    shares: tuple[float, ...], expected: str
) -> None:
    assert needed.reached((50, 100, 200), shares) == expected


def test_the_verdict_over_seeds_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    seen = needed.SampleVerdict(0.02, 0.015, 90, 89, False)
    later = needed.SampleVerdict(0.02, 0.007, 360, 99, True)
    needed.report([(seen, later), (seen, later)])
    printed = capsys.readouterr().out
    assert "predicted at n = 90 from each of 2 ties: median 406" in printed
    assert needed.line(3, (seen, later)) == (
        "seed  3: n = 90: +0.020 ± 0.015, tie, about 500 predicted; then 360 apart"
    )
