"""Which score predicts performance, and what its correlations are worth."""

from alignbench.experiments.validity.links import from_table

__all__ = ["from_table"]
