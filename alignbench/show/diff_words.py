"""The texts of a comparison that terminal and Markdown share, in plain text that the caller has to escape."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from alignbench.datatypes import ALL
from alignbench.findings.numbers import measured, value_text
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
    """Return the word for a difference; it is in brackets if other samples might not show the difference."""
    if difference.failed is not None:
        return "REGRESSED"
    if difference.lost or difference.gained:
        return "lost" if difference.lost else "gained"
    if not difference.changed:
        return "same"
    word = "better" if difference.better else "worse"
    return f"({word})" if difference.covers_zero else word


def score_name(score: Score, several: Iterable[str] = ()) -> str:
    """Return the metric, with its experiment if it is one of `several` that more than one records."""
    named = f"{score.metric} ({score.experiment})" if score.metric in several else score.metric
    return f"{named}, {score.variant}" if score.variant else named


def recorded_twice(differences: Iterable[Difference]) -> frozenset[str]:
    """Return the metrics that more than one experiment recorded."""
    pairs = {(d.after.metric, d.after.experiment) for d in differences}
    counts = Counter(metric for metric, _ in pairs)
    return frozenset(metric for metric, count in counts.items() if count > 1)


def of_what(score: Score) -> str:
    """Return the score's models, and its data type unless it is all data."""
    names = [name for name in (score.encoder, score.llm, score.other) if name is not None]
    return ", ".join(names if score.data_type == ALL else [*names, score.data_type])


def change_text(difference: Difference) -> str:
    """Return B - A with its sign."""
    value = difference.value
    if value is None:
        return "-"
    size = measured(abs(value)) if difference.timed else number(abs(value))
    return f"+{size}" if value > 0 else f"-{size}"


def values_of(difference: Difference) -> tuple[str, str]:
    """Return A's and B's value."""
    return value_text(difference.before), value_text(difference.after)


def run_line(recorded: Findings) -> str:
    """Return a run's name, data and time."""
    run = recorded.run
    if not run:
        return f"{recorded.name}: did not finish"
    data = run.get("dataset") or {}
    facts = [
        f"{data.get('name')}@{str(data.get('digest'))[:8]}, {data.get('n')} samples",
        str(run.get("started", ""))[:16].replace("T", " "),
    ]
    return f"{recorded.name}: {', '.join(filter(None, facts))}"


def headline(comparison: Comparison) -> str:
    """Return the answer in a sentence or two."""
    if not comparison.differences:
        return "A and B have no score in common."
    scores = [d for d in comparison.differences if not d.timed]
    counts = Counter(verdict(d).strip("()") for d in scores)
    words = ("REGRESSED", "better", "worse", "gained", "lost", "same")
    listed = ", ".join(f"{counts[word]} {word.lower()}" for word in words if counts[word])
    others = "Only timings are in both runs."
    if scores:
        others = f"Of {plural(len(scores), 'score')} in both: {listed}."
    if not comparison.gates:
        return f"No change was judged. {others}"
    gates = ", ".join(map(str, comparison.gates))
    count = len(comparison.regressions)
    return f"{plural(count, 'regression') if count else 'No regression'} by {gates}. {others}"


def remarks(comparison: Comparison) -> list[str]:
    """Return the answers of both runs, then the scores that no gate could judge, then the timings."""
    return [*answers(comparison), *not_judged(comparison), *timings_line(comparison)]


def answers(comparison: Comparison) -> list[str]:
    """Return which encoder is the best, for each LLM that both runs ranked encoders for."""
    verdicts_after = comparison.after.verdicts
    lines = []
    for llm, before in comparison.before.verdicts.items():
        after = verdicts_after.get(llm)
        if after is not None:
            verdicts = f"{before}, in both runs" if before == after else f"{before} in A; {after} in B"
            lines.append(f"{llm}: {verdicts}")
    return lines


def timings_line(comparison: Comparison) -> list[str]:
    """Return how the timings and sizes changed that failed no gate."""
    pairs = [(d.before.value, d.after.value) for d in comparison.timings]
    ratios = [b / a for a, b in pairs if a and b]
    if not ratios:
        return []
    return [
        f"{plural(len(pairs), 'measurement')} of speed in both; the median of B / A is {median(ratios):.2f}, "
        f"from {min(ratios):.2f} to {max(ratios):.2f}. Timings differ in every run; "
        "--benchmark-compare judges them"
    ]


def not_judged(comparison: Comparison) -> list[str]:
    """Return the gates that cannot judge some scores because only one run has them."""
    lines = []
    for gate in comparison.gates:
        for name, scores in (("A", comparison.only_before), ("B", comparison.only_after)):
            count = sum(score.metric == gate.metric for score in scores)
            if count:
                lines.append(f"not judged by {gate}: {plural(count, 'score')} only in {name}")
    return lines


def only_in(scores: Sequence[Score], longest: int) -> list[str]:
    """Return the scores that only one run has: one line each, or one line per kind if there are many."""
    if len(scores) <= longest:
        return [f"{score_name(score, [score.metric])}: {of_what(score)}" for score in scores]
    kinds: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        kinds.setdefault((score.experiment, score.metric), []).append(score)
    return [
        f"{metric} ({experiment}), {plural(len(alike), 'score')}: "
        + ", ".join(dict.fromkeys(n for s in alike for n in (s.encoder, s.llm, s.other) if n is not None))
        for (experiment, metric), alike in kinds.items()
    ]


def shared_legend(differences: Iterable[Difference]) -> list[str]:
    """Return what the brackets around verdicts mean, and how many intervals are wrong by chance."""
    shown = [d for d in differences if d.interval is not None]
    lines = (
        ["Each interval stands for itself: about one in twenty misses a true difference of 0."]
        if shown
        else []
    )
    if any(d.covers_zero and not d.failed for d in shown):
        lines.insert(0, "(better), (worse): the interval covers 0, so other samples might show the opposite.")
    return [" ".join(lines)] if lines else []
