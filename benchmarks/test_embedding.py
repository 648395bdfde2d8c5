"""Embedding spaces in two dimensions with a measure of how far to believe them, and vision laid over text."""

import pytest

pytestmark = pytest.mark.embedding


def test_vision_space(method, vision_side, part):
    part(vision_side, method=method)


def test_text_space(method, text_side, part):
    part(text_side, method=method)


def test_overlay(pair, part):
    part(pair)
