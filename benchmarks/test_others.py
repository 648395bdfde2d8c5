"""A test for each part of the experiments that others register in a conftest.py or by an entry point."""

from alignbench.plugin.others import registered_tests

globals().update(registered_tests())
