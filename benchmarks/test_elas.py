"""ELAS of every encoder with every LLM: CKA, and how well a projector carries over to new pairs."""

from dataclasses import replace

import pytest

from alignbench.experiments.elas.score import elas_score

pytestmark = pytest.mark.elas


def test_elas(elas_projector, compared_pair, patches, record):
    repeats = replace(record.repeats, seeds=record.options.elas_seeds)
    read = patches() if elas_projector == "cross_attention" else None
    record.score(elas_score(compared_pair, repeats, elas_projector, read))
