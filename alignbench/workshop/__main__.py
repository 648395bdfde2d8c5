"""`python -m alignbench.workshop NAME`: `house` measures the code, `example` refreshes reports/example.

`site` builds the documentation site.
"""

from __future__ import annotations

import sys

from alignbench.workshop.command import dispatch

if __name__ == "__main__":
    package = "alignbench.workshop"
    sys.exit(dispatch(f"python -m {package}", package, ("example", "house", "site"), sys.argv[1:]))
