"""The scores of several runs over time: one trend for each LLM, metric, data and settings."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.datatypes import ALL
from alignbench.errors import AlignbenchError, DataError
from alignbench.findings.choice import RANKED_BY, is_cross_modal, losses_of, of_metric, variant_of
from alignbench.findings.diff import difference
from alignbench.findings.files import SCORES
from alignbench.findings.findings import Findings
from alignbench.findings.unlike import SETTINGS
from alignbench.paths import is_dir, is_file
from alignbench.types import jsonable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from alignbench.findings.diff import Difference
    from alignbench.types import Score


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A run among others, sorted by the time at which it began.

    Args:
        started: the time, as ISO 8601.
        name: the name of its folder.
        commit: the commit of the code; "" if it is unknown.
    """

    started: str
    name: str
    commit: str = ""

    @property
    def when(self) -> str:
        """The time to the minute, as people write it."""
        return self.started[:16].replace("T", " ") or self.name


@dataclass(frozen=True, slots=True)
class Line:
    """One encoder over time.

    Args:
        encoder: its label; with the settings that tell it from others of this name, if there are any.
        scores: the score in each run that has one, the earliest first.
        weights: the weights in each of these runs.
    """

    encoder: str
    scores: Mapping[Moment, Score]
    weights: Mapping[Moment, str]

    @property
    def latest(self) -> Difference | None:
        """How the last score differs from the one before it; None if there is no other."""
        scores = list(self.scores.values())
        return difference(scores[-2], scores[-1], same=True) if len(scores) > 1 else None

    @property
    def other_weights(self) -> bool:
        """Whether the last score is of other weights than the one before it."""
        weights = list(self.weights.values())
        return len(weights) > 1 and weights[-1] != weights[-2]


@dataclass(frozen=True, slots=True)
class Trend:
    """The encoders for one LLM by one metric, on the same data and with the same settings, over time.

    Args:
        llm: the LLM's label.
        metric: the metric.
        variant: its variant.
        data_type: "all", or the data type.
        data: the data's name and digest.
        n: the number of samples.
        settings: how the scores were computed, as far as it was chosen.
        apart: the settings that tell it from other trends of this LLM and metric.
        moments: its runs, the earliest first.
        lines: its encoders, those with the best last scores first.
    """

    llm: str
    metric: str
    variant: str
    data_type: str
    data: str
    n: int
    settings: Mapping[str, Any]
    apart: tuple[str, ...]
    moments: tuple[Moment, ...]
    lines: tuple[Line, ...]

    @property
    def higher_is_better(self) -> bool:
        """The metric's direction."""
        return all(score.higher_is_better for line in self.lines for score in line.scores.values())

    @property
    def title(self) -> str:
        """The LLM, the data type and the metric."""
        on = "" if self.data_type == ALL else f" on {self.data_type}"
        return f"{self.llm}{on}: {' '.join(filter(None, (self.metric, self.variant)))}"


@dataclass(frozen=True, slots=True)
class History:
    """The trends of a folder of runs.

    Args:
        moments: the runs, the earliest first.
        trends: by LLM and metric; of these, the one with the latest run first.
        left_out: name of a folder -> why its run can't be read.
    """

    moments: tuple[Moment, ...]
    trends: tuple[Trend, ...]
    left_out: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> History:
        """Return the trends of the runs in a folder.

        Raises:
            DataError: there is no folder, or no run in it.
        """
        if not is_dir(folder):
            raise DataError(f"{folder}: there is no such folder; name the one that holds the folders of runs")
        runs, left_out = [], {}
        places = [place for place in sorted(folder.iterdir()) if not place.is_symlink()]
        for place in places:
            if is_file(place / SCORES):
                try:
                    runs.append(Findings.read(place, place.name))
                except AlignbenchError as error:
                    left_out[place.name] = str(error)
        if not runs:
            why = "; ".join(left_out.values()) or f"no folder in it has a {SCORES}"
            raise DataError(f"{folder}: expected the folders of runs: {why}")
        return cls.of(runs, left_out)

    @classmethod
    def of(cls, runs: Iterable[Findings], left_out: Mapping[str, str] | None = None) -> History:
        """Return the trends of runs."""
        found: dict[str, dict[str, dict[Moment, tuple[Score, str]]]] = defaultdict(lambda: defaultdict(dict))
        keys: dict[str, dict[str, Any]] = {}
        moments = []
        for findings in runs:
            run = findings.run
            moment = Moment(str(run.get("started") or ""), findings.name, str(run.get("git_commit") or ""))
            moments.append(moment)
            for key, encoder, score, weights in _scores(findings):
                name = json.dumps(key, sort_keys=True)
                keys[name] = key
                found[name][json.dumps(encoder, sort_keys=True)][moment] = (score, weights)
        trends = [_trend(keys[name], of_key, keys.values()) for name, of_key in found.items()]
        trends.sort(key=lambda trend: trend.moments[-1], reverse=True)
        trends.sort(key=lambda trend: (trend.llm, RANKED_BY.index(trend.metric), trend.data_type))
        return cls(tuple(sorted(moments)), tuple(trends), left_out or {})


