"""Further scores that the literature proposes as predictors, or those in `--align-metrics`."""

import pytest

pytestmark = pytest.mark.predictors


def test_predictors(metric, pair, part):
    part(pair, metric=metric)
