"""Attention maps, checked: does an encoder see what a text names where it is, and does it look at objects?"""

import pytest

from alignbench.experiments.attention.scores import attention

pytestmark = pytest.mark.attention


def test_attention(encoder, looking, shown, record):
    settings = record.settings
    scores, arrays = attention(encoder, looking, subject=shown, seed=settings.seed, draws=settings.draws)
    artifact = arrays and record.arrays("attention", [encoder.info.label], arrays)
    for score in scores:
        record.score(score, artifact=artifact)
