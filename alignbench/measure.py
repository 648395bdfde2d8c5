"""`python -m alignbench.measure NAME`: the measurements that the docs and the README quote."""

from __future__ import annotations

import sys

from alignbench.clone import run_workshop

if __name__ == "__main__":
    sys.exit(run_workshop("measure.command", "python -m alignbench.measure", sys.argv[1:]))
