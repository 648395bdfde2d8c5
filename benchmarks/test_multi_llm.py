"""Every encoder with every LLM: the metrics of the matrix, `--align-metrics`."""

import pytest

pytestmark = pytest.mark.multi_llm


def test_multi_llm(matrix_metric, compared_pair, record):
    record(matrix_metric, compared_pair)
