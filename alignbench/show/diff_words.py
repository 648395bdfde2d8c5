"""The words of a comparison that terminal and markdown share; plain text, escaped by whoever shows it."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
from alignbench.findings.numbers import measured, value_text
from alignbench.stats.verdict import verdict as verdict_of
from alignbench.text import number
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alignbench.findings.diff import Comparison, Difference
    from alignbench.findings.findings import Findings
    from alignbench.types import Score

PAIRED = "paired over the same samples"
UNPAIRED = (
    "unpaired: root of the sum of squares of both scores' intervals, as if the two shared no sample; "
    "wider than necessary where they do"
)


def verdict(difference: Difference) -> str:
    """Return the word for a difference; in brackets one that other samples might not show."""
    if difference.failed is not None:
        return "REGRESSED"
    if difference.lost or difference.gained:
        return "lost" if difference.lost else "gained"
    if not difference.changed:
        return "same"
    word = "better" if difference.better else "worse"
    return f"({word})" if difference.covers_zero else word


def score_name(score: Score, several: Iterable[str] = ()) -> str:
    """Return the metric, with its experiment where it is one of the `several` that more than one records."""
    named = f"{score.metric} ({score.experiment})" if score.metric in several else score.metric
    return f"{named}, {score.variant}" if score.variant else named


def recorded_twice(differences: Iterable[Difference]) -> frozenset[str]:
    """Return the metrics that more than one experiment recorded."""
    pairs = {(d.after.metric, d.after.experiment) for d in differences}
    counts = Counter(metric for metric, _ in pairs)
    return frozenset(metric for metric, count in counts.items() if count > 1)


def of_what(score: Score) -> str:
    """Return the models that a score is of, and its data type."""
    names = [name for name in (score.encoder, score.llm, score.other) if name is not None]
    return ", ".join([*names, *([] if score.data_type == ALL else [score.data_type])])


def change_text(difference: Difference) -> str:
    """Return B - A with its sign."""
    value = difference.value
    if value is None:
        return "-"
    return ("+" if value > 0 else "-") + (measured if difference.timed else number)(abs(value))


def values_of(difference: Difference) -> tuple[str, str]:
    """Return A's and B's value."""
    return value_text(difference.before), value_text(difference.after)


def run_line(recorded: Findings) -> str:
    """Return what a run is called, of what data, and when it was made."""
    run = recorded.run
    if not run:
        return f"{recorded.name}: did not finish"
    data = run.get("dataset") or {}
    facts = [
        f"{data.get('name')}@{str(data.get('digest'))[:8]}, {data.get('n')} samples",
        str(run.get("started", ""))[:16].replace("T", " "),
    ]
    return f"{recorded.name}: {', '.join(fact for fact in facts if fact)}"


def headline(comparison: Comparison) -> str:
    """Return the answer in a sentence or two."""
    if not comparison.differences:
        return "A and B have no score in common."
    scores = [d for d in comparison.differences if not d.timed]
    counts = Counter(verdict(d).strip("()") for d in scores)
    words = ("REGRESSED", "better", "worse", "gained", "lost", "same")
    told = ", ".join(f"{counts[word]} {word.lower()}" for word in words if counts[word])
    others = (
        f"Of {plural(len(scores), 'score')} in both: {told}." if scores else "Only timings are in both runs."
    )
    if not comparison.gates:
        return f"No change was judged. {others}"
    gates = ", ".join(map(str, comparison.gates))
    found = len(comparison.regressions)
    return f"{plural(found, 'regression') if found else 'No regression'} by {gates}. {others}"


def answers(comparison: Comparison) -> list[str]:
    """Return which encoder is the best for each LLM that both runs ranked encoders for."""
    said = [_verdicts(side) for side in (comparison.before, comparison.after)]
    lines = []
    for about in (about for about in said[0] if about in said[1]):
        before, after = (side[about] for side in said)
        told = f"{before}, in both runs" if before == after else f"{before} in A; {after} in B"
        lines.append(f"{about}: {told}")
    return lines


def _verdicts(side: Findings) -> dict[str, str]:
    labels = side.labels
    return {
        f"For {labels[ranking.llm]}" + ("" if ranking.data_type == ALL else f" on {ranking.data_type}"): (
            verdict_of(ranking, labels.__getitem__)
        )
        for ranking in side.rankings
        if ranking.metric is not None
    }


def timings_line(comparison: Comparison) -> list[str]:
    """Return what became of timings and sizes that no gate judged or failed."""
    found = [(d.before.value, d.after.value) for d in comparison.timings]
    ratios = [b / a for a, b in found if a and b]
    if not ratios:
        return []
    return [
        f"{plural(len(found), 'measurement')} of speed in both; the median of B / A is {median(ratios):.2f}, "
        f"from {min(ratios):.2f} to {max(ratios):.2f}: no two runs have the same; "
        "--benchmark-compare judges them"
    ]


def not_judged(comparison: Comparison) -> list[str]:
    """Return the gates that some scores escape, for these are in one run only."""
    lines = []
    for gate in comparison.gates:
        for name, scores in (("A", comparison.only_before), ("B", comparison.only_after)):
            count = sum(score.metric == gate.metric for score in scores)
            if count:
                lines.append(f"not judged by {gate}: {plural(count, 'score')} only in {name}")
    return lines


def only_in(scores: Sequence[Score], longest: int) -> list[str]:
    """Return the scores that one run has: each in a line, or if there are many each kind with its models."""
    if len(scores) <= longest:
        return [f"{score_name(score, [score.metric])}: {of_what(score)}" for score in scores]
    kinds: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        kinds.setdefault((score.experiment, score.metric), []).append(score)
    return [
        f"{metric} ({experiment}), {plural(len(own), 'score')}: "
        + ", ".join(dict.fromkeys(n for s in own for n in (s.encoder, s.llm, s.other) if n is not None))
        for (experiment, metric), own in kinds.items()
    ]


def shared_legend(differences: Iterable[Difference]) -> list[str]:
    """Return what the brackets of verdicts mean, and how many intervals are wrong by chance."""
    shown = [d for d in differences if d.interval is not None]
    lines = ["Each interval stands for itself: about one in twenty leaves out a true 0."] if shown else []
    if any(d.covers_zero and not d.failed for d in shown):
        lines.insert(0, "(better), (worse): the interval covers 0, so other samples might show the opposite.")
    return [" ".join(lines)] if lines else []
