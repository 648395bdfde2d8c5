"""Sensitivity: does the ranking survive another pooling, layer, fit or scaling?"""

import pytest

pytestmark = pytest.mark.sensitivity


def test_sensitivity(encoder, llm, part):
    part(encoder, llm)
