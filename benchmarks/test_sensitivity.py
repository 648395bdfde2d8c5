"""Sensitivity: the same score under other pooling, layer, fit and scaling. Does the ranking survive?"""

import pytest

from alignbench.experiments.sensitivity.variants import sensitivity

pytestmark = pytest.mark.sensitivity


def test_sensitivity(encoder, llm, pair, varied, layers, record):
    for score in sensitivity(encoder, llm, pair, varied, layers, record.settings):
        record.score(score)
