"""The course of a race: which samples a look embeds, for which encoders, and what each scores on them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import ConfigError, InputError
from alignbench.experiments.choose.budget import Purse
from alignbench.experiments.scoring import score_pair
from alignbench.metrics import METRICS
from alignbench.stats.race import Entry, look_sizes, run_race
from alignbench.stats.splits import stratified_order
from alignbench.types import Embeddings, Pair
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.encoders import Encoder
    from alignbench.experiments.base import Bench
    from alignbench.experiments.choose.budget import Budget
    from alignbench.llms import LLM
    from alignbench.stats.race import Race
    from alignbench.types import Score
    from alignbench.weights.custom import Custom

EXPERIMENT = "choose"
NO_INTERVAL = "its score does not exist without some of the samples, so that it has no interval"


@dataclass(frozen=True)
class Course:
    """A race with its scores.

    Args:
        race: the looks and the decisions.
        metric: the metric that decided.
        llm: the label of the LLM.
        scores: (label of an encoder, number of groups) -> its score at that look.
        embedded: how many images were embedded, summed over encoders.
        whole: how many it would have been with all encoders on all samples.
        groups: the number of groups of all samples.
        error: the declared probability of dropping the best.
        margin: the declared margin.
        budget: the declared budget; None without one.
    """

    race: Race
    metric: str
    llm: str
    scores: Mapping[tuple[str, int], Score]
    embedded: int
    whole: int
    groups: int
    error: float
    margin: float
    budget: Budget | None


def run_course(bench: Bench, llm: LLM | Custom) -> Course:
    """Return the race of the selected encoders for an LLM.

    Raises:
        ConfigError: there are fewer than two encoders, or the budget does not cover the first look.
        InputError: there are too few groups of samples for a score with an interval.
    """
    track = Track(bench, llm)
    error, margin, budget = (bench.option(name) for name in ("error_level", "margin", "budget"))
    if len(track.encoders) < 2:
        names = ", ".join(track.encoders)
        raise ConfigError(f"a race takes at least two encoders, got {names}: name more with --encoders")
    groups = bench.dataset.n_groups
    try:
        sizes = look_sizes(groups)
    except InputError as problem:
        raise InputError(f"{problem} (--n-samples)") from problem
    purse = Purse(budget)
    first = len(track.encoders) * track.images(sizes[0])
    if not purse.allows(first):
        raise ConfigError(
            f"a budget of {budget.text}: the first look alone embeds {plural(first, 'image')} "
            f"({len(track.encoders)} encoders on {sizes[0]} groups)"
        )

    def affordable(names: Sequence[str], size: int) -> bool:
        return purse.allows(len(names) * track.new_images(size))

    def score(names: Sequence[str], size: int) -> dict[str, Entry | str]:
        purse.spend(len(names) * track.new_images(size))
        return track.look(names, size)

    race = run_race(
        list(track.encoders),
        sizes,
        score,
        error=error,
        margin=margin,
        higher_is_better=METRICS.get(track.metric).higher_is_better,
        affordable=affordable,
    )
    track.compare_with_shuffled(race.survivors)
    return Course(
        race=race,
        metric=track.metric,
        llm=llm.info.label,
        scores=track.scores,
        embedded=purse.embedded,
        whole=len(track.encoders) * len(bench.dataset),
        groups=groups,
        error=error,
        margin=margin,
        budget=budget,
    )


@dataclass
class Track:
    """The samples of a race in their order, and what has been embedded of them so far.

    Args:
        bench: the bench of the run.
        llm: the LLM.
        encoders: label -> encoder.
        metric: the metric that decides.
        scores: (label of an encoder, number of groups) -> its score.
    """

    bench: Bench
    llm: LLM | Custom
    encoders: dict[str, Encoder | Custom] = field(init=False)
    metric: str = field(init=False)
    scores: dict[tuple[str, int], Score] = field(default_factory=dict)
    _place: NDArray[np.intp] = field(init=False)
    _known: dict[str, Embeddings] = field(default_factory=dict)
    _rows: NDArray[np.intp] = field(init=False)
    _size: int = 0

    def __post_init__(self) -> None:
        data = self.bench.dataset
        self.encoders = {encoder.info.label: encoder for encoder in self.bench.encoders}
        self.metric = self.bench.option("metric")
        self._place = stratified_order(
            np.asarray(data.groups), np.asarray(data.labels), self.bench.settings.seed, "race"
        )
        self._rows = np.empty(0, dtype=np.intp)

    def images(self, groups: int) -> int:
        """Return how many images the first so many groups have."""
        return int((self._place < groups).sum())

    def new_images(self, groups: int) -> int:
        """Return how many of them no look has had so far."""
        return self.images(groups) - len(self._rows)

    def look(self, names: Sequence[str], groups: int) -> dict[str, Entry | str]:
        """Return the scores of these encoders on the first so many groups, and embed what is new in these."""
        new = np.flatnonzero((self._place >= self._size) & (self._place < groups))
        self._rows, self._size = np.concatenate([self._rows, new]), groups
        self._embed(self.llm, new)
        metric, settings = METRICS.get(self.metric), replace(self.bench.settings, permutations=0)
        found: dict[str, Entry | str] = {}
        for name in names:
            self._embed(self.encoders[name], new)
            scored = score_pair(metric, self._pair(name), settings, experiment=EXPERIMENT)
            self.scores[name, groups] = scored
            if scored.value is None:
                found[name] = str(scored.reason)
            elif not scored.deletions:
                found[name] = NO_INTERVAL
            else:
                found[name] = Entry(scored.value, scored.deletions)
        return found

    def compare_with_shuffled(self, names: Sequence[str]) -> None:
        """Compute the null of the last scores of these encoders."""
        for name in names:
            self.scores[name, self._size] = self.bench.score(self.metric, self._pair(name))

    def _embed(self, model: Encoder | LLM | Custom, rows: NDArray[np.intp]) -> None:
        vectors, key = self.bench.embedded(model, rows.tolist()), f"{model.info.side} {model.info.label}"
        if (known := self._known.get(key)) is not None:
            values = np.concatenate([known.values, vectors.values])
            vectors = Embeddings(vectors.model, values, (*known.ids, *vectors.ids))
        self._known[key] = vectors

    def _pair(self, name: str) -> Pair:
        data = self.bench.dataset
        return Pair(
            self._known[f"vision {name}"],
            self._known[f"text {self.llm.info.label}"],
            tuple(data.labels[row] for row in self._rows),
            tuple(data.groups[row] for row in self._rows),
            data.label,
        )
