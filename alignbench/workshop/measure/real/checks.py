"""What has to be true of a run with real weights: each check is a verdict and a line with its numbers."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from alignbench.datatypes import ALL
from alignbench.units import plural
from alignbench.workshop.measure.real.photographs import PHOTOGRAPH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from alignbench.types import Score

FACTOR: Final = 2.0  # the largest acceptable error of a plan's estimate on a quiet machine
# The load per core before the run up to which a machine counts as quiet.
QUIET: Final = 0.3
METRIC: Final = "calibrated_cka"
# About half of what was measured (0.22): with shuffled weights, no model passes.
MARGIN: Final = 0.1
TRAINED: Final = "efficientnet-lite0"
CONTROL: Final = "random-vit"
TOY: Final = "mini-llama"
_PLAN = re.compile(r"; (?:about|at least) ([\d.]+) (s|min|h)$", re.MULTILINE)
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_SKIPPED = re.compile(r"^SKIPPED \[\d+\] \S*?test_(\w+)\.py\S*: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Args:
        verdict: "ok" or "FAILED"; "told" if the line was reported but not judged.
        line: what was checked, with its numbers.
    """

    verdict: Literal["ok", "FAILED", "told"]
    line: str

    def __str__(self) -> str:
        return f"{self.verdict:6} {self.line}"


def holds(right: bool, line: str) -> Check:
    """Return the check of a condition."""
    return Check("ok" if right else "FAILED", line)


def no_failures(run: Mapping[str, Any], status: int) -> list[Check]:
    """Return a check that no test failed, and one more for each that did.

    Args:
        run: the run, as in scores.json.
        status: pytest's exit status.
    """
    failures = run.get("failures", ())
    line = f"{plural(len(failures), 'failed test')}, exit status {status}"
    return [
        holds(not failures and status == 0, line),
        *(Check("FAILED", f"{failure['nodeid']}: {failure['reason']}") for failure in failures),
    ]


def estimated(output: str, seconds: float, load: float) -> Check:
    """Return the check of the plan's estimate against the actual time of the run.

    Args:
        output: the run's output.
        seconds: the time that it took.
        load: the load per core before it: on a busy machine, the ratio is reported but not judged.
    """
    estimate = _PLAN.search(output)
    if estimate is None:
        return Check("FAILED", "the plan states no time")
    expected = float(estimate[1]) * _SECONDS[estimate[2]]
    ratio = seconds / expected
    line = f"estimate {expected:.0f} s, taken {seconds:.0f} s: a factor of {ratio:.2f}"
    if load > QUIET:
        return Check("told", f"{line}; not judged, because the load per core before the run was {load:.2f}")
    return holds(1 / FACTOR <= ratio <= FACTOR, f"{line}, at most {FACTOR:g} either way")


def everywhere(run: Mapping[str, Any], scores: Sequence[Score], output: str) -> list[Check]:
    """Return one check per experiment: each of its models on a side has scores or a reason.

    Args:
        run: the run, as in scores.json.
        scores: the run's scores.
        output: the run's output, with the reasons for skipped tests.
    """
    models: defaultdict[str, list[str]] = defaultdict(list)
    for model in run["models"]:
        models[model["side"]].append(model["name"])
    reasons = _reasons(run, output)
    return [
        _complete(experiment, [s for s in scores if s.experiment == experiment], models, reasons[experiment])
        for experiment in dict.fromkeys(score.experiment for score in scores)
    ]


def _complete(
    experiment: str, scores: Iterable[Score], models: Mapping[str, Sequence[str]], reasons: Sequence[str]
) -> Check:
    seen = {name for score in scores for name in (score.encoder, score.llm, score.other)}
    wanted = [name for side in models.values() if seen & set(side) for name in side]
    absent = [name for name in wanted if name not in seen]
    named = {name: next((why for why in reasons if name in why), None) for name in absent}
    line = f"{experiment}: {len(wanted) - len(absent)} of {plural(len(wanted), 'model')}"
    for name, why in named.items():
        line += f"; {name} is missing, " + ("and nothing says why" if why is None else f"because: {why}")
    return holds(None not in named.values(), line)


