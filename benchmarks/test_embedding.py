"""Embedding spaces in two dimensions: how faithful each picture is, and vision overlaid on text."""

import pytest

pytestmark = pytest.mark.embedding


def test_vision_space(method, vision_side, part):
    part(vision_side, method=method)


def test_text_space(method, text_side, part):
    part(text_side, method=method)


def test_overlay(pair, part):
    part(pair)
