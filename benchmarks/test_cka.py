"""Similarity of representations: every metric that sees which text belongs to which image."""

import pytest

from alignbench.metrics import METRICS
from alignbench.plugin.selection import shared

pytestmark = [pytest.mark.cka, pytest.mark.compare, pytest.mark.all]


@pytest.mark.parametrize("metric", shared("cka", METRICS.names(kind="pair", pairing=True)))
def test_cka(metric, pair, record):
    record(metric, pair)
