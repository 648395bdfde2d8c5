"""`python -m alignbench.zoo train NAME` makes a built-in model again; `check NAME` measures it."""

from __future__ import annotations

import sys

from alignbench.clone import run_workshop

if __name__ == "__main__":
    sys.exit(run_workshop("zoo.command", "python -m alignbench.zoo", sys.argv[1:]))
