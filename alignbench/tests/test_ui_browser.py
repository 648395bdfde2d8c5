"""The page in a real browser: each tab is clicked, and its result waited for."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from alignbench.workshop.measure._served import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("gradio", reason="the extra `ui` is not installed: pip install 'alignbench[ui]'")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")]

LONG = 240_000  # milliseconds
TABS = {
    "speed": "Inference Speed",
    "attention": "Attention Maps",
    "compare": "Alignment Analysis",
    "embedding": "Embedding Space",
    "coral": "CORAL Analysis",
    "e2e": "E2E Validation",
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("ui"), "--encoders", "mini-clip", "--n-samples", "10") as page:
        yield page.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """A page that was opened, what it asked for, and what its console said."""

    def __init__(self, browser: Any, url: str, **how: Any) -> None:
        self.url = url
        self.page = browser.new_page(**how)
        self.page.set_default_timeout(LONG)
        self.requests: set[str] = set()
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.add(request.url))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)

    def open(self, name: str) -> None:
        self.page.get_by_role("tab", name=TABS[name]).click()
        self.page.wait_for_selector(f"#run-{name}", state="visible")

    def run(self, name: str) -> None:
        self.page.click(f"#run-{name}")

    def status(self, name: str) -> Any:
        return self.page.locator(f"#status-{name}")

    def wait_for(self, name: str, text: str) -> None:
        self.page.wait_for_selector(f"#status-{name} :text('{text}')")

    @property
    def outside(self) -> list[str]:
        return [one for one in self.requests if not one.startswith((self.url, "data:", "blob:"))]


@pytest.fixture
def visit(browser: Any, url: str) -> Iterator[Visit]:
    opened = Visit(browser, url, viewport={"width": 1280, "height": 900})
    yield opened
    opened.page.close()


@pytest.mark.parametrize("name", TABS)
def test_a_tab_shows_its_result(visit: Visit, name: str, tmp_path: Path) -> None:
    visit.open(name)
    visit.run(name)
    visit.wait_for(name, "Done.")
    assert visit.page.locator(f"#answer-{name} .ab-headline").inner_text()
    images = visit.page.locator(f"#figures-{name} img")
    assert images.count() >= 1
    assert all(images.nth(i).evaluate("i => i.naturalWidth > 0") for i in range(images.count()))
    assert visit.page.locator(f"#table-{name} td").count() > 5
    visit.page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    assert visit.outside == []
    assert visit.errors == []


def test_the_scatter_says_what_a_sample_is(visit: Visit) -> None:
    visit.open("embedding")
    visit.run("embedding")
    visit.wait_for("embedding", "Done.")
    visit.page.wait_for_selector("#scatter canvas, #scatter svg")
    assert visit.page.locator(".ab-legend li").count() == 3


def test_an_uploaded_image_is_seen_and_looked_at(visit: Visit, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "red").save(tmp_path / "dog.png")
    visit.open("attention")
    visit.page.set_input_files("input[type=file]", tmp_path / "dog.png")
    visit.page.wait_for_selector("#upload-seen img")
    visit.page.get_by_label("What to look for in it").fill("a dog")
    visit.run("attention")
    visit.wait_for("attention", "Done.")
    visit.page.get_by_text("The same in a terminal").click()
    assert "--image dog.png" in visit.page.locator("#answer-attention").inner_text()


def test_text_named_png_is_refused_before_anything_runs(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    visit.open("attention")
    visit.page.set_input_files("input[type=file]", tmp_path / "text.png")
    visit.page.wait_for_selector("#upload-seen [role=alert]")
    assert "not one of PNG" in visit.page.locator("#upload-seen").inner_text()
    visit.run("attention")
    visit.wait_for("attention", "not one of PNG")
    assert visit.page.is_enabled("#run-attention")


def test_stop_ends_the_work_and_the_next_run_comes_through(visit: Visit) -> None:
    visit.open("e2e")
    visit.run("e2e")
    visit.page.wait_for_selector("#stop-e2e:enabled")
    visit.page.click("#stop-e2e")
    visit.wait_for("e2e", "Stopped")
    assert visit.page.is_enabled("#run-e2e")
    visit.open("coral")
    visit.run("coral")
    visit.wait_for("coral", "Done.")


def test_a_closed_tab_leaves_the_page_working(browser: Any, url: str, visit: Visit) -> None:
    left = Visit(browser, url)
    left.open("e2e")
    left.run("e2e")
    left.page.wait_for_selector("#stop-e2e:enabled")
    left.page.close()
    visit.open("coral")
    visit.run("coral")
    visit.wait_for("coral", "Done.")


def test_two_visitors_who_click_at_once_both_get_their_results(browser: Any, url: str, visit: Visit) -> None:
    other = Visit(browser, url)
    for one in (visit, other):
        one.open("coral")
        one.run("coral")
    for one in (visit, other):
        one.wait_for("coral", "Done.")
    other.page.close()


def in_first_screen(page: Any, selector: str) -> bool:
    box = page.locator(selector).first.bounding_box()
    return box is not None and box["y"] + box["height"] <= page.viewport_size["height"]


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_run_and_its_answer_are_on_the_first_screen(
    browser: Any, url: str, size: tuple[int, int], tmp_path: Path
) -> None:
    visit = Visit(browser, url, viewport={"width": size[0], "height": size[1]})
    page = visit.page
    page.wait_for_selector("#run-compare", state="visible")
    assert page.get_by_role("tab").count() >= len(TABS)
    assert all(page.get_by_role("tab", name=name).is_visible() for name in TABS.values())
    assert in_first_screen(page, "#run-compare")
    assert page.locator("#before-compare td").count() > 5
    visit.run("compare")
    visit.wait_for("compare", "Done.")
    assert in_first_screen(page, "#answer-compare .ab-headline")
    assert not page.locator("#before-compare").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.screenshot(path=tmp_path / f"{size[0]}.png")
    page.close()


def test_an_error_is_told_once_and_in_words_of_the_page(visit: Visit) -> None:
    visit.open("coral")
    visit.page.get_by_label("Samples per type").locator("visible=true").fill("0")
    visit.run("coral")
    visit.page.wait_for_selector("#status-coral [role=alert]")
    said = visit.page.locator("#status-coral [role=alert]").inner_text()
    assert said == "Samples per type: expected a whole number from 1 to 5,000, got 0"
    assert visit.page.get_by_text(said).count() == 1
