"""`python -m alignbench.datasets.synthetic --out sample_data`: write the sample data again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from alignbench.datasets.synthetic.files import write_sample_data
from alignbench.datasets.synthetic.source import FAMILIES


def main() -> None:
    """Write the drawings and report how many."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.datasets.synthetic", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("sample_data"), help="the folder to write (sample_data)"
    )
    parser.add_argument("--n", type=int, default=30, help="drawings of each type (30)")
    parser.add_argument("--family", choices=tuple(FAMILIES), default="first", help="of drawings (first)")
    options = parser.parse_args()
    n = write_sample_data(options.out, options.n, family=options.family)
    sys.stdout.write(f"{n} drawings with texts in {options.out}\n")


if __name__ == "__main__":
    main()
