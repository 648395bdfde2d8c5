"""The measurements that the docs and the README quote: `python -m alignbench.measure NAME`."""
