"""The results of trained VLMs: perplexities of held-out captions, the image's gain, and short answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.findings.numbers import probability
from alignbench.show.text import markdown, table
from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alignbench.types import Score

HEAD = ("encoder", "projector", "own image", "another", "none", "gain", "95% interval", "p")
LEGEND = (
    "perplexity of held-out captions (per token, lower is better) with their own image, another one and "
    "none; gain of their own image over another one in nats per token (higher is better)"
)
_GAIN, _WITHIN, _PERPLEXITY = "image_gain", "gain_within_type", "caption_perplexity"
_INTEGRATION, _ANSWERS = "mir", "answer_exact_match"


@dataclass(frozen=True, slots=True)
class Row:
    """One training: its encoder, and the cells with its projector and results."""

    encoder: str
    cells: list[str]


@dataclass(frozen=True, slots=True)
class VLMTable:
    """All trainings with one LLM.

    Args:
        llm: the LLM.
        rows: one per encoder and projector, the largest gain first.
        scores: the scores in the rows, and those of the short answers.
    """

    llm: str
    rows: list[Row]
    scores: list[Score]

    def answers(self, labels: Mapping[str, str]) -> list[str]:
        """Return a sentence on short answers per encoder and projector; empty if there were no questions."""
        shares: dict[tuple[str, str], list[str]] = {}
        for score in self.scores:
            if score.metric == _ANSWERS and score.value is not None:
                kind = score.variant.partition(" ")[0]
                text = f"{kind} {number(score.value)} (chance {number(score.chance)})"
                shares.setdefault((str(score.encoder), str(score.params["projector"])), []).append(text)
        return [
            f"Right short answers of {labels[encoder]}, {projector}: {', '.join(texts)}."
            for (encoder, projector), texts in shares.items()
        ]

    def integration(self, labels: Mapping[str, str]) -> list[str]:
        """Return a sentence for each training on how far image tokens lie from text tokens in the LLM."""
        return [
            f"Modality integration (MIR, lower is closer) of {labels[str(score.encoder)]}, {score.variant}: "
            f"{number(score.value)}, before the training {number(score.null.mean)}."
            for score in self.scores
            if score.metric == _INTEGRATION and score.value is not None and score.null is not None
        ]

    def notes(self, labels: Mapping[str, str]) -> list[str]:
        """Return what is to be said below the table."""
        return [
            *self.answers(labels),
            *self.within(labels),
            *self.integration(labels),
            *self.doubts(labels),
        ]

    def within(self, labels: Mapping[str, str]) -> list[str]:
        """Return a sentence for each training on the gain over other images of the same data type."""
        return [
            f"Gain over other images of the same data type of {labels[str(score.encoder)]}, {score.variant}: "
            f"{number(score.value)}, p {probability(score.null.p)}."
            for score in self.scores
            if score.metric == _WITHIN and score.value is not None and score.null is not None
        ]

    def doubts(self, labels: Mapping[str, str]) -> list[str]:
        """Return a sentence for each training that was too short to learn anything."""
        return [
            f"{labels[str(score.encoder)]}, {score.variant}: underfit: the projector's training loss "
            f"is still falling, and nothing about the images is learnt yet; try --align-epochs "
            f"{score.params['epochs_to_try']}."
            for score in self.scores
            if score.metric == _GAIN and "epochs_to_try" in score.params
        ]


def vlm_tables(scores: Sequence[Score]) -> list[VLMTable]:
    """Return one table per LLM that a VLM was trained with."""
    trained = [score for score in scores if score.experiment == "vlm"]
    perplexity = {_key(score): score for score in trained if score.metric == _PERPLEXITY}
    gains = [score for score in trained if score.metric == _GAIN and score.value is not None]
    gains.sort(key=lambda score: (-(score.value or 0.0), score.key))
    return [
        VLMTable(
            llm,
            [
                Row(str(score.encoder), _cells(score, perplexity.get(_key(score))))
                for score in gains
                if score.llm == llm
            ],
            [score for score in trained if score.llm == llm],
        )
        for llm in dict.fromkeys(str(score.llm) for score in gains)
    ]


def vlm_markdown(scores: Sequence[Score], labels: Mapping[str, str]) -> list[str]:
    """Return the section of summary.md; empty if no VLM was trained.

    Args:
        scores: the run's scores.
        labels: model -> its name in Markdown.
    """
    lines = []
    for found in vlm_tables(scores):
        rows = [[labels[row.encoder], *map(markdown, row.cells)] for row in found.rows]
        lines += [f"## A VLM of {labels[found.llm]}", "", LEGEND[0].upper() + LEGEND[1:] + ".", ""]
        lines += [*table(list(HEAD), rows, frozenset(range(2, len(HEAD)))), ""]
        for text in found.notes(labels):
            lines += [text, ""]
    return lines


def _key(score: Score) -> tuple[str | None, str | None, str]:
    return score.encoder, score.llm, score.variant


def _cells(gain: Score, perplexity: Score | None) -> list[str]:
    of = {} if perplexity is None else perplexity.params
    interval = gain.interval
    return [
        gain.variant,
        "-" if perplexity is None else number(perplexity.value),
        number(of.get("shuffled")),
        number(of.get("no_image")),
        number(gain.value),
        "-" if interval is None else f"[{number(interval.low)}, {number(interval.high)}]",
        "-" if gain.null is None else probability(gain.null.p),
    ]
