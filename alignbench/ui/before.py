"""What a visitor sees before the first run: which models are toys, and what a run will show."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.plots.declared import caption_of

if TYPE_CHECKING:
    from alignbench.ui.tabs import Tab

READY = '<p class="ab-status">Nothing has been computed yet: choose, and press Run.</p>'
OWN = "alignbench ui --encoders mine=hf:org/name --llms qwen3 --data captions.csv"


def toy_notice(*, toys: bool) -> str:
    """Return what is said above the tabs if toy models are chosen at first, as HTML; else nothing."""
    if not toys:
        return ""
    return (
        '<details class="ab-toys"><summary>The models chosen below are <b>toys</b>. '
        "<span>How to use yours</span></summary>"
        "<p>They come with alignbench, so that a first run takes a minute and no download. They show how the "
        "page works, and their scores say nothing about large models. The lists below have known models by "
        "name. For others, and for your images and texts, start this page again with their names:</p>"
        f'<pre tabindex="0"><code>{OWN}</code></pre></details>'
    )


def to_come(tab: Tab) -> str:
    """Return what a run of a tab will show, as HTML: an example of an answer, and its figures."""
    captions = [caption_of(name) for name in tab.figures]
    titles = "".join(f"<li>{html.escape(caption.title)}</li>" for caption in captions)
    example = Path(__file__).with_name("example.html").read_text(encoding="utf-8") if _ranks(tab) else ""
    return (
        f'{example}<section class="ab-example ab-answer" aria-label="Figures of a run">'
        f"<h2>The figures of a run</h2><ul>{titles}</ul></section>"
    )


def _ranks(tab: Tab) -> bool:
    return "compare" in tab.runs
