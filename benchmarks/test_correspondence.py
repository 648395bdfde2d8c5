"""Do an encoder's patches find the same part of an object in another image? The C score."""

import pytest

pytestmark = pytest.mark.correspondence


def test_correspondence(encoder, part):
    part(encoder)
