"""The gallery: each figure with how to read it, and with the picture of a run if there is one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from alignbench.plots import FIGURES

if TYPE_CHECKING:
    from pathlib import Path

_PICTURES = "pictures"


def gallery(pages: Path, run: Path) -> None:
    """Write the page of the gallery and copy the pictures that the run has.

    Args:
        pages: the folder of the site's pages.
        run: the folder of a run.
    """
    (pages / _PICTURES).mkdir()
    parts = [
        "# Gallery\n\nEach figure of a run, with how to read it and what it does not show. "
        "`alignbench report RUN --paper` makes them as PDF."
    ]
    for name in FIGURES.names():
        spec = FIGURES.get(name)
        if spec.caption is None:
            continue
        picture = run / f"{name}.png"
        shown = ""
        if picture.is_file():
            shutil.copy(picture, pages / _PICTURES / picture.name)
            shown = f"![{spec.caption.title}]({_PICTURES}/{picture.name})\n\n"
        made_by = ", ".join(f"`{experiment}`" for experiment in spec.experiments)
        parts.append(
            f"## {spec.caption.title}\n\n{shown}`{name}`, drawn by {made_by}.\n\n"
            f"**How to read it.** {spec.caption.read}\n\n"
            f"**What it does not show.** {spec.caption.not_shown}"
        )
    (pages / "gallery.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
