"""The experiments that others registered, in a conftest.py or by an entry point: a test for each part."""

from alignbench.plugin.others import registered_tests

globals().update(registered_tests())
