"""The control's own arithmetic: what it counts, and what it leaves out."""

from __future__ import annotations

from alignbench.tests.report_fakes import make_score
from alignbench.types import Null
from alignbench.workshop.measure.control import table


def test_a_line_a_metric_counts_small_p_values_and_distances() -> None:
    rounds = [
        [make_score("linear_cka", 0.5, null=Null("drawn", mean=0.3, std=0.1, p=0.02))],
        [make_score("linear_cka", 0.2, null=Null("drawn", mean=0.3, std=0.1, p=0.9))],
    ]
    (line,) = table(rounds)[1:]
    assert line.split() == ["cka", "linear_cka", "2", "0.500", "0.50", "2.00"]


def test_scores_without_a_null_or_a_value_are_not_counted() -> None:
    null = Null("shuffled pairs", mean=0.3, std=0.1)
    rounds = [[make_score("rsa", None, null=null), make_score("rsa", 0.4), make_score("eas", 0.4, null=null)]]
    (line,) = table(rounds)[1:]
    assert line.split() == ["cka", "eas", "1", "-", "1.00", "1.00"]


def test_a_few_trainings_give_no_distance() -> None:
    null = Null("trained on shuffled pairs, 2 trainings", mean=0.3, std=1e-17, p=0.5)
    (line,) = table([[make_score("projection_mse", 0.4, experiment="compare", null=null)]])[1:]
    assert line.split() == ["compare", "projection_mse", "1", "0.000"]
