"""Similarity of distributions by Deep CORAL and spectra, within and across sides, blind to the pairing.

Its figures also show CKA and EAS of every pair: `-m coral` runs those tests of other files, too.
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