def _reasons(run: Mapping[str, Any], output: str) -> defaultdict[str, list[str]]:
    """Return the reasons for missing models, by experiment: failures and skipped tests."""
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for failure in run.get("failures", ()):
        names = ", ".join([*failure["encoders"], *failure["llms"]])
        reasons[failure["experiment"]].append(f"{names}: {failure['reason']}")
    for experiment, why in _SKIPPED.findall(output):
        reasons[experiment].append(why)
    return reasons


def summary_names_all(run: Mapping[str, Any], summary: str) -> Check:
    """Return the check that the summary names every model.

    Args:
        run: the run, as in scores.json.
        summary: its text.
    """
    plain = summary.replace("\\", "")
    absent = [model["name"] for model in run["models"] if model["name"] not in plain]
    verdict = f"doesn't name {', '.join(absent)}" if absent else "names every model"
    return holds(not absent, f"summary.md {verdict} ({plural(len(run['models']), 'model')})")


def ranked_all(run: Mapping[str, Any], rankings: Sequence[Mapping[str, Any]]) -> Check:
    """Return the check that each ranking has every encoder, in its order or as unranked with a reason.

    Args:
        run: the run, as in scores.json.
        rankings: the rankings of all data and by data type, as in scores.json.
    """
    encoders = [model["name"] for model in run["models"] if model["side"] == "vision"]
    gaps = []
    for ranking in rankings:
        known = {*ranking["order"], *(name for name, why in ranking["unranked"].items() if why)}
        absent = [name for name in encoders if name not in known]
        if absent:
            title = f"{ranking['metric']} of {ranking['data_type']} with {ranking['llm']}"
            gaps.append(f"{title} lacks {', '.join(absent)}")
    line = "; ".join([f"{plural(len(rankings), 'ranking')} of {plural(len(encoders), 'encoder')}", *gaps])
    return holds(not gaps, line)


def trained_above_control(scores: Iterable[Score], llm: str) -> Check:
    """Return the check that the pretrained network is above the untrained control on photographs.

    Args:
        scores: the run's scores.
        llm: the LLM that the encoders are compared with.
    """
    values = {
        score.encoder: value
        for score, value in _values(scores, PHOTOGRAPH)
        if score.llm == llm and score.other is None
    }
    title = f"{METRIC} of photographs with {llm}"
    if TRAINED not in values or CONTROL not in values:
        return _not_checked(title, TRAINED, CONTROL)
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
    line = f"{title}: {numbers}; {TRAINED} has to be above {CONTROL} by {MARGIN:g}"
    return holds(values[TRAINED] > values[CONTROL] + MARGIN, line)


def llms_agree(scores: Iterable[Score], pair: tuple[str, ...]) -> Check:
    """Return the check that two real LLMs agree more on the texts than either does with the toy.

    Args:
        scores: the run's scores.
        pair: the real LLMs.
    """
    values = {
        frozenset((score.llm, score.other)): value
        for score, value in _values(scores, ALL)
        if score.encoder is None and score.llm is not None and score.other
    }
    real = frozenset(pair)
    toys = [frozenset((name, TOY)) for name in pair]
    title = f"{METRIC} of texts"
    if len(pair) < 2 or any(both not in values for both in (real, *toys)):
        return _not_checked(title, *pair, TOY)
    numbers = (f"{' and '.join(sorted(map(str, both)))} {values[both]:.3f}" for both in (real, *toys))
    line = f"{title}: {', '.join(numbers)}; the first has to be above the others by {MARGIN:g}"
    return holds(values[real] > max(values[both] for both in toys) + MARGIN, line)


def _values(scores: Iterable[Score], data_type: str) -> Iterator[tuple[Score, float]]:
    for score in scores:
        if score.metric == METRIC and score.data_type == data_type and score.value is not None:
            yield score, score.value


def _not_checked(title: str, *models: str) -> Check:
    return Check("told", f"{title}: not checked, because it needs compare's scores of {', '.join(models)}")
