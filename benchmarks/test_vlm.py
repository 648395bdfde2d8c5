"""A small VLM of every pair: encoder and LLM frozen, a projector trained with the LLM's own loss."""

import pytest

pytestmark = pytest.mark.vlm


def test_vlm(projector, encoder, llm, part):
    part(encoder, llm, projector=projector)
