"""The state of the code base in numbers: `python -m alignbench.workshop house`."""
