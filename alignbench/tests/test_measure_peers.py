"""The comparison with other forms of each score: they agree, and its digits and goals are what they say."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.workshop.measure import _peers_packages as packages
from alignbench.workshop.measure import _peers_textbook as textbook
from alignbench.workshop.measure import peers
from alignbench.workshop.measure._peers_contests import Contest, Inputs, contests
from alignbench.workshop.measure._race import Spread

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

ALL = contests(packages.PACKAGES)


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return Inputs.drawn(60, 24, 40)


@pytest.mark.parametrize("score", ALL)
def test_all_forms_of_a_score_agree(score: str, inputs: Inputs) -> None:
    contest = ALL[score]
    arguments = contest.arguments(inputs)
    ours = contest.ours(*arguments)
    assert ours not in (0, 1)  # which a form could be by mistake
    for form in contest.peers.values():
        assert form(*arguments) == pytest.approx(ours, rel=1e-9)


def test_a_form_that_computes_something_else_has_few_equal_digits(inputs: Inputs) -> None:
    wrong = Contest(
        ALL["linear_cka"].arguments,
        ALL["linear_cka"].ours,
        {"uncentred": lambda x, y: textbook.cka_of_grams(x + 1, y) + 0.001},
    )
    result = peers.compare(wrong, inputs, 1)
    assert result.digits < 4
    assert peers.compare(ALL["linear_cka"], inputs, 1).digits > 12


def test_equal_digits_are_counted_relative_to_the_value() -> None:
    assert peers.equal_digits(0.5, 0.5) == 16
    assert peers.equal_digits(0.0, 0.0) == 16
    assert peers.equal_digits(1.0, 1.001) == 3
    assert peers.equal_digits(1e-5, 2e-5) == 0
    assert peers.equal_digits(1.0, -1.0) == 0


def test_a_peer_that_is_hopelessly_slow_is_not_raced_again(inputs: Inputs) -> None:
    calls = {"quick": 0, "slow": 0}

    def work(name: str, size: int, x: np.ndarray, y: np.ndarray) -> float:
        calls[name] += 1
        return float(np.sort(np.arange(size, 0, -1) % 997).sum())

    contest = Contest(
        ALL["linear_cka"].arguments,
        partial(work, "quick", 200_000),
        {"quick": partial(work, "quick", 200_000), "slow": partial(work, "slow", 20_000_000)},
    )
    assert peers.compare(contest, inputs, 2).peer == "quick"
    assert calls["slow"] == 1
    assert calls["quick"] >= 6


@pytest.mark.parametrize(
    ("ratio", "bare", "reached"),
    [(0.9, None, True), (1.2, None, False), (1.2, 1.15, True), (1.2, 1.16, False)],
)
def test_the_goal_is_the_fastest_peer_or_the_bare_products(
    ratio: float, bare: float | None, reached: bool
) -> None:
    bare_spread = None if bare is None else Spread.of([bare])
    result = peers.Result(1.0, "numpy", Spread.of([ratio]), bare_spread, 15, None)
    assert result.reached is reached
    assert ("linear_cka *" in peers.row("linear_cka", result)) is not reached
    assert f"{int(reached)} of 1 reach the goal" in peers.verdict([result])


def test_a_package_that_cannot_be_installed_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[:4] == [sys.executable, "-m", "pip", "install"]
        message = "WARNING: retrying\nERROR: No matching distribution found for " + command[-1]
        return subprocess.CompletedProcess(command, 1, "", message)

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(sys, "path", list(sys.path))
    failed = packages.install(tmp_path)
    assert failed["CLIP_benchmark"] == "No matching distribution found for clip-benchmark"
    assert set(failed) == set(packages.PACKAGES)
    assert "torchmetrics" not in contests(failed)["recall@10"].peers


def test_the_peak_of_a_score_is_more_than_what_it_must_hold() -> None:
    n = 1000
    peak = peers.peak_of(ALL["rsa"], n, 16, 16)
    assert peak is None or peak > n * n * 8 / 2**20


def test_the_command_prints_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "install", lambda folder: dict.fromkeys(packages.PACKAGES, "no network"))
    arguments = ["--n", "40", "--widths", "8x12", "--rounds", "1", "--only", "linear_cka", "recall@10"]
    assert peers.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "torchmetrics: not installable here (no network)" in printed
    assert "n = 40, widths 8 and 12, 1 round" in printed
    assert "| linear_cka" in printed
    assert "| recall@10" in printed


def test_numbers_and_widths_are_read_from_lists() -> None:
    assert peers.numbers("1000,5000") == [1000, 5000]
    assert peers.widths("768x4096,8x9") == [(768, 4096), (8, 9)]
