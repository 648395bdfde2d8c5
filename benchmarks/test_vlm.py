"""A small VLM of every pair: encoder and LLM frozen, a projector trained with the LLM's own loss."""

from dataclasses import replace

import pytest

from alignbench.experiments.vlm.scores import vlm

pytestmark = pytest.mark.vlm


def test_vlm(vlm_projector, encoder, llm, vlm_settings, frozen_llm, patches, dataset, record):
    names = encoder.info, llm.info
    scores, arrays = vlm(patches, frozen_llm, dataset, vlm_settings, names=names)
    artifact = arrays and record.arrays(f"vlm-{vlm_projector}", [side.label for side in names], arrays)
    for score in scores:
        record.score(replace(score, artifact=artifact))
