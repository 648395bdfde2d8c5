"""Encoders compared: by data type, by trained projectors, by influential samples, and with each other.

The metrics on all data together are those of test_cka.py, which `-m compare` runs, too.
"""

import pytest

pytestmark = pytest.mark.compare


def test_by_data_type(metric, pair, part):
    part(pair, metric=metric)


def test_projection(projector, pair, part):
    part(pair, projector=projector)


def test_influence_of_samples(pair, part):
    part(pair)


def test_encoders_with_each_other(metric, vision_pair, part):
    part(vision_pair, metric=metric)


def test_llms_with_each_other(metric, text_pair, part):
    part(text_pair, metric=metric)
