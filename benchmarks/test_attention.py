"""Attention maps, checked: does an encoder see what a text names where it is, and does it look at objects?"""

import pytest

pytestmark = pytest.mark.attention


def test_attention(encoder, part):
    part(encoder)
