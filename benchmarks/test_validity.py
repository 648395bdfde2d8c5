"""Which score predicts performance? Judged by this run's encoders and, with `-m study`, by many trainings."""

import pytest

from alignbench.datatypes import ALL

pytestmark = pytest.mark.validity


def test_validity(selection, part):
    """The encoders of this run, which are usually too few to tell; then that is the result."""
    part()


def test_table(part):
    """The scores of a published table, or of a CSV file, that --align-table names."""
    part()


def test_filled_table(llm, part):
    """The same with our own scores of its encoders, as far as their weights can be had (--align-fill)."""
    part(llm)


@pytest.mark.study
def test_study_cell(study_encoder, study):
    """One encoder of the study with every LLM on both families of drawings; its cells stay on the disk."""
    for cell in study.cells(study_encoder):
        assert cell.metrics[ALL]
        assert cell.outcomes[ALL]


@pytest.mark.study
def test_study(study):
    """The tables and figures of all cells, written beside the cells."""
    primary = study.write()[0]
    assert primary.statement
    assert primary.table.metrics
    assert primary.table.outcomes
