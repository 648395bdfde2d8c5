"""Which score predicts performance? Of this run's encoders; and, with `-m study`, of many trainings."""

import pytest

from alignbench.datatypes import ALL
from alignbench.experiments.validity.run import run_score

pytestmark = pytest.mark.validity


def test_validity(encoders, llms, alignbench_session, record):
    """The run's own encoders: usually too few to tell, and then that is the result."""
    session = alignbench_session
    texts = [session.text(llms[name]) for name in session.paired_llms]
    pairs = [session.pair(session.vision(encoder), text) for encoder in encoders.values() for text in texts]
    record.score(run_score(pairs, session.options.seed))


@pytest.mark.study
def test_study_cell(study_encoder, study):
    """One encoder of the study with every LLM on both families of drawings, kept on disk."""
    for cell in study.cells(study_encoder):
        assert cell.metrics[ALL]
        assert cell.outcomes[ALL]


@pytest.mark.study
def test_study(study):
    """All cells together: the tables and the figures, written beside the cells."""
    primary = study.write()[0]
    assert primary.statement
    assert primary.table.metrics
    assert primary.table.outcomes
