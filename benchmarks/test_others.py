"""The experiments that others registered, in a conftest.py or by an entry point: a test for each part."""

from alignbench.plugin.others import tests_of_others

globals().update(tests_of_others())
