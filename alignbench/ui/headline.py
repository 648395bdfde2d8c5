"""The answer of a run that ranks no encoders: the fastest, the most faithful picture, the best map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
from alignbench.text import number
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from alignbench.types import Score

_METHODS = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}
_BY_TEXT = "value"  # the variant of maps that look for what a text names


def headline(scores: Iterable[Score], name: Callable[[object], str]) -> str:
    """Return the answer in a sentence, as HTML; "" if these scores answer no question.

    Args:
        scores: the scores of a run.
        name: writes a model's name as HTML.
    """
    found: dict[str, list[Score]] = {}
    for score in scores:
        if score.value is not None and score.encoder is not None and score.data_type == ALL:
            found.setdefault(score.metric, []).append(score)
    sayings = {"localisation_auc": _found, "trustworthiness": _faithful, "throughput": _fastest}
    for metric, say in sayings.items():
        if metric in found:
            return say(found[metric], name)
    return ""


def counted(scores: Sequence[Score]) -> str:
    """Return how many scores there are, for a run in which nothing else can be said."""
    missing = sum(score.value is None for score in scores)
    reasons = f", {missing} of them not applicable (the table says why)" if missing else ""
    return f"{plural(len(scores), 'score')}{reasons}."


def _fastest(scores: list[Score], name: Callable[[object], str]) -> str:
    batch = max(score.params["at"]["batch_size"] for score in scores)
    best = max((s for s in scores if s.params["at"]["batch_size"] == batch), key=_value)
    images = "one image" if batch == 1 else f"{batch} images"
    speed = f"{_value(best):,.0f} images per second, {images} at a time"
    return f"{_of_all(scores, 'Fastest')}: {name(best.encoder)}, {speed}."


def _faithful(scores: list[Score], name: Callable[[object], str]) -> str:
    best = max(scores, key=_value)
    method = _METHODS.get(best.variant, best.variant)
    return (
        f"{_of_all(scores, 'Most faithful picture')}: {name(best.encoder)} by {method}, trustworthiness "
        f"{number(best.value)} (1 if neighbours in the picture are neighbours in the space)."
    )


def _found(scores: list[Score], name: Callable[[object], str]) -> str:
    of_texts = [score for score in scores if score.variant == _BY_TEXT]
    best = max(of_texts or scores, key=_value)
    what = "Best at finding what a text names" if of_texts else "Attention that finds objects best"
    start = _of_all(of_texts or scores, what)
    return f"{start}: {name(best.encoder)}, AUC {number(best.value)} (0.5 by chance)."


def _of_all(scores: list[Score], superlative: str) -> str:
    """Return the beginning of the sentence: nothing is the best of one."""
    return superlative if len({score.encoder for score in scores}) > 1 else "Measured"


def _value(score: Score) -> float:
    assert score.value is not None
    return score.value
