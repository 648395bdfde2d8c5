"""How scores depend on the number of samples, and from which on the order of encoders stands."""

import pytest

pytestmark = pytest.mark.scaling


def test_scaling(selection, part):
    part()
