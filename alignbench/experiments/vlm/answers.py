"""Short questions about held-out images, and how many answers are exactly right."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.types import Null, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.datasets import Sample
    from alignbench.experiments.vlm.result import VLMResult
    from alignbench.types import Interval

# Kind of question -> its first words, in the packaged data, where they tell the kind of the answer.
_WORDINGS = {"type": "what type of", "kind": "what kind of", "number": "how many"}
# Kind of question -> its description for a reader. In other data, the answer tells the kind of the question.
KINDS = {**_WORDINGS, "number": "a number", "short": "an answer of a few words"}
MOST_WORDS = 5
MOST_CHARACTERS = 40  # for languages that don't separate words by spaces
_NUMBER = re.compile(r"[-+]?\d[\d.,  ]*%?")


def kind_of(question: str, answer: str) -> str | None:
    """Return the kind of a question, or None if its answer is so long that it has no single form."""
    words, short = normalised_answer(question), normalised_answer(answer)
    for kind, start in _WORDINGS.items():
        if words.startswith(start):
            return kind
    if not short or len(short.split()) > MOST_WORDS or len(short) > MOST_CHARACTERS:
        return None
    return "number" if _NUMBER.fullmatch(short) else "short"


def asked(sample: Sample) -> list[tuple[str, str, str]]:
    """Return (question, answer, kind) of each question about a sample, without repetition."""
    pairs = dict(sample.exchanges)
    if sample.question and sample.texts:
        pairs.setdefault(sample.question, sample.texts[0])
    known = [(question, answer, kind_of(question, answer)) for question, answer in pairs.items()]
    return [(question, answer, kind) for question, answer, kind in known if kind is not None]


def normalised_answer(text: str) -> str:
    """Return an answer in the form to compare: NFKC, case-folded, single spaces, no full stop at the end."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(" .。")


def exact_match(outputs: Sequence[str], answers: Sequence[str]) -> NDArray[np.bool_]:
    """Return which outputs equal their answers after normalisation."""
    pairs = zip(outputs, answers, strict=True)
    return np.asarray([normalised_answer(a) == normalised_answer(b) for a, b in pairs], dtype=bool)


def majority_answers(train: Sequence[Sample]) -> Callable[[str, str], str]:
    """Return a guesser that never looks at images: it gives the most frequent answer in the train part.

    The question reveals the image's type ("How many rows ..."), so the guesser may use the question. For a
    question that is not in the train part, it gives the most frequent answer to questions of its kind.
    """
    counts: dict[str, Counter[str]] = {}
    for sample in train:
        for question, answer, kind in asked(sample):
            for key in (normalised_answer(question), f"kind {kind}"):
                counts.setdefault(key, Counter())[normalised_answer(answer)] += 1

    def guess(question: str, kind: str) -> str:
        known = counts.get(normalised_answer(question)) or counts.get(f"kind {kind}") or Counter([""])
        # Of equally frequent answers the first in the alphabet, so that the order of samples doesn't matter.
        return min(known, key=lambda answer: (-known[answer], answer))

    return guess


def answer_scores(
    result: VLMResult,
    common: Mapping[str, Any],
    interval: Callable[[NDArray[np.float64], tuple[float, float]], Interval | None],
) -> list[Score]:
    """Return the exact match of each kind of question, beside other images and a guesser that never looks."""
    settings = result.settings
    asked_kinds = [set(_kinds(result, number)) for number in range(len(result.jobs))]
    if not any(asked_kinds):
        reason = f"the data has no questions with answers of at most {MOST_WORDS} words"
        return [_missing(reason, common)]
    scores = []
    for kind, description in KINDS.items():
        if not any(kind in kinds for kinds in asked_kinds):
            continue
        params = {**common["params"], "question": description, "chance_is": "majority answer in train"}
        fields = {**common, "variant": f"{kind} {settings.projector}", "params": params}
        if not all(kind in kinds for kinds in asked_kinds):
            reason = "some held-out parts have no such question; use more samples"
            scores.append(_missing(reason, fields))
            continue
        shares = np.asarray([_shares(result, number, kind) for number in range(len(result.jobs))])
        shape = settings.repeats.splits, settings.repeats.seeds
        right, shuffled, chance = (column.reshape(shape) for column in shares.T)
        scores.append(
            Score(
                metric="answer_exact_match",
                value=float(right.mean()),
                interval=interval(right, (0.0, 1.0)),
                null=Null("shuffled images", mean=float(shuffled.mean())),
                chance=float(chance.mean()),
                repeats=tuple(right.ravel()),
                **fields,
            )
        )
    return scores


def _missing(reason: str, common: Mapping[str, Any]) -> Score:
    return Score(metric="answer_exact_match", value=None, status="not_applicable", reason=reason, **common)


def _kinds(result: VLMResult, number: int) -> list[str]:
    """Return the kind of each question that tests a training."""
    job = result.jobs[number]
    known = [{question: kind for question, _, kind in asked(result.samples[int(row)])} for row in job.test]
    return [known[place][question] for place, question in job.questions]


def _shares(result: VLMResult, number: int, kind: str) -> tuple[float, float, float]:
    """Return the share of right answers of one training: with the image, with another one, by guessing."""
    job, trained = result.jobs[number], result.trained[number]
    guess = majority_answers([result.samples[row] for row in job.train])
    chosen = [i for i, other in enumerate(_kinds(result, number)) if other == kind]
    known = [
        {question: answer for question, answer, _ in asked(result.samples[int(row)])} for row in job.test
    ]
    expected = [known[place][question] for place, question in (job.questions[i] for i in chosen)]
    right = exact_match([trained.answers[i] for i in chosen], expected)
    shuffled = exact_match([trained.other_answers[i] for i in chosen], expected)
    chance = exact_match([guess(job.questions[i][1], kind) for i in chosen], expected)
    return float(right.mean()), float(shuffled.mean()), float(chance.mean())
