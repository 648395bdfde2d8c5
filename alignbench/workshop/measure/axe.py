"""Whether pages can be used by everyone: what axe-core finds on them at two widths, and whether they are cut.

axe-core is a file of JavaScript, `axe.min.js` in the package `axe-core` of npm; playwright and Chromium have
to be installed. A page is a file, such as report.html, an address, or `ui`: then the web page is served, and
looked at before and after a run. The exit status is 1 if there is a serious or critical finding, or a page
that is wider than the screen.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.errors import AlignbenchError
from alignbench.workshop.measure._served import served

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTHS = (1280, 390)
GRAVE = ("serious", "critical")
_HEIGHTS = {1280: 900, 390: 844}
_RUN_S = 600  # seconds until a run of the web page has to be done
_WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def main(argv: Sequence[str]) -> int:
    """Print the findings for each page and width; return 1 if there is a grave one."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure axe", description=__doc__)
    parser.add_argument("axe", type=Path, metavar="AXE.JS", help="the file axe.min.js")
    parser.add_argument("pages", nargs="+", metavar="PAGE", help="a file, an address, or ui")
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="keep pictures of the first screens there"
    )
    given = parser.parse_args(argv)
    if not given.axe.is_file():
        raise AlignbenchError(f"{given.axe}: there is no such file; `npm pack axe-core` fetches it")
    script = given.axe.read_text(encoding="utf-8")
    grave = 0
    with _browser() as browser:
        for page in given.pages:
            for width in WIDTHS:
                for state, shown in _shown(browser, page, width):
                    grave += _told(f"{page}, {width} pixels{state}", shown, script)
                    if given.pictures is not None:
                        name = f"{Path(page).stem}-{width}{state.replace(', ', '-').replace(' ', '-')}.png"
                        shown.screenshot(path=given.pictures / name)
    return int(grave > 0)


@contextmanager
def _browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise AlignbenchError("this measurement needs playwright: pip install playwright") from error
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def _shown(browser: Any, page: str, width: int) -> Iterator[tuple[str, Any]]:
    """Yield the state of a page, in words, and the page, which is open until the next one is asked for."""
    size = {"width": width, "height": _HEIGHTS[width]}
    context = browser.new_context(viewport=size, bypass_csp=True)
    opened = context.new_page()
    if page != "ui":
        opened.goto(page if "://" in page else Path(page).resolve().as_uri())
        yield "", opened
    else:
        with tempfile.TemporaryDirectory() as place, served(Path(place), "--n-samples", "10") as serving:
            opened.goto(serving.url)
            opened.wait_for_selector("#run-compare", state="visible", timeout=60_000)
            yield ", before a run", opened
            opened.click("#run-compare")
            opened.wait_for_selector("#status-compare :text('Done.')", timeout=1000 * _RUN_S)
            yield ", after a run", opened
    context.close()


def _told(title: str, page: Any, script: str) -> int:
    """Print the findings on a page; return how many of them are grave."""
    page.add_script_tag(content=script)
    found = page.evaluate("axe.run()")["violations"]
    wider = page.evaluate(_WIDER)
    grave = [one for one in found if one["impact"] in GRAVE]
    print(f"{title}: {len(found)} findings, {len(grave)} of them grave; {max(wider, 0)} pixels too wide")
    for one in found:
        print(f"  {one['impact']}: {one['id']} ({one['help']}), {len(one['nodes'])} places")
        for node in one["nodes"][:3]:
            print(f"    {node['target'][0]}: {' '.join(node['html'].split())[:120]}")
    return len(grave) + int(wider > 0)
