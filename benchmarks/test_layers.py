"""Every layer of each encoder against every layer of each LLM: are the last layers the most alike?"""

import pytest

pytestmark = pytest.mark.layers


def test_layers(encoder, llm, part):
    part(encoder, llm)
