"""Short questions about held-out images, and how many answers are exactly right."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.types import Null, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.datasets import Sample
    from alignbench.experiments.vlm import VLMResult
    from alignbench.types import Interval

# Kind of question -> what it begins with.
KINDS = {"type": "what type of", "kind": "what kind of", "number": "how many"}


def kind_of(question: str) -> str | None:
    """Return the kind of a question that is asked here, or None: of those answers nobody expects one form."""
    words = normalised_answer(question)
    return next((kind for kind, start in KINDS.items() if words.startswith(start)), None)


def asked(sample: Sample) -> list[tuple[str, str, str]]:
    """Return the (question, answer, kind) of what is asked about a sample."""
    known = [(question, answer, kind_of(question)) for question, answer in sample.exchanges]
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
    kinds = [kind for kind in KINDS if _always_asked(result, kind)]
    if not kinds:
        reason = "the data has no short questions with answers: what type, what kind, how many"
        return [
            Score(metric="answer_exact_match", value=None, status="not_applicable", reason=reason, **common)
        ]
    scores = []
    for kind in kinds:
        found = np.asarray([_shares(result, number, kind) for number in range(len(result.jobs))])
        right, shuffled, chance = (
            found[:, i].reshape(settings.splits, settings.seeds) for i in range(found.shape[1])
        )
        own = {**common, "variant": f"{kind} {settings.projector}"}
        own["params"] = {**common["params"], "question": KINDS[kind], "chance_is": "majority answer in train"}
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


def _always_asked(result: VLMResult, kind: str) -> bool:
    return all(any(kind_of(question) == kind for _, question in job.questions) for job in result.jobs)


def _shares(result: VLMResult, number: int, kind: str) -> tuple[float, float, float]:
    """Return the share of right answers in one training: from the image, from another one, by guessing."""
    job, trained = result.jobs[number], result.trained[number]
    guess = majority_answers([result.samples[row] for row in job.train])
    chosen = [i for i, (_, question) in enumerate(job.questions) if kind_of(question) == kind]
    expected = []
    for place, question in (job.questions[i] for i in chosen):
        expected.append(dict(result.samples[int(job.test[place])].exchanges)[question])
    guessed = [guess(job.questions[i][1], kind) for i in chosen]
    said = ([trained.answers[i] for i in chosen], [trained.other_answers[i] for i in chosen], guessed)
    right, shuffled, chance = (float(exact_match(of, expected).mean()) for of in said)
    return right, shuffled, chance
