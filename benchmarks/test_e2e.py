"""End to end: with a trained projector, does a held-out image find its text, and a text its image?

The results are compared with scores that need no training; `-m e2e` runs those tests of other files, too.
"""

import pytest

pytestmark = pytest.mark.e2e


def test_e2e(pair, loss, part):
    part(pair, loss=loss)
