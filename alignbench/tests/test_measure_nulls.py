"""The measurement of closed forms: it finds a right p right and a wrong one wrong."""

from __future__ import annotations

import numpy as np
import pytest

from alignbench.metrics.permuted import ProductMoments
from alignbench.workshop.measure import nulls


def test_ratios_are_1_for_the_right_distribution_and_not_for_another() -> None:
    values = np.sort(np.random.default_rng(0).normal(3.0, 2.0, 200_000))
    right = ProductMoments(3.0, 4.0, 0.0, 1.0)
    assert nulls.ratios(values, right) == pytest.approx([1.0, 1.0, 1.0], abs=0.2)
    assert nulls.ratios(values, ProductMoments(3.0, 3.0, 0.0, 1.0))[2] < 0.4
    assert len(nulls.ratios(values[:1000], right)) == 1


def test_a_cell_agrees_with_draws_and_the_section_shows_it() -> None:
    normal, heavy = nulls.UNRELATED[0], nulls.UNRELATED[2]
    cells = {
        (score, case, 50): nulls.cell(score, case, 50, 2000)
        for score, case in (("linear_cka", normal), ("mutual_knn", normal), ("linear_cka", heavy))
    }
    assert cells["linear_cka", normal, 50].ratios == pytest.approx([1.0, 1.0], abs=0.4)
    assert cells["linear_cka", heavy, 50].text.startswith("(")
    text = nulls.text_of(cells, 2000)
    assert f"| linear_cka: normal | {cells['linear_cka', normal, 50].text} | – |" in text
    assert "2,000 up to n = 100" in text


def test_slow_scores_have_fewer_draws() -> None:
    normal, copied = nulls.UNRELATED[0], nulls.UNRELATED[4]
    counts = [nulls.number_of_draws("rbf_cka", normal, n, 100_000) for n in nulls.SIZES]
    assert counts == [100_000, 100_000, 20_000, 2_000, 0]
    assert nulls.number_of_draws("rbf_cka", copied, 1000, 100_000) == 0
    assert nulls.number_of_draws("mutual_knn", normal, 5000, 100_000) == 20_000
