"""The course of a race: which samples a look embeds, for which encoders, and what each scores on them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from alignbench.embed import runs
from alignbench.errors import ConfigError
from alignbench.experiments.choose.budget import Purse
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.metrics import METRICS
from alignbench.stats.interval import MIN_GROUPS
from alignbench.stats.race import Entry, look_sizes, run_race
from alignbench.stats.splits import stratified_order
from alignbench.stats.verdict import listed
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
        embedded: how many embeddings of images it took, summed over encoders.
        computed: how many of them were computed for it.
        given: how many of them came from arrays; the rest was in the cache.
        whole: how many it would have taken with all encoders on all samples.
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
    computed: int
    given: int
    whole: int
    groups: int
    error: float
    margin: float
    budget: Budget | None


def check_course(bench: Bench) -> None:
    """Check that a race can begin; nothing is embedded.

    Raises:
        ConfigError: there are fewer than two encoders or too few groups of samples for a score with an
            interval, or the budget does not cover the first look.
    """
    names = [encoder.info.label for encoder in bench.encoders]
    if len(names) < 2:
        option = bench.spelled("encoders")
        raise ConfigError(
            f"{option}: a race takes at least two, got {listed(names, 'and')}; name another one"
        )
    groups = bench.dataset.n_groups
    if groups < MIN_GROUPS:
        raise ConfigError(
            f"{bench.spelled('n_samples')}: a race takes at least {MIN_GROUPS} groups of samples, "
            f"got {groups}; take more samples"
        )
    first, budget = look_sizes(groups)[0], bench.option("budget")
    images = len(names) * int((_places(bench) < first).sum())
    if not Purse(budget).allows(images):
        raise ConfigError(
            f"{bench.spelled('budget')}: the first look alone takes {plural(images, 'image')} "
            f"({len(names)} encoders on {first} groups), got {budget.text}; allow at least {images}"
        )


def run_course(bench: Bench, llm: LLM | Custom) -> Course:
    """Return the race of the selected encoders for an LLM; `check_course` says whether it can begin."""
    track = Track(bench, llm)
    error, margin, budget = (bench.option(name) for name in ("error_level", "margin", "budget"))
    groups = bench.dataset.n_groups
    sizes, purse = look_sizes(groups), Purse(budget)

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
        computed=track.computed,
        given=track.given,
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
        computed: how many embeddings of images were computed.
        given: how many came from arrays.
    """

    bench: Bench
    llm: LLM | Custom
    encoders: dict[str, Encoder | Custom] = field(init=False)
    metric: str = field(init=False)
    scores: dict[tuple[str, int], Score] = field(default_factory=dict)
    computed: int = 0
    given: int = 0
    _place: NDArray[np.intp] = field(init=False)
    _known: dict[str, Embeddings] = field(default_factory=dict)
    _rows: NDArray[np.intp] = field(init=False)
    _size: int = 0

    def __post_init__(self) -> None:
        self.encoders = {encoder.info.label: encoder for encoder in self.bench.encoders}
        self.metric = self.bench.option("metric")
        self._place = _places(self.bench)
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
        for name in names:
            encoder = self.encoders[name]
            self.computed += self.bench.missing(encoder, new.tolist())
            self.given += 0 if runs(encoder) else len(new)
            self._embed(encoder, new)
        found: dict[str, Entry | str] = {}
        for name in names:
            scored = self.scores[name, groups] = self._scored(
                name, replace(self.bench.settings, permutations=0)
            )
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
            self.scores[name, self._size] = self._scored(name, self.bench.settings)

    def _scored(self, name: str, settings: Settings) -> Score:
        """Return the score of an encoder in the form that all encoders of the race have."""
        dims = tuple(vectors.dim for vectors in self._known.values())
        of_race = replace(settings, dims=dims)
        return score_pair(METRICS.get(self.metric), self._pair(name), of_race, experiment=EXPERIMENT)

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


def _places(bench: Bench) -> NDArray[np.intp]:
    """Return the place of each sample's group in the order of a race."""
    data = bench.dataset
    return stratified_order(np.asarray(data.groups), np.asarray(data.labels), bench.settings.seed, "race")
