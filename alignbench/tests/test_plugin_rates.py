"""What a machine makes of an estimate: its load, and what tests took on it before."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from alignbench.session import rates
from alignbench.session.rates import Rates, slowness
from alignbench.tests.toys import copy_benchmarks, run

if TYPE_CHECKING:
    from pathlib import Path


def ticking(step: float) -> itertools.count[float]:
    return itertools.count(0.0, step)


def test_a_busy_machine_is_slower_by_the_wall_clock() -> None:
    quiet, busy = ticking(rates._STEP_SECONDS), ticking(7 * rates._STEP_SECONDS)
    assert slowness(lambda: next(quiet)) == pytest.approx(1.0, rel=0.02)
    assert slowness(lambda: next(busy)) == pytest.approx(7.0, rel=0.2)


@pytest.mark.slow
def test_what_is_believed_of_a_machine_has_bounds() -> None:
    stuck, fast = ticking(1e9), ticking(0.95 * rates._FASTEST * rates._STEP_SECONDS)
    assert slowness(lambda: next(stuck)) == rates._SLOWEST
    assert slowness(lambda: next(fast)) == rates._FASTEST


def test_the_next_run_expects_what_this_one_took(tmp_path: Path) -> None:
    known = Rates(tmp_path / "rates" / "x.json")
    assert known.factor("test_e2e") == 1.0
    known.learn("test_e2e", 10.0, 60.0)
    known.learn("test_e2e", 10.0, 60.0)
    known.save(slowness=2.0)  # so the tests took 60 s in all on a quiet machine, three times as expected
    again = Rates(known.file, rates._read(tmp_path / "rates" / "x.json"))
    assert again.factor("test_e2e") == pytest.approx((60 + 2) / (20 + 2))
    assert again.factor("test_cka") == 1.0


def test_what_was_measured_last_counts_most_and_little_is_no_proof(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    for taken in (100.0, 10.0):
        one = Rates(file, rates._read(file))
        one.learn("test_e2e", 10.0, taken)
        one.save(1.0)
    assert 1.0 < Rates(file, rates._read(file)).factor("test_e2e") < 5.0
    brief = Rates(file, {"test_cka": (0.02, 0.2)})
    assert brief.factor("test_cka") < 1.2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"3",
        b'{"a": 3}',
        b'{"a": [1]}',
        b'{"a": [-1, 2]}',
        b'{"a": ["x", 2]}',
        b'{"a": [NaN, 1]}',
    ],
)
def test_a_damaged_file_says_nothing(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    assert rates._read(file) == {}


def test_nothing_is_kept_where_nothing_may_be(tmp_path: Path) -> None:
    none, refused = Rates(None), Rates(tmp_path / "file" / "x.json")
    (tmp_path / "file").write_text("in the way")
    for one in (none, refused):
        one.learn("test_e2e", 1.0, 1.0)
        one.save(1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_run_leaves_its_rates_and_the_next_plan_goes_by_them(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIGNBENCH_CACHE", str(project.path / "own-cache"))
    copy_benchmarks(project, "test_e2e.py")
    small = ("benchmarks", "--align-epochs=1", "--align-splits=2", "--align-no-figures")
    assert run(project, *small).ret == 0
    [file] = (project.path / "own-cache" / "rates").iterdir()
    known = json.loads(file.read_bytes())
    assert set(known) == {"test_e2e"}
    assert all(value > 0 for value in known["test_e2e"])
    file.write_text(json.dumps({"test_e2e": [1.0, 1e9]}))
    run(project, *small).stdout.fnmatch_lines(["plan *; about * h"])
