"""`python -m alignbench`: the `alignbench` command."""

import sys

from alignbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
