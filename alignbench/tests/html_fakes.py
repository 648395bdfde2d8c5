"""A page taken apart, and run folders with all that a page can show."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.findings import REPORT, Findings
from alignbench.show import write_run
from alignbench.show.html import report_html
from alignbench.tests.report_fakes import TYPES, make_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.types import Run, Score

VOID = frozenset({"meta", "img", "input", "br", "wbr"})


class Page(HTMLParser):
    """What a browser would see of a page: its elements with their attributes, scripts and text.

    Args:
        text: the page's source.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": [], "pre": [], "title": []}
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag in self.inside:
            self.inside[tag].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> inside <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for tag in self.inside:
            if tag in self._open:
                self.inside[tag][-1] += data
        if "script" not in self._open and "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All that is to be read, blanks collapsed."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of every such element."""
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self) -> list[str]:
        """Return every id."""
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def page_of(folder: Path, scores: Sequence[Score], run: Run | None = None, **keywords: Any) -> Page:
    """Write a run without figures and return its page."""
    write_run(folder, Findings.of(scores, run or make_run()), figures=False)
    text = report_html(folder, **keywords) if keywords else (folder / REPORT).read_text(encoding="utf-8")
    return Page(text)


def write_figures(folder: Path) -> None:
    """Write files as figures leave them, of the smallest kind."""
    for name in ("eas_dashboard", "coral_dashboard", "somebody_elses"):
        (folder / f"{name}.svg").write_text('<svg width="72pt" height="36pt"></svg>')
        (folder / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))


def write_samples(folder: Path, ids: Sequence[str], texts: Sequence[str]) -> None:
    """Write thumbnails as a run keeps them: 8 bytes each, `RIFF0000`, `RIFF0001`, ..."""
    artifacts = folder / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    pictures = b"".join(b"RIFF%04d" % i for i in range(len(ids)))
    np.savez(
        artifacts / "samples.npz",
        ids=np.array(ids),
        labels=np.array([TYPES[i % 3] for i in range(len(ids))]),
        texts=np.array(texts),
        pictures=np.frombuffer(pictures, dtype=np.uint8),
        ends=8 * np.arange(1, len(ids) + 1),
    )


def write_layout(folder: Path, ids: Sequence[str], model: str = "mini-clip", method: str = "pca") -> None:
    """Write a layout as the embedding experiment does."""
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    points = np.random.default_rng(0).normal(size=(len(ids), 2)).astype(np.float32)
    labels = np.array([TYPES[i % 3] for i in range(len(ids))])
    name = folder / "artifacts" / f"layout-{method}-{model}.npz"
    np.savez(name, name=model, method=method, points=points, labels=labels, ids=np.array(ids))


def write_influence(folder: Path, ids: Sequence[str], influence: Sequence[float], metric: str) -> None:
    """Write what each sample does to a score."""
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"metric": metric, "encoder": "mini-clip", "llm": "mini-llama"}
    name = folder / "artifacts" / f"influence-{metric}.npz"
    np.savez(name, ids=np.array(ids), influence=np.array(influence), **arrays)
