"""Similarity of representations, by every metric that sees which text belongs to which image."""

import pytest

pytestmark = pytest.mark.cka


def test_cka(metric, pair, part):
    part(pair, metric=metric)
