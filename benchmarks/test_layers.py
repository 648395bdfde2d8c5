"""Every layer of each encoder against every layer of each LLM: is the end where they are most alike?"""

import pytest

from alignbench.experiments.layers.grid import layer_scores

pytestmark = pytest.mark.layers


def test_layers(encoder, llm, layers, dataset, record):
    scores, arrays = layer_scores(encoder, llm, layers, dataset, record.settings)
    artifact = arrays and record.arrays("layers", [encoder.info.label, llm.info.label], arrays)
    for score in scores:
        record.score(score, artifact=artifact)
