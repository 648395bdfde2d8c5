"""Refreshes reports/example from a run's folder: only the files that README and the docs show are kept.

Every refresh stays in the repository's history, so the other files of a run are left out. The folder
`validity` stays; `python -m alignbench.measure study --result` writes it.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

CLONE = Path(__file__).resolve().parents[2]
PAGES = ("summary.md", "report.html")
STUDY = "validity"
_LINK = re.compile(r"\]\((?:\.\./)*reports/example/([^)#\s]+)")


def shown(clone: Path) -> list[str]:
    """Return the example's files to which README and the docs link, and the pages that it always has."""
    texts = [clone / "README.md", *sorted((clone / "alignbench" / "docs").glob("*.md"))]
    links = (link for text in texts for link in _LINK.findall(text.read_text(encoding="utf-8")))
    return sorted({*PAGES, *(link for link in links if link.partition("/")[0] != STUDY)})


def refresh(run: Path, clone: Path) -> list[str]:
    """Replace the example of a clone by the linked files of a run; return their names.

    Raises:
        DataError: the run lacks a linked file; nothing is changed in that case.
    """
    names = shown(clone)
    if missing := [name for name in names if not (run / name).is_file()]:
        raise DataError(f"{run}: the run has no {', '.join(missing)}, to which README or the docs link")
    example = clone / "reports" / "example"
    contents = {name: (run / name).read_bytes() for name in names}  # the run may be the example itself
    for path in example.iterdir() if example.is_dir() else ():
        if path.name == STUDY:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    for name, content in contents.items():
        (example / name).parent.mkdir(parents=True, exist_ok=True)
        (example / name).write_bytes(content)
    return names


def main(argv: Sequence[str]) -> int:
    """Refresh the example of this clone."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.workshop example", description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of a whole run, such as reports/latest")
    for name in refresh(parser.parse_args(argv).run, CLONE):
        print(f"reports/example/{name}")
    return 0
