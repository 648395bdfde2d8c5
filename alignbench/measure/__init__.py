"""The measurements that the notes and the README quote: `python -m alignbench.measure NAME`."""
