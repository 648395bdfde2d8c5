"""Trained encoders beside the untrained control, in every outcome of something that was trained or solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.findings.choice import is_cross_modal
from alignbench.stats import joint_of, paired_difference
from alignbench.text import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from alignbench.types import Interval, Score

    Outcome = tuple[str, str, str, str]

# Experiment -> what it is for. The other scores of an experiment say the same in another way.
OUTCOMES = {"e2e": "mrr", "elas": "elas", "compare": "projection_cosine", "vlm": "image_gain"}
UNTRAINED = "random"


@dataclass(frozen=True, slots=True)
class AgainstControl:
    """A trained encoder beside the untrained one, in one outcome for one LLM.

    Args:
        outcome: the metric, with its variant.
        llm: for which LLM.
        data_type: on which data.
        encoder: the trained one.
        control: the untrained one; of several the best.
        difference: of the trained one to the control.
        interval: of the difference, from what both share; None where there are too few groups for one.
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
        """Whether the trained one is better by more than chance: the interval lies beyond 0."""
        if self.interval is None:
            return False
        return self.interval.low > 0 if self.higher_is_better else self.interval.high < 0

    @property
    def told(self) -> str:
        """The difference with its interval, `+0.132 [0.104, 0.160]`."""
        sign = "+" if self.difference > 0 else ""
        if self.interval is None:
            return f"{sign}{number(self.difference)}, no interval"
        return f"{sign}{number(self.difference)} [{number(self.interval.low)}, {number(self.interval.high)}]"


def against_control(scores: Iterable[Score]) -> list[AgainstControl]:
    """Return every trained encoder beside the control; nothing where no untrained encoder takes part."""
    tables: dict[Outcome, dict[str, Score]] = {}
    for score in scores:
        wanted = OUTCOMES.get(score.experiment) == score.metric and is_cross_modal(score)
        if wanted and score.value is not None and score.other is None:
            key = (score.metric, score.variant, str(score.llm), score.data_type)
            tables.setdefault(key, {})[str(score.encoder)] = score
    return [one for key, own in tables.items() for one in _differences(key, own)]


def control_sentences(
    found: Sequence[AgainstControl], show: Callable[[str], str], escape: Callable[[str], str] = str
) -> list[str]:
    """Say of each LLM in which outcomes encoders are told from the control; outcomes that agree are one.

    Args:
        found: of `against_control`.
        show: how a model's name is written where the sentence goes.
        escape: what makes other text safe there.
    """
    outcomes: dict[Outcome, list[AgainstControl]] = {}
    for one in found:
        outcomes.setdefault((one.llm, one.data_type, one.control, one.outcome), []).append(one)
    alike: dict[tuple[str, str, str, tuple[str, ...], tuple[str, ...]], list[list[AgainstControl]]] = {}
    for (llm, data_type, control, _), own in outcomes.items():
        above = tuple(sorted(one.encoder for one in own if one.above))
        rest = tuple(sorted(one.encoder for one in own if not one.above))
        alike.setdefault((llm, data_type, control, above, rest), []).append(own)
    return [_sentence(same, show, escape) for same in alike.values()]


def _differences(key: Outcome, own: dict[str, Score]) -> list[AgainstControl]:
    metric, variant, llm, data_type = key
    untrained = {name: score for name, score in own.items() if score.weights.get(name) == UNTRAINED}
    if not untrained:
        return []
    sign = 1 if all(score.higher_is_better for score in own.values()) else -1
    control = max(untrained, key=lambda name: sign * (untrained[name].value or 0.0))
    found = []
    for name, score in own.items():
        if name in untrained:
            continue
        joint = joint_of({"first": own[control], "second": score})
        without, trained = float(own[control].value or 0.0), float(score.value or 0.0)
        found.append(
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
    return found


def _sentence(
    same: Sequence[Sequence[AgainstControl]], show: Callable[[str], str], escape: Callable[[str], str]
) -> str:
    """Return what outcomes that agree say; of a single one with its differences."""
    first = same[0]
    control, llm = show(first[0].control), show(first[0].llm)
    told = {one.encoder: f" ({escape(one.told)})" if len(same) == 1 else "" for one in first}

    def named(chosen: Iterable[AgainstControl]) -> str:
        return _listed([f"{show(one.encoder)}{told[one.encoder]}" for one in chosen])

    outcomes = _listed([escape(own[0].outcome) for own in same])
    above, rest = [one for one in first if one.above], [one for one in first if not one.above]
    if not above:
        return (
            f"control: an untrained encoder does as well here; {outcomes} for {llm} can't tell {named(rest)} "
            f"from {control}."
        )
    beyond = f"control: in {outcomes} for {llm} {named(above)} {'is' if len(above) == 1 else 'are'} above "
    beyond += f"{control}, which is untrained"
    return f"{beyond}; {named(rest)} can't be told from it." if rest else f"{beyond}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