def _scores(findings: Findings) -> Iterator[tuple[dict[str, Any], dict[str, Any], Score, str]]:
    """Yield (the key of the trend, the key of the line, the score, the encoder's weights)."""
    models = {name: model for model in findings.models for name in (model.name, model.label)}
    data = findings.run.get("dataset") or {}
    cross = [score for score in findings.scores if is_cross_modal(score)]
    for ranking in findings.rankings:
        ranked = [s for s in cross if (s.llm, s.data_type) == (ranking.llm, ranking.data_type)]
        for metric in RANKED_BY:
            variant = variant_of(ranked, metric, losses_of(findings.run))
            for encoder, score in of_metric(ranked, metric, variant).items():
                how = dict(score.params.get("preprocessing") or {})
                chosen = {name: score.params[name] for name in SETTINGS if name in score.params}
                of_llm = {f"LLM {name}": value for name, value in dict(how.get(ranking.llm) or {}).items()}
                key = {
                    "llm": findings.labels[ranking.llm],
                    "metric": metric,
                    "variant": variant,
                    "data_type": ranking.data_type,
                    "data": score.dataset,
                    "n": data.get("n") or score.n,
                    "settings": {
                        "digest": data.get("digest"),
                        "groups": score.n,
                        "seed": score.seed,
                        **chosen,
                        **of_llm,
                    },
                }
                model = models.get(encoder)
                weights = "" if model is None else f"{model.weights} {model.revision or model.source}"
                line = {"encoder": findings.labels[encoder], "how": dict(how.get(encoder) or {})}
                yield jsonable(key), jsonable(line), score, weights


def _trend(
    key: Mapping[str, Any],
    of_key: Mapping[str, Mapping[Moment, tuple[Score, str]]],
    keys: Iterable[Mapping[str, Any]],
) -> Trend:
    about = [json.loads(name) for name in of_key]
    names = [line["encoder"] for line in about]
    lines = []
    for line, by_moment in zip(about, of_key.values(), strict=True):
        same = [other["how"] for other in about if other["encoder"] == line["encoder"]]
        apart = _apart(line["how"], same) if names.count(line["encoder"]) > 1 else ()
        found = dict(sorted(by_moment.items()))
        lines.append(
            Line(
                ", ".join((line["encoder"], *apart)),
                {moment: score for moment, (score, _) in found.items()},
                {moment: weights for moment, (_, weights) in found.items()},
            )
        )
    identity = ("llm", "metric", "variant", "data_type")
    others = [o["settings"] for o in keys if all(o[name] == key[name] for name in identity)]
    moments = tuple(sorted({moment for line in lines for moment in line.scores}))
    settings = dict(key["settings"])
    return Trend(
        **{name: key[name] for name in (*identity, "data", "n")},
        settings=settings,
        apart=_apart(settings, others),
        moments=moments,
        lines=tuple(sorted(lines, key=_last_first)),
    )


def _apart(settings: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return those settings in which some of the others differ, except the data's digest, as `name value`."""
    names = dict.fromkeys(name for other in (settings, *others) for name in other)
    differing = [n for n in names if any(other.get(n) != settings.get(n) for other in others)]
    return tuple(f"{name} {settings.get(name)}" for name in differing if name != "digest")


def _last_first(line: Line) -> tuple[bool, float, str]:
    last = list(line.scores.values())[-1]
    value = last.value
    sign = -1 if last.higher_is_better else 1
    return (value is None, 0.0 if value is None else sign * value, line.encoder)
