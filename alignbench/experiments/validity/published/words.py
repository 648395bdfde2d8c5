"""What a table says about its scores, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.validity.table import METRIC_PREFIX, OUTCOME_PREFIX
from alignbench.stats.correlation import ESTIMABLE, smallest_p
from alignbench.stats.leader import LEVEL
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alignbench.experiments.validity.links import Link
    from alignbench.experiments.validity.published.judge import Judgement

NO_SCORES = "the table has no column of scores: name one metric_..., or let --fill compute ours"


def plain(column: str) -> str:
    """Return the name of a column as readers see it, without the prefix that tells what it is."""
    return column.removeprefix(METRIC_PREFIX).removeprefix(OUTCOME_PREFIX)


def said(judgement: Judgement) -> str:
    """Return what a table says: which scores predict what, how firmly, and what bounds them."""
    blocks = judgement.blocks
    size = plural(len(judgement.encoders), "encoder")
    where = f" in {len(blocks)} blocks" if len(blocks) > 1 else ""
    sentences = [f"{judgement.about.title.partition(':')[0]} ({size}{where})."]
    links: dict[str, list[Link]] = {}
    for _, link in judgement.links:
        links.setdefault(link.correlation.metric, []).append(link)
    lineages = min((found.lineages for found in blocks.values()), default=0)
    if not links:
        sentences.append("Nothing to correlate: no block has scores of three encoders.")
    elif lineages < ESTIMABLE:
        least = f"the smallest two-sided p that {lineages} can give is {smallest_p(lineages):.2g}"
        sentences.append(f"Not estimable: {plural(lineages, 'lineage')}, it takes {ESTIMABLE}; {least}.")
    else:
        sentences += _survivors(judgement, links)
        sentences += _families(links)
    sentences += _claims(judgement)
    sentences += _ceiling(judgement)
    if judgement.left_out:
        sentences.append(f"Not scored: {', '.join(judgement.left_out)}.")
    return " ".join(sentences)


def _survivors(judgement: Judgement, links: Mapping[str, Sequence[Link]]) -> list[str]:
    """Return for each score how many outcomes it predicts after all comparisons were looked at."""
    p = {(one.metric, one.outcome): one.p_adjusted for one in judgement.pooled}
    r = {(one.metric, one.outcome): one.pooled.r for one in judgement.pooled}
    for _, link in judgement.links if not judgement.pooled else ():
        one = link.correlation
        p[one.metric, one.outcome], r[one.metric, one.outcome] = one.p_adjusted, one.pearson
    over = f" pooled over {len(judgement.blocks)} blocks" if judgement.pooled else ""
    told: dict[bool, list[str]] = {False: [], True: []}
    for metric, own in links.items():
        values = {outcome: value for (name, outcome), value in r.items() if name == metric}
        firm = sum(p[metric, outcome] <= LEVEL for outcome in values)
        q2 = [link.explained.q2 for link in own if link.explained.q2 is not None]
        around = f", Q² {_range(q2)}" if q2 else ""
        text = f"{plain(metric)} {firm} of {len(values)} (r {_range(values.values())}{around})"
        told[metric in judgement.about.labels].append(text)
    what = f"after all {len(p)} comparisons were looked at{over}"
    sentences = []
    if told[False]:
        sentences.append(f"Outcomes that a score predicts, {what}: {'; '.join(told[False])}.")
    if told[True]:
        begin = "For comparison, labels of the encoders" if told[False] else f"Labels of the encoders, {what}"
        sentences.append(f"{begin}: {'; '.join(told[True])}.")
    if any("Q²" in text for texts in told.values() for text in texts):
        sentences.append("Q² is the R² for encoders that the fit has not seen.")
    return sentences


def _families(links: Mapping[str, Sequence[Link]]) -> list[str]:
    """Return for each score the family without which it correlates least, if r then changes its sign."""
    told: dict[str, list[str]] = {}
    for metric, own in links.items():
        sign = 1 if sum(link.correlation.pearson for link in own) >= 0 else -1
        rest: dict[str, list[float]] = {}
        for link in own:
            for family, r in link.without.items():
                if r is not None:
                    rest.setdefault(family, []).append(r)
        if len(rest) < 2:
            continue
        family = min(rest, key=lambda name: sign * sum(rest[name]) / len(rest[name]))
        if sign * sum(rest[family]) < 0:
            told.setdefault(family, []).append(f"{plain(metric)} {_range(rest[family])}")
    return [
        f"Without the family {family}, r changes its sign: {', '.join(own)}." for family, own in told.items()
    ]


def _claims(judgement: Judgement) -> list[str]:
    told = []
    for claim in judgement.about.claims:
        own = [one for judged in judgement.claims.values() for one in judged if one.claim == claim]
        q2 = [one.quality.q2 for one in own if one.quality.q2 is not None]
        if own and q2:
            told.append(
                f"{claim.name[0].upper()}{claim.name[1:]} (a polynomial of degree {claim.degree} in "
                f"{' and '.join(map(plain, claim.metrics))}) has R² "
                f"{_range(one.quality.r2 for one in own)} in the sample ({own[0].quality.null_r2:.2f} by "
                f"chance) and Q² {_range(q2)}."
            )
    return told


def _ceiling(judgement: Judgement) -> list[str]:
    if not judgement.ceilings:
        return []
    rho = {outcome: ceiling.rho for outcome, ceiling in judgement.ceilings.items()}
    least, most = min(rho, key=rho.__getitem__), max(rho, key=rho.__getitem__)
    told = f"{rho[most]:.2f} ({plain(most)})"
    if len(rho) > 1:
        told = f"from {rho[least]:.2f} ({plain(least)}) to {told}"
    return [f"The ceiling, which is how well another recipe's results predict an outcome: ρ {told}."]


def _range(values: Iterable[float]) -> str:
    low, high = min(every := list(values)), max(every)
    first, last = (f"{round(value, 2) + 0.0:.2f}" for value in (low, high))  # adding 0.0 avoids -0.00
    return first if first == last else f"{first} to {last}"
