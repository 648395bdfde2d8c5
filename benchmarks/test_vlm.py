"""A small VLM of every pair: a projector is trained with the LLM's own loss; encoder and LLM are frozen."""

import pytest

pytestmark = pytest.mark.vlm


def test_vlm(projector, encoder, llm, part):
    part(encoder, llm, projector=projector)
