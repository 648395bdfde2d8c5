"""Encoders compared: on each data type, by trained projectors, by the samples that count, with each other.

The metrics on all data together are those of test_cka.py, which `-m compare` runs, too.
"""

from dataclasses import replace

import pytest

from alignbench.experiments.compare.influence import influence
from alignbench.experiments.compare.projection import BETWEEN_MODELS, BY_TYPE, Projection, project

pytestmark = [pytest.mark.compare, pytest.mark.all]


@pytest.mark.parametrize("metric", BY_TYPE)
def test_by_data_type(metric, pair, record):
    for data_type in dict.fromkeys(pair.labels):
        record(metric, pair, data_type=data_type)


def test_projection(projector, pair, patches, record):
    options = record.options
    how = Projection(
        projector,
        epochs=options.epochs,
        splits=options.splits,
        seed=options.seed,
        permutations=options.permutations,
        device=options.device,
    )
    scores, curves = project(pair, how, patches() if projector == "cross_attention" else None)
    artifact = record.artifact(f"losses-{projector}", pair, curves) if curves else None
    for score in scores:
        record.score(replace(score, artifact=artifact))


def test_influence_of_samples(pair, dataset, record):
    score, arrays = influence(pair, dataset.samples, record.settings, experiment=record.experiment)
    artifact = None if arrays is None else record.artifact("influence", pair, arrays)
    record.score(score, artifact=artifact)


@pytest.mark.parametrize("metric", BETWEEN_MODELS)
def test_encoders_with_each_other(metric, vision_pair, record):
    record(metric, vision_pair)


@pytest.mark.parametrize("metric", BETWEEN_MODELS)
def test_llms_with_each_other(metric, text_pair, record):
    record(metric, text_pair)
