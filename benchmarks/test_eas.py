"""Composites: class structure on the vision side, and the scores that weigh it with CKA and CORAL."""

import pytest

from alignbench.metrics import METRICS
from alignbench.plugin.selection import shared

pytestmark = pytest.mark.eas


@pytest.mark.parametrize("metric", METRICS.names(kind="labelled"))
def test_class_structure(metric, vision_side, record):
    record(metric, vision_side)


@pytest.mark.parametrize("metric", shared("eas", METRICS.names(kind="composite")))
def test_eas(metric, pair, record):
    record(metric, pair)
