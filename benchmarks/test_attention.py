"""Attention maps, checked on known scenes: does an encoder see things where they are, and look at objects?"""

import pytest

pytestmark = pytest.mark.attention


def test_attention(encoder, part):
    part(encoder)
