"""What the six tabs compute: the experiments that the benchmarks run, on what was chosen. No metric logic."""

from __future__ import annotations

import itertools
import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from alignbench.encoders import Encoder
from alignbench.experiments import EXPERIMENTS
from alignbench.experiments.attention.scores import Subject, attention, what_it_lacks
from alignbench.experiments.compare import BY_TYPE
from alignbench.experiments.compare.projection import Projection, project
from alignbench.experiments.coral.arrays import covariance_arrays, similarity_arrays
from alignbench.experiments.e2e.retrieval import e2e_scores
from alignbench.experiments.embedding.overlay import overlay_space
from alignbench.experiments.embedding.space import embedding_space
from alignbench.experiments.scoring import Settings, needs_basis, score_pair
from alignbench.experiments.speed import works as speed
from alignbench.experiments.trained import Repeats
from alignbench.llms import LLM
from alignbench.metrics import METRICS
from alignbench.session.selection import Needed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from alignbench.session.options import Options
    from alignbench.session.session import Session
    from alignbench.types import ModelInfo, Pair, Score
    from alignbench.ui.jobs import Job
    from alignbench.ui.models import Loaded
    from alignbench.weights.custom import Custom

M = TypeVar("M", bound="Encoder | LLM | Custom")


@dataclass
class Found:
    """What a study gives.

    Args:
        scores: in the order in which they are shown.
        models: that took part.
        artifacts: (kind, models) -> the arrays of a figure, named as in a run's folder.
    """

    scores: list[Score] = field(default_factory=list)
    models: dict[str, ModelInfo] = field(default_factory=dict)
    artifacts: dict[tuple[str, str], Mapping[str, NDArray[np.generic]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """What a study is made with.

    Args:
        session: the selection, its data and embeddings.
        options: what else was chosen.
        job: is told how far it is.
        loaded: the models that stay in memory.
        image: that was uploaded, with its name.
        prompts: what is looked for in it.
    """

    session: Session
    options: Options
    job: Job[Any]
    loaded: Loaded
    image: tuple[str, Image] | None = None
    prompts: tuple[str, ...] = ()

    @property
    def settings(self) -> Settings:
        """How it scores, as the plugin's `record` does."""
        options = self.options
        return Settings(options.seed, options.permutations, options.basis, options.k)

    @property
    def encoders(self) -> tuple[str, ...]:
        """The chosen encoders by name."""
        return tuple(self.session.encoders)

    @property
    def llms(self) -> tuple[str, ...]:
        """The chosen LLMs by name."""
        return self.session.paired_llms

    def pairs(self, found: Found) -> list[Pair]:
        """Return every encoder with every LLM, and note the models."""
        session = self.session
        vision = [session.vision(session.encoders[name]) for name in self.encoders]
        text = [session.text(session.llms[name]) for name in self.llms]
        found.models |= {side.model.label: side.model for side in (*vision, *text)}
        return [session.pair(x, y) for x in vision for y in text]

    @property
    def among_themselves(self) -> list[Pair]:
        """Each two encoders, then each two LLMs, over the same samples."""
        session = self.session
        vision = [session.vision(session.encoders[name]) for name in self.encoders]
        text = [session.text(session.llms[name]) for name in self.llms]
        return [session.pair(x, y) for side in (vision, text) for x, y in itertools.combinations(side, 2)]

    def sides(self, found: Found) -> list[Pair]:
        """Return every model with itself."""
        pairs = self.pairs(found)
        embeddings = {side.model.label: side for pair in pairs for side in (pair.x, pair.y)}
        vision_first = sorted(embeddings.values(), key=lambda e: e.model.side != "vision")
        return [self.session.pair(side, side) for side in vision_first]


def alignment(study: Study) -> Found:
    """Score how similar both sides are: on all data, by type, by a linear projection, and the composites."""
    found, job = Found(), study.job
    paired, composite = METRICS.names(kind="pair", pairing=True), METRICS.names(kind="composite")
    labelled = METRICS.names(kind="labelled")
    each = len(paired) + len(composite) + len(BY_TYPE) + 1
    count = len(study.encoders) * len(study.llms)
    job.expect(2 + count * each + len(study.encoders) * len(labelled))
    job.step("embedding")
    pairs = study.pairs(found)
    sides = study.sides(found)[: len(study.encoders)]
    job.step("scoring")
    basis = _in_one_basis(study)
    for pair in pairs:
        for metric in paired:
            found.scores.append(_scored(study, metric, pair, "cka", study.settings))
        for metric in composite:
            found.scores.append(_scored(study, metric, pair, "eas", basis))
    for side in sides:
        for metric in labelled:
            found.scores.append(_scored(study, metric, side, "eas", study.settings))
    for pair in pairs:
        _project(study, pair, found)
    for pair in pairs:
        for metric in BY_TYPE:
            study.job.step(f"{metric} by type: {pair.name}")
            found.scores += [
                score_pair(
                    METRICS.get(metric), pair, study.settings, experiment="compare", data_type=data_type
                )
                for data_type in dict.fromkeys(pair.labels)
            ]
    return found


def _project(study: Study, pair: Pair, found: Found) -> None:
    """Train linear projectors and note their held-out error and cosine, as `compare` does."""
    from alignbench.weights.precision import resolve_device

    options = study.options
    study.job.step(f"training {pair.name}, linear")
    how = Projection(
        epochs=options.epochs,
        splits=options.splits,
        seed=options.seed,
        permutations=options.permutations,
        device=resolve_device(options.device),
    )
    scores, curves = project(pair, how)
    found.scores += scores
    if curves:
        found.artifacts["losses-linear", pair.name] = curves


def coral(study: Study) -> Found:
    """Score how alike the distributions of models are, each model alone, and CKA and EAS of every pair."""
    found, job = Found(), study.job
    metrics = METRICS.names(family="coral") + METRICS.names(family="spectra")
    alone = METRICS.names(kind="unary")
    count = len(study.encoders) * len(study.llms)
    couples = math.comb(len(study.encoders), 2) + math.comb(len(study.llms), 2)
    models = len(study.encoders) + len(study.llms)
    job.expect(2 + (count + couples) * len(metrics) + count * _also("coral") + models * len(alone))
    job.step("embedding")
    pairs, sides = study.pairs(found), study.sides(found)
    job.step("finding a basis")
    basis = _in_one_basis(study)
    for pair in [*pairs, *study.among_themselves]:
        arrays = covariance_arrays(pair, basis)
        if arrays is not None:
            found.artifacts["coral", pair.name] = arrays
        for metric in metrics:
            found.scores.append(_scored(study, metric, pair, "coral", basis))
    _score_also(study, "coral", pairs, basis, found)
    for side in sides:
        found.artifacts["similarity", side.x.model.label] = similarity_arrays(side, study.settings)
        for metric in alone:
            found.scores.append(_scored(study, metric, side, "coral", study.settings))
    return found


def embedding(study: Study) -> Found:
    """Lay every model's space out in two dimensions by the chosen methods, and vision over text."""
    found, job, methods = Found(), study.job, study.options.methods
    count = len(study.encoders) * len(study.llms)
    job.expect(1 + (len(study.encoders) + len(study.llms)) * len(methods) + count)
    job.step("embedding")
    pairs = study.pairs(found)
    for side in study.sides(found):
        for method in methods:
            label = side.x.model.label
            job.step(f"{method} of {label}")
            reach = study.options.reach
            space = embedding_space(side, method, study.settings, experiment="embedding", reach=reach)
            found.scores += space.scores
            if space.arrays is not None:
                found.artifacts[f"layout-{method}", label] = space.arrays
    for pair in pairs:
        job.step(f"{pair.x.model.label} over {pair.y.model.label}")
        score, arrays = overlay_space(pair, study.settings, experiment="embedding")
        found.scores.append(score)
        if arrays is not None:
            found.artifacts["overlay", pair.name] = arrays
    return found


def end_to_end(study: Study) -> Found:
    """Train projectors, let held-out images and texts find each other, and score what might predict it."""
    from alignbench.weights.precision import resolve_device

    found, job, options = Found(), study.job, study.options
    draws = 999 if options.permutations is None else options.permutations
    repeats = Repeats(
        options.seed,
        options.splits,
        options.seeds,
        options.epochs,
        draws,
        resolve_device(options.device),
        options.solved_splits,
    )
    job.expect(1 + len(study.encoders) * len(study.llms) * (len(options.losses) + _also("e2e")))
    job.step("embedding")
    pairs = study.pairs(found)
    _score_also(study, "e2e", pairs, _in_one_basis(study), found)
    for pair in pairs:
        for loss in options.losses:
            job.step(f"training {pair.name}, {loss}")
            found.scores += e2e_scores(pair, loss, repeats)
    return found


def maps(study: Study) -> Found:
    """Draw where encoders look and where they find a text, and check the same on drawn scenes."""
    found, settings = Found(), study.settings
    subject = None if study.image is None else Subject((study.image,), study.prompts)
    study.job.expect(len(study.encoders))
    for name in study.encoders:
        encoder = study.session.encoders[name]
        study.job.step(f"looking with {name}")
        found.models[encoder.info.label] = encoder.info

        @contextmanager
        def looking(encoder: Encoder | Custom = encoder) -> Iterator[Encoder]:
            assert isinstance(encoder, Encoder)  # others have no maps, and are not asked for them
            whole = encoder.varied(fit="squash")
            yield study.loaded.get(whole, study.options.device, study.options.dtype)

        scores, arrays = attention(
            encoder, looking, subject=subject, seed=settings.seed, draws=settings.draws
        )
        found.scores += scores
        if arrays is not None:
            found.artifacts["attention", encoder.info.label] = arrays
    return found


def without_maps(study: Study) -> list[str]:
    """Return why encoders can't look for a text, one sentence each."""
    lacks = [what_it_lacks(study.session.encoders[name]) for name in study.encoders]
    return [why["texts"] for why in lacks if "texts" in why]


def timings(study: Study) -> Found:
    """Time decoding, preprocessing, encoders by batch size, and LLMs."""
    from alignbench.experiments.speed.machine import Machine, threads, threads_to_use
    from alignbench.weights.precision import resolve_device

    found, job, session, options = Found(), study.job, study.session, study.options
    machine = Machine(resolve_device(options.device), threads_to_use())
    sizes = options.batch_sizes
    job.expect(1 + len(study.encoders) * (1 + len(sizes)) + len(study.llms))
    data = session.dataset

    def time(what: str, make: Callable[[], speed.Work]) -> None:
        job.step(what)
        with threads(threads_to_use()):
            found.scores += _timed(make(), machine)

    time("decoding images", lambda: speed.decoding(data))
    for name in study.encoders:
        encoder = _held(study, session.encoders[name], found)
        time(f"preprocessing of {name}", partial(speed.preprocessing, encoder, data))
        for size in sizes:
            time(f"{name}, batches of {size}", partial(speed.encoding, encoder, data, size))
    for name in study.llms:
        llm = _held(study, session.llms[name], found)
        time(f"{name}, texts", partial(speed.embedding_texts, llm, data))
    return found


def _held(study: Study, model: M, found: Found) -> M:
    study.job.start(0, f"loading {model.info.label}")
    found.models[model.info.label] = model.info
    if not isinstance(model, Encoder | LLM):
        return model
    # A handle of its own: embedding loads and frees the session's.
    return cast("M", study.loaded.get(model.varied(), study.options.device, study.options.dtype))


def _timed(work: speed.Work, machine: Any) -> Sequence[Score]:
    """Return the scores of a work, timed with the effort of a run of everything."""
    from alignbench.experiments.speed.machine import threads_to_use
    from alignbench.experiments.speed.rounds import Effort, Patience, measure

    if work.call is None:
        return [speed.not_timed(work)]
    how = {"device": machine.device, "threads": threads_to_use()}
    timing = measure(work.call, Effort(seconds=0.3), machine, patience=Patience(1.0, a_timing=0.5))
    scores = speed.timing_scores(work, timing, **how)
    if work.memory:
        scores.append(speed.memory_score(work, machine.peak_memory(work.call), **how))
    return scores


def _also(experiment: str) -> int:
    """Return how many scores of other experiments each pair has beside those of this one."""
    return sum(map(len, EXPERIMENTS.get(experiment).needs.values()))


def _score_also(study: Study, experiment: str, pairs: Sequence[Pair], basis: Settings, found: Found) -> None:
    """Score what the figures of an experiment need of others, filed under those."""
    for pair in pairs:
        for other, metrics in EXPERIMENTS.get(experiment).needs.items():
            for metric in metrics:
                settings = basis if needs_basis(METRICS.get(metric)) else study.settings
                found.scores.append(_scored(study, metric, pair, other, settings))


def _scored(study: Study, metric: str, pair: Pair, experiment: str, settings: Settings) -> Score:
    study.job.step(f"{metric} of {pair.name}")
    return score_pair(METRICS.get(metric), pair, settings, experiment=experiment)


def _in_one_basis(study: Study) -> Settings:
    """Return settings for a shared basis as wide as the narrowest model allows, so that columns compare."""
    settings = study.settings
    if settings.k is not None:
        return settings
    return replace(settings, dims=study.session.dims(Needed(study.encoders, study.llms)))
