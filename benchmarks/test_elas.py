"""ELAS of every encoder with every LLM: CKA, and how well a projector works on new pairs."""

import pytest

pytestmark = pytest.mark.elas


def test_elas(projector, compared_pair, part):
    part(compared_pair, projector=projector)
