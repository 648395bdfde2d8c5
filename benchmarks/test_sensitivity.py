"""Sensitivity: the same score under other pooling, layer, fit and scaling. Does the ranking survive?"""

import pytest

pytestmark = pytest.mark.sensitivity


def test_sensitivity(encoder, llm, part):
    part(encoder, llm)
