"""What has to be true of a run with real weights: each check is a verdict and a line with its numbers."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from alignbench.units import plural
from alignbench.workshop.measure.real.photographs import PHOTOGRAPH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alignbench.types import Score

FACTOR: Final = 2.0  # the largest acceptable error of a plan's estimate on a quiet machine
# The load per core before the run up to which a machine counts as quiet.
QUIET: Final = 0.3
METRIC: Final = "calibrated_cka"
TRAINED: Final = "efficientnet"
CONTROL: Final = "random-vit"
TOY: Final = "mini-llama"
_PLAN = re.compile(r"; (?:about|at least) ([\d.]+) (s|min|h)$", re.MULTILINE)
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_SKIPPED = re.compile(r"^SKIPPED \[\d+\] \S*?test_(\w+)\.py\S*: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Args:
        verdict: the verdict; "told" if nothing was judged.
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
    found = _PLAN.search(output)
    if found is None:
        return Check("FAILED", "the plan states no time")
    expected = float(found[1]) * _SECONDS[found[2]]
    ratio = seconds / expected
    line = f"estimate {expected:.0f} s, taken {seconds:.0f} s: a factor of {ratio:.2f}"
    if load > QUIET:
        return Check("told", f"{line}; not judged, a load of {load:.2f} for each core before the run")
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
    said = f"{experiment}: {len(wanted) - len(absent)} of {plural(len(wanted), 'model')}"
    for name, why in named.items():
        said += f"; {name} is missing, " + ("and nothing says why" if why is None else f"because: {why}")
    return holds(None not in named.values(), said)


def _reasons(run: Mapping[str, Any], output: str) -> defaultdict[str, list[str]]:
    """Return the reasons for missing models, by experiment: failures and skipped tests."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for failure in run.get("failures", ()):
        names = ", ".join([*failure["encoders"], *failure["llms"]])
        found[failure["experiment"]].append(f"{names}: {failure['reason']}")
    for experiment, why in _SKIPPED.findall(output):
        found[experiment].append(why)
    return found


def summary_names_all(run: Mapping[str, Any], summary: str) -> Check:
    """Return the check that the summary names every model.

    Args:
        run: the run, as in scores.json.
        summary: its text.
    """
    plain = summary.replace("\\", "")
    absent = [model["name"] for model in run["models"] if model["name"] not in plain]
    said = f"doesn't name {', '.join(absent)}" if absent else "names every model"
    return holds(not absent, f"summary.md {said} ({plural(len(run['models']), 'model')})")


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
    said = "; ".join([f"{plural(len(rankings), 'ranking')} of {plural(len(encoders), 'encoder')}", *gaps])
    return holds(not gaps, said)


def trained_above_control(scores: Iterable[Score], llm: str) -> Check:
    """Return the check that the pretrained network is above the untrained control on photographs.

    Args:
        scores: the run's scores.
        llm: the LLM that the encoders are compared with.
    """
    found = {
        score.encoder: score.value
        for score in scores
        if score.metric == METRIC
        and score.data_type == PHOTOGRAPH
        and score.llm == llm
        and score.other is None
        and score.value is not None
    }
    title = f"{METRIC} of photographs with {llm}"
    if TRAINED not in found or CONTROL not in found:
        return Check(
            "told", f"{title}: not looked at without scores of {TRAINED} and {CONTROL}, which compare has"
        )
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    return holds(found[TRAINED] > found[CONTROL], f"{title}: {numbers}; {TRAINED} has to be above {CONTROL}")


def llms_agree(scores: Iterable[Score], pair: tuple[str, ...]) -> Check:
    """Return the check that two real LLMs agree more on the texts than either does with the toy.

    Args:
        scores: the run's scores.
        pair: the real LLMs.
    """
    found = {
        frozenset((score.llm, score.other)): score.value
        for score in scores
        if score.metric == METRIC
        and score.encoder is None
        and score.llm is not None
        and score.other
        and score.value is not None
        and score.data_type == "all"
    }
    own = frozenset(pair)
    toys = [frozenset((name, TOY)) for name in pair]
    title = f"{METRIC} of texts"
    if len(pair) < 2 or any(both not in found for both in (own, *toys)):
        return Check(
            "told", f"{title}: not looked at without scores of {', '.join((*pair, TOY))}, which compare has"
        )
    numbers = ", ".join(f"{' and '.join(sorted(map(str, both)))} {found[both]:.3f}" for both in (own, *toys))
    return holds(found[own] > max(found[both] for both in toys), f"{title}: {numbers}")
