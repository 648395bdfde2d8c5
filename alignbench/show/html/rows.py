"""Scores as rows of tables, with everything that the page shows about one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.findings.flags import flags_of, meaning
from alignbench.findings.numbers import interval_text, p_sentence, probability, value_text
from alignbench.names import labels_of, models_of
from alignbench.plots.style import CONTROL, looks
from alignbench.show.glossary import measures
from alignbench.show.html.bars import bar, scale_of
from alignbench.stats import beats_shuffled
from alignbench.text import cut, number
from alignbench.types import jsonable, weights_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from alignbench.types import Null, Score

NOTHING = "–"
_LONG = 300
# Params that are shown elsewhere, or are arrays that only scores.json needs.
_HIDDEN = frozenset({"mode", "at", "preprocessing", "part_repeats"})


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A score as a table and its own window show it; texts still have to be escaped.

    Args:
        id: the id of its window in the page.
        score: the score.
        encoder, llm, other: the labels of its models; "" for a side that takes no part.
        value, interval, null, p, within: the numbers as text.
        colour: the colour of its first model in all figures.
        bar: a drawing of the value and its interval, on an axis that similar scores share.
        flags: flag -> its meaning.
        what: what the metric measures.
        more: name -> text of everything else that the window shows.
    """

    id: str
    score: Score
    encoder: str
    llm: str
    other: str
    value: str
    interval: str
    null: str
    p: str
    within: str
    colour: str
    bar: Markup
    flags: Mapping[str, str]
    what: str
    more: Mapping[str, str]

    @property
    def metric(self) -> str:
        """The metric with its unit."""
        unit = self.score.unit
        return f"{self.score.metric} ({unit})" if unit else self.score.metric

    @property
    def models(self) -> str:
        """Its models in one line."""
        return " × ".join(name for name in (self.encoder, self.other, self.llm) if name)

    @property
    def at_chance(self) -> bool:
        """Whether the score does not beat shuffled pairs, so that its value shows nothing."""
        return not beats_shuffled(self.score)


def score_rows(scores: Sequence[Score], run: Mapping[str, Any]) -> list[ScoreRow]:
    """Return one row per score, in the same order; scores of one metric and kind of models share an axis."""
    labels = labels_of(run, scores)
    drawn = looks(models_of(run), labels)
    kinds = [(s.experiment, s.metric, s.unit, s.encoder is None, s.llm is None) for s in scores]
    scales = {
        kind: scale_of(s for s, k in zip(scores, kinds, strict=True) if k == kind)
        for kind in dict.fromkeys(kinds)
    }
    rows = []
    for i, (score, kind) in enumerate(zip(scores, kinds, strict=True)):
        encoder, llm, other = (labels[n] if n else "" for n in (score.encoder, score.llm, score.other))
        first = score.encoder or score.llm
        colour = drawn[first].colour if first else CONTROL
        null = score.null
        rows.append(
            ScoreRow(
                id=f"s{i}",
                score=score,
                encoder=encoder,
                llm=llm,
                other=other,
                value="n/a" if score.value is None else value_text(score),
                interval=interval_text(score.interval, NOTHING),
                null=NOTHING if null is None else number(null.mean, NOTHING),
                p=NOTHING if null is None else probability(null.p, NOTHING),
                within=NOTHING if null is None else probability(null.within_p, NOTHING),
                colour=colour,
                bar=bar(score, scales[kind], colour),
                flags={flag: meaning(flag, [score]) for flag in flags_of(score)},
                what=measures(score.metric),
                more=_more(score, labels),
            )
        )
    return rows


def _more(score: Score, labels: Mapping[str, str]) -> dict[str, str]:
    null, interval = score.null, score.interval
    more: dict[str, str] = {}
    if score.reason:
        more["no value"] = score.reason
    if interval is not None:
        more["95% interval"] = f"{interval_text(interval)} ({interval.method})"
    if null is not None:
        more["shuffled pairs"] = _null(null)
    if score.chance is not None:
        more["a guesser gets"] = number(score.chance)
    more["direction"] = "higher is better" if score.higher_is_better else "lower is better"
    more["computed from"] = f"{score.n} groups"
    if score.dims:
        more["computed from"] += f", {' and '.join(map(str, score.dims))} dimensions"
    more["data"] = f"{score.dataset}, {score.data_type}"
    if score.weights:
        kinds = {labels.get(name, name): weights_words(kind) for name, kind in score.weights.items()}
        more["weights"] = ", ".join(f"{label}: {kind}" for label, kind in kinds.items())
    settings = {k: v for k, v in score.params.items() if k not in _HIDDEN and v is not None}
    if settings:
        more["settings"] = ", ".join(f"{k} {_short(v)}" for k, v in settings.items())
    for model, how in dict(score.params.get("preprocessing", {})).items():
        steps = ", ".join(f"{k} {v}" for k, v in dict(how).items() if v is not None)
        more[f"vectors of {labels.get(model, model)}"] = steps
    more["seed"] = str(score.seed)
    return more


def _null(null: Null) -> str:
    parts = []
    if null.mean is not None:
        parts.append(number(null.mean) if null.std is None else f"{number(null.mean)} ± {number(null.std)}")
    if null.p is not None:
        parts.append(p_sentence(null.p) + (f" of {null.draws} draws" if null.draws else ""))
    if null.within_p is not None:
        parts.append(f"within each data type {p_sentence(null.within_p)}")
    return f"{', '.join(parts)} ({null.kind})" if parts else null.kind


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    plain = jsonable(value)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    return cut(text, _LONG)
