"""Trained encoders compared with the untrained control, in the outcome of each experiment that has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.findings.choice import is_cross_modal
from alignbench.findings.numbers import and_list
from alignbench.stats import joint_of, paired_difference
from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from alignbench.types import Interval, Score

    Outcome = tuple[str, str, str, str]

# Experiment -> its main outcome; its other scores express the same in another way.
OUTCOMES = {"e2e": "mrr", "elas": "elas", "compare": "projection_cosine", "vlm": "image_gain"}
UNTRAINED = "random"


@dataclass(frozen=True, slots=True)
class AgainstControl:
    """A trained encoder compared with the untrained one, in one outcome for one LLM.

    Args:
        outcome: the metric, with its variant.
        llm: the LLM.
        data_type: the data type, or "all".
        encoder: the trained encoder.
        control: the untrained encoder; the best one if there are several.
        difference: the score of the trained encoder minus that of the control.
        interval: the paired interval of the difference; None if there are too few groups for one.
        higher_is_better: the outcome's direction.
    """

    outcome: str
    llm: str
    data_type: str
    encoder: str
    control: str
    difference: float
    interval: Interval | None
    higher_is_better: bool

    @property
    def above(self) -> bool:
        """Whether the trained encoder is better by more than chance: the interval excludes 0."""
        if self.interval is None:
            return False
        return self.interval.low > 0 if self.higher_is_better else self.interval.high < 0

    @property
    def text(self) -> str:
        """The difference with its interval, such as `+0.132 [0.104, 0.160]`."""
        sign = "+" if self.difference > 0 else ""
        if self.interval is None:
            return f"{sign}{number(self.difference)}, no interval"
        return f"{sign}{number(self.difference)} [{number(self.interval.low)}, {number(self.interval.high)}]"


def against_control(scores: Iterable[Score]) -> list[AgainstControl]:
    """Compare every trained encoder with the control; the list is empty without an untrained encoder."""
    tables: dict[Outcome, dict[str, Score]] = {}
    for score in scores:
        wanted = OUTCOMES.get(score.experiment) == score.metric and is_cross_modal(score)
        if wanted and score.value is not None and score.other is None:
            key = (score.metric, score.variant, str(score.llm), score.data_type)
            tables.setdefault(key, {})[str(score.encoder)] = score
    return [one for key, table in tables.items() for one in _differences(key, table)]


def control_sentences(
    found: Sequence[AgainstControl], show: Callable[[str], str], escape: Callable[[str], str] = str
) -> list[str]:
    """Return in which outcomes encoders are told from the control, with one sentence for outcomes that agree.

    Args:
        found: the result of `against_control`.
        show: (name) -> how the model's name is written in the output.
        escape: makes any other text safe in the output.
    """
    outcomes: dict[Outcome, list[AgainstControl]] = {}
    for one in found:
        outcomes.setdefault((one.llm, one.data_type, one.control, one.outcome), []).append(one)
    alike: dict[tuple[str, str, str, tuple[str, ...], tuple[str, ...]], list[list[AgainstControl]]] = {}
    for (llm, data_type, control, _), differences in outcomes.items():
        above = tuple(sorted(one.encoder for one in differences if one.above))
        rest = tuple(sorted(one.encoder for one in differences if not one.above))
        alike.setdefault((llm, data_type, control, above, rest), []).append(differences)
    return [_sentence(same, show, escape) for same in alike.values()]


def _differences(key: Outcome, scores: dict[str, Score]) -> list[AgainstControl]:
    metric, variant, llm, data_type = key
    untrained = {name: score for name, score in scores.items() if score.weights.get(name) == UNTRAINED}
    if not untrained:
        return []
    sign = 1 if all(score.higher_is_better for score in scores.values()) else -1
    control = max(untrained, key=lambda name: sign * (untrained[name].value or 0.0))
    differences = []
    for name, score in scores.items():
        if name in untrained:
            continue
        joint = joint_of({"first": scores[control], "second": score})
        without, trained = float(scores[control].value or 0.0), float(score.value or 0.0)
        differences.append(
            AgainstControl(
                outcome=" ".join(filter(None, (metric, variant))),
                llm=llm,
                data_type=data_type,
                encoder=name,
                control=control,
                difference=trained - without,
                interval=None if joint is None else paired_difference(without, trained, joint),
                higher_is_better=sign > 0,
            )
        )
    return differences


def _sentence(
    same: Sequence[Sequence[AgainstControl]], show: Callable[[str], str], escape: Callable[[str], str]
) -> str:
    """Return the sentence about outcomes that agree; a single outcome is shown with its differences."""
    first = same[0]
    control, llm = show(first[0].control), show(first[0].llm)

    def named(chosen: Iterable[AgainstControl]) -> str:
        if len(same) == 1:
            return and_list([f"{show(one.encoder)} ({escape(one.text)})" for one in chosen])
        return and_list([show(one.encoder) for one in chosen])

    outcomes = and_list([escape(differences[0].outcome) for differences in same])
    above, rest = [one for one in first if one.above], [one for one in first if not one.above]
    if not above:
        same_as = f"{outcomes} can't tell {named(rest)} from {control}"
        return f"An untrained encoder does as well: with {llm}, {same_as}."
    verb = "is" if len(above) == 1 else "are"
    text = f"With {llm}, {named(above)} {verb} above the untrained {control} in {outcomes}"
    return f"{text}; {named(rest)} can't be told from it." if rest else f"{text}."
