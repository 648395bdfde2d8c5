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

# Kind of question -> what it begins with: wordings of the packaged data, which say what their answer is.
_WORDINGS = {"type": "what type of", "kind": "what kind of", "number": "how many"}
# Kind of question -> what it is, for a reader. Of other data, the answer tells what kind its question is.
KINDS = {**_WORDINGS, "number": "a number", "short": "an answer of a few words"}
MOST_WORDS = 5
MOST_CHARACTERS = 40  # there are languages without blanks
_NUMBER = re.compile(r"[-+]?\d[\d.,  ]*%?")


def kind_of(question: str, answer: str) -> str | None:
    """Return the kind of a question, or None where an answer as long as its has no single form."""
    words, short = normalised_answer(question), normalised_answer(answer)
    if known := next((kind for kind, start in _WORDINGS.items() if words.startswith(start)), None):
        return known
    if not short or len(short.split()) > MOST_WORDS or len(short) > MOST_CHARACTERS:
        return None
    return "number" if _NUMBER.fullmatch(short) else "short"


def asked(sample: Sample) -> list[tuple[str, str, str]]:
    """Return the (question, answer, kind) of what is asked about a sample: each question once."""
    pairs = dict(sample.exchanges)
    if sample.question and sample.texts:
        pairs.setdefault(sample.question, sample.texts[0])
    known = [(question, answer, kind_of(question, answer)) for question, answer in pairs.items()]
    return [(question, answer, kind) for question, answer, kind in known if kind is not None]


def normalised_answer(text: str) -> str:
    """Return an answer as it is compared: NFKC, case-folded, blanks collapsed, no full stop at its end."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(" .。")


def exact_match(said: Sequence[str], answers: Sequence[str]) -> NDArray[np.bool_]:
    """Return which of what was said is the answer, normalised."""
    pairs = zip(said, answers, strict=True)
    return np.asarray([normalised_answer(a) == normalised_answer(b) for a, b in pairs], dtype=bool)


def majority_answers(train: Sequence[Sample]) -> Callable[[str, str], str]:
    """Return a guesser that never looks: the most frequent answer to this very question in the train part.

    The question gives away the image's type ("How many rows ..."), so the guesser may use it; for a question
    that was never asked it is the most frequent answer to its kind.
    """
    counts: dict[str, Counter[str]] = {}
    for sample in train:
        for question, answer, kind in asked(sample):
            for key in (normalised_answer(question), f"kind {kind}"):
                counts.setdefault(key, Counter())[normalised_answer(answer)] += 1

    def guess(question: str, kind: str) -> str:
        known = counts.get(normalised_answer(question)) or counts.get(f"kind {kind}") or Counter([""])
        # Among equals the first by name: no order of the samples counts.
        return min(known, key=lambda answer: (-known[answer], answer))

    return guess


def answer_scores(
    result: VLMResult,
    common: Mapping[str, Any],
    interval: Callable[[NDArray[np.float64], tuple[float, float]], Interval | None],
) -> list[Score]:
    """Return the exact match of each kind of question, with that of other images and of a blind guesser."""
    settings = result.settings
    there = {kind for number in range(len(result.jobs)) for kind in _kinds(result, number)}
    if not there:
        reason = f"the data has no questions with answers of at most {MOST_WORDS} words"
        return [_missing(reason, common)]
    scores = []
    for kind in (kind for kind in KINDS if kind in there):
        own = {**common, "variant": f"{kind} {settings.projector}"}
        own["params"] = {**common["params"], "question": KINDS[kind], "chance_is": "majority answer in train"}
        if not all(kind in _kinds(result, number) for number in range(len(result.jobs))):
            scores.append(_missing("no such question is asked in every held-out part; use more samples", own))
            continue
        found = np.asarray([_shares(result, number, kind) for number in range(len(result.jobs))])
        shape = settings.repeats.splits, settings.repeats.seeds
        right, shuffled, chance = (column.reshape(shape) for column in found.T)
        scores.append(
            Score(
                metric="answer_exact_match",
                value=float(right.mean()),
                interval=interval(right, (0.0, 1.0)),
                null=Null("shuffled images", mean=float(shuffled.mean())),
                chance=float(chance.mean()),
                repeats=tuple(right.ravel()),
                **own,
            )
        )
    return scores


def _missing(reason: str, common: Mapping[str, Any]) -> Score:
    return Score(metric="answer_exact_match", value=None, status="not_applicable", reason=reason, **common)


def _kinds(result: VLMResult, number: int) -> list[str]:
    """Return the kind of each question that a training is asked."""
    job = result.jobs[number]
    known = [{question: kind for question, _, kind in asked(result.samples[int(row)])} for row in job.test]
    return [known[place][question] for place, question in job.questions]


def _shares(result: VLMResult, number: int, kind: str) -> tuple[float, float, float]:
    """Return the share of right answers in one training: from the image, from another one, by guessing."""
    job, trained = result.jobs[number], result.trained[number]
    guess = majority_answers([result.samples[row] for row in job.train])
    chosen = [i for i, own in enumerate(_kinds(result, number)) if own == kind]
    known = [
        {question: answer for question, answer, _ in asked(result.samples[int(row)])} for row in job.test
    ]
    expected = [known[place][question] for place, question in (job.questions[i] for i in chosen)]
    guessed = [guess(job.questions[i][1], kind) for i in chosen]
    said = ([trained.answers[i] for i in chosen], [trained.other_answers[i] for i in chosen], guessed)
    right, shuffled, chance = (float(exact_match(of, expected).mean()) for of in said)
    return right, shuffled, chance
