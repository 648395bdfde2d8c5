"""Choose: which encoder fits an LLM, for the least compute? Those that are clearly worse drop out early."""

import pytest

pytestmark = pytest.mark.choose


def test_choose(selection, llm, part):
    part(llm)
