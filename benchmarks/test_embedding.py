"""Embedding space in two dimensions: how far each picture can be believed, and vision laid over text."""

import pytest

from alignbench.experiments.embedding.overlay import overlay_space
from alignbench.experiments.embedding.space import embedding_space

pytestmark = [pytest.mark.embedding, pytest.mark.all]


def test_vision_space(method, vision_side, record):
    lay_out(method, vision_side, record)


def test_text_space(method, text_side, record):
    lay_out(method, text_side, record)


def test_overlay(pair, record):
    score, arrays = overlay_space(pair, record.settings, experiment=record.experiment)
    artifact = None if arrays is None else record.artifact("overlay", pair, arrays)
    record.score(score, artifact=artifact)


def lay_out(method, side, record):
    """Record how far one model's layout can be believed, and leave its points for the figure."""
    space = embedding_space(
        side, method, record.settings, experiment=record.experiment, reach=record.options.reach
    )
    artifact = None if space.arrays is None else record.artifact(f"layout-{method}", side, space.arrays)
    for score in space.scores:
        record.score(score, artifact=artifact)
