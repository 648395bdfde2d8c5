"""Which score predicts performance, for this run's encoders and, with `-m study`, for many trainings?"""

import pytest

from alignbench.datatypes import ALL

pytestmark = pytest.mark.validity


def test_validity(selection, part):
    """The run's own encoders: usually too few to tell, and then that is the result."""
    part()


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
