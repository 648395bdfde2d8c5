"""The six tabs: what each asks, which study it makes, and which figures belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from alignbench.plots.declared import figures_of
from alignbench.ui import studies

if TYPE_CHECKING:
    from collections.abc import Callable

    from alignbench.ui.studies import Found, Study

Control = Literal[
    "encoders", "llms", "data", "methods", "losses", "training", "batch_sizes", "image", "permutations"
]


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of the page.

    Args:
        name: what stands on it.
        experiment: the command that does the same, and the name of its endpoint and files.
        about: what it answers, in a sentence.
        controls: what can be chosen.
        study: does it.
        figures: that it may have, in the order in which they are shown.
    """

    name: str
    experiment: str
    about: str
    controls: tuple[Control, ...]
    study: Callable[[Study], Found]
    figures: tuple[str, ...]


TABS = (
    Tab(
        "Inference Speed",
        "speed",
        "How long do images and texts take, by batch size, and how much memory?",
        ("encoders", "llms", "data", "batch_sizes"),
        studies.timings,
        figures_of("speed"),
    ),
    Tab(
        "Attention Maps",
        "attention",
        "Where does an encoder look, and where does it find what a text names? In your image or, without "
        "one, in drawn scenes whose objects are known; these check every encoder either way.",
        ("encoders", "image"),
        studies.maps,
        figures_of("attention"),
    ),
    Tab(
        "Alignment Analysis",
        "compare",
        "Which encoder fits which LLM, and how sure is that? Every metric that sees which text belongs to "
        "which image.",
        ("encoders", "llms", "data", "permutations"),
        studies.alignment,
        ("alignment_summary", "cka_comparison", "cka_by_data_type", "projector_comparison", "eas_dashboard"),
    ),
    Tab(
        "Embedding Space",
        "embedding",
        "What does each space look like in two dimensions, and how far can the picture be believed?",
        ("encoders", "llms", "data", "methods"),
        studies.embedding,
        figures_of("embedding"),
    ),
    Tab(
        "CORAL Analysis",
        "coral",
        "Do the two clouds have the same shape? It never sees which text belongs to which image; "
        "CKA and EAS, which do, stand beside it.",
        ("encoders", "llms", "data", "permutations"),
        studies.coral,
        figures_of("coral"),
    ),
    Tab(
        "E2E Validation",
        "e2e",
        "After a projector is trained, does an image that it never saw find its text, and a text its image? "
        "And do scores that need no training predict it?",
        ("encoders", "llms", "data", "losses", "training"),
        studies.end_to_end,
        figures_of("e2e"),
    ),
)
