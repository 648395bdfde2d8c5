"""ELAS of every encoder with every LLM: CKA, and how well a linear projector carries over to new pairs."""

from dataclasses import replace

import pytest

from alignbench.experiments.elas import elas_score

pytestmark = pytest.mark.elas


def test_elas(compared_pair, record):
    record.score(elas_score(compared_pair, replace(record.repeats, seeds=record.options.elas_seeds)))
