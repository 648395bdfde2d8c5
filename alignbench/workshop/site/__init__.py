"""The documentation site: the pages of alignbench/docs, the tutorial, a reference, and a gallery.

`python -m alignbench.workshop site --to DIR` builds it (extra `docs`); a broken link or a page without a
place in the navigation ends the build. With `--run RUN`, the gallery shows the figures of that run.
`--check`, in place of `--to`, counts pages, words, and the public names that the reference describes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.errors import AlignbenchError
from alignbench.workshop.sections import DOCS
from alignbench.workshop.site.coverage import coverage
from alignbench.workshop.site.gallery import gallery
from alignbench.workshop.site.reference import reference_pages

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIG = Path(__file__).with_name("mkdocs.yml")
PICTURES = DOCS.parents[1] / "reports" / "example"
README = DOCS.parents[1] / "README.md"
TUTORIAL = "tutorial"


def main(argv: Sequence[str]) -> int:
    """Build the site; return the exit status of mkdocs."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.workshop site", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", type=Path, metavar="DIR", help="the folder of the site")
    what.add_argument("--check", action="store_true", help="count pages, words and described names instead")
    parser.add_argument(
        "--run", type=Path, metavar="RUN", default=PICTURES, help="the run whose figures the gallery shows"
    )
    given = parser.parse_args(argv)
    if not given.run.is_dir():
        raise AlignbenchError(f"--run {given.run}: there is no such folder")
    if given.check:
        return check(given.run)
    if importlib.util.find_spec("mkdocs") is None:
        raise AlignbenchError("the site needs mkdocs: pip install -e '.[docs]'")
    with tempfile.TemporaryDirectory() as place:
        pages = Path(place) / "pages"
        write_pages(pages, given.run)
        return build(pages, given.to)


def check(run: Path) -> int:
    """Print how large README and the site are, and how much the reference describes; return 1 if not all.

    Args:
        run: the folder of a run, whose figures the gallery shows.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pages"
        write_pages(folder, run)
        pages = {
            page.relative_to(folder).as_posix(): page.read_text("utf-8") for page in folder.rglob("*.md")
        }
    words = {name: len(text.split()) for name, text in pages.items()}
    by_hand = sum(count for name, count in words.items() if name in {page.name for page in DOCS.glob("*.md")})
    print(f"README: {len(README.read_text('utf-8').split())} words")
    print(f"site: {len(pages)} pages, {sum(words.values()):,} words, {by_hand:,} of them written by hand")
    found = coverage(pages)
    for kind, (count, missing) in found.items():
        print(f"{kind}: {count - len(missing)} of {count}", *missing)
    names, lacking = (sum(counts) for counts in zip(*((n, len(of)) for n, of in found.values()), strict=True))
    print(f"the reference describes {names - lacking} of {names} public names: {1 - lacking / names:.1%}")
    return int(lacking > 0)


def write_pages(pages: Path, run: Path) -> None:
    """Write the sources of the site into a new folder.

    Args:
        pages: the folder.
        run: the folder of a run, whose figures the gallery shows.
    """
    shutil.copytree(DOCS, pages, ignore=shutil.ignore_patterns("*.ipynb"))
    for page in pages.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(f"({TUTORIAL}.ipynb)", f"({TUTORIAL}.md)"), encoding="utf-8")
    notebook = json.loads((DOCS / f"{TUTORIAL}.ipynb").read_text(encoding="utf-8"))
    (pages / f"{TUTORIAL}.md").write_text(as_markdown(notebook), encoding="utf-8")
    (pages / "reference").mkdir()
    for name, text in reference_pages().items():
        (pages / "reference" / f"{name}.md").write_text(text, encoding="utf-8")
    gallery(pages, run)
    for name in ("readable.css", "readable.js"):
        shutil.copy(CONFIG.with_name(name), pages / name)


def as_markdown(notebook: dict[str, object]) -> str:
    """Return the page of a notebook: its texts, and its code in blocks."""
    parts = []
    cells = notebook["cells"]
    assert isinstance(cells, list)
    for cell in cells:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    return "\n\n".join(parts) + "\n"


def build(pages: Path, site: Path) -> int:
    """Build the site from its pages; a warning of mkdocs is an error."""
    from mkdocs.commands.build import build as build_site
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort, BuildError, ConfigurationError

    logging.basicConfig(level=logging.WARNING, format="%(message)s")  # mkdocs logs what is wrong
    try:
        build_site(load_config(str(CONFIG), docs_dir=str(pages), site_dir=str(site.absolute()), strict=True))
    except (Abort, BuildError, ConfigurationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"the site: {site / 'index.html'}")
    return 0
