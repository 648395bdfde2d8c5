"""Alignment of distributions, by Deep CORAL and spectra, across and within modalities, without the pairing.

The figures also show CKA and EAS of every pair, so `-m coral` runs those tests of other files, too.
"""

import pytest

pytestmark = pytest.mark.coral


def test_cross_modal(metric, pair, part):
    part(pair, metric=metric)


def test_vision_vision(metric, vision_pair, part):
    part(vision_pair, metric=metric)


def test_text_text(metric, text_pair, part):
    part(text_pair, metric=metric)


def test_vision_alone(metric, vision_side, part):
    part(vision_side, metric=metric)


def test_text_alone(metric, text_side, part):
    part(text_side, metric=metric)
