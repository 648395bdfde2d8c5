"""A test for each part of the experiments that others registered, in a conftest.py or by an entry point."""

from alignbench.plugin.others import registered_tests

globals().update(registered_tests())
