"""Distribution alignment: Deep CORAL and spectra, across and within modalities. It never sees the pairing.

Its figures also show CKA and EAS of every pair: `-m coral` runs those tests of other files, too.
"""

import pytest

from alignbench.experiments.coral.arrays import covariance_arrays, similarity_arrays
from alignbench.metrics import METRICS
from alignbench.plugin.selection import shared

pytestmark = pytest.mark.coral

CORAL = METRICS.names(family="coral") + METRICS.names(family="spectra")
UNARY = METRICS.names(kind="unary")


@pytest.mark.parametrize("metric", shared("coral", CORAL))
def test_cross_modal(metric, pair, record):
    record(metric, pair, artifact=covariances(metric, pair, record))


@pytest.mark.parametrize("metric", CORAL)
def test_vision_vision(metric, vision_pair, record):
    record(metric, vision_pair, artifact=covariances(metric, vision_pair, record))


@pytest.mark.parametrize("metric", CORAL)
def test_text_text(metric, text_pair, record):
    record(metric, text_pair, artifact=covariances(metric, text_pair, record))


@pytest.mark.parametrize("metric", UNARY)
def test_vision_alone(metric, vision_side, record):
    record(metric, vision_side, artifact=similarities(metric, vision_side, record))


@pytest.mark.parametrize("metric", UNARY)
def test_text_alone(metric, text_side, record):
    record(metric, text_side, artifact=similarities(metric, text_side, record))


def covariances(metric, pair, record):
    """Write what the CORAL figures of a pair need, once: with its first metric."""
    if metric != CORAL[0]:
        return None
    arrays = covariance_arrays(pair, record.basis_settings)
    return None if arrays is None else record.artifact("coral", pair, arrays)


def similarities(metric, side, record):
    """Write the cosine matrix of one model, once."""
    if metric != UNARY[0]:
        return None
    return record.artifact("similarity", side, similarity_arrays(side, record.settings))
