"""Attention maps: does an encoder find what a text names in the right place, and does it look at objects?"""

import pytest

pytestmark = pytest.mark.attention


def test_attention(encoder, part):
    part(encoder)
