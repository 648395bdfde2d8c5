"""Every encoder with every LLM, by the metrics of `--align-metrics`."""

import pytest

pytestmark = pytest.mark.multi_llm


def test_multi_llm(metric, compared_pair, part):
    part(compared_pair, metric=metric)
