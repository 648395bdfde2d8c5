"""Load alignbench's fixtures and hooks for the benchmarks of this clone."""

pytest_plugins = ["alignbench.plugin.fixtures"]
