"""Class structure on the vision side, and the composite scores of it with CKA and CORAL."""

import pytest

pytestmark = pytest.mark.eas


def test_class_structure(metric, vision_side, part):
    part(vision_side, metric=metric)


def test_eas(metric, pair, part):
    part(pair, metric=metric)
