"""The bench of a session: what the computation of a cell can ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from alignbench.datatypes import ALL
from alignbench.encoders import Encoder
from alignbench.experiments import defaults_of
from alignbench.experiments.base import NotApplicableError
from alignbench.experiments.scoring import Settings, needs_basis, score_pair
from alignbench.llms import LLM
from alignbench.metrics import METRICS
from alignbench.stats.streamed import streams
from alignbench.types import ModelInfo
from alignbench.weights.precision import resolve_device
from alignbench.weights.protocols import gives_patches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from alignbench.datasets import Dataset
    from alignbench.experiments.attention.scores import Subject
    from alignbench.hidden import Layers, Patches
    from alignbench.llms.base import CausalLM
    from alignbench.metrics import Metric
    from alignbench.session.workbench import Workbench
    from alignbench.types import Embeddings, Pair, Score
    from alignbench.weights.custom import Custom


@dataclass(frozen=True)
class SessionBench:
    """The `Bench` of a session; see `alignbench.experiments.base`.

    Args:
        session: the options, data and models.
        experiment: the experiment that scores are filed under.
        dims: returns the widths of all models that are scored; it may have to embed with them.
    """

    session: Workbench
    experiment: str
    dims: Callable[[], tuple[int, ...]]

    def option(self, name: str, default: object = None) -> Any:
        """Return the value that the run gives to an option, else its default in the experiment."""
        defaults = defaults_of(self.experiment) if default is None else {name: default}
        return self.session.options.with_defaults(defaults)[name]

    def is_given(self, name: str) -> bool:
        """Whether the user set the option."""
        return self.session.options.is_given(name)

    def spelled(self, name: str) -> str:
        """Return an option's name as the user writes it."""
        return self.session.options.spelled(name)

    @property
    def dataset(self) -> Dataset:
        """The samples of the run."""
        return self.session.dataset

    @cached_property
    def settings(self) -> Settings:
        """The settings of the run's scores, without those of a shared basis."""
        options = self.session.options
        device = resolve_device(options.device)
        return Settings(options.seed, options.permutations, options.basis, options.k, device=device)

    @cached_property
    def basis_settings(self) -> Settings:
        """The settings of scores in a shared basis, which is as wide as the run's narrowest model allows."""
        return self.settings if self.session.options.k else replace(self.settings, dims=self.dims())

    @cached_property
    def subject(self) -> Subject | None:
        """The user's images and prompts."""
        return self.session.subject

    def score(self, metric: str | Metric, pair: Pair, *, data_type: str = ALL, **params: Any) -> Score:
        """Return a metric of a pair with null and interval, filed under the experiment."""
        known = METRICS.get(metric)
        settings = self.basis_settings if needs_basis(known) else self.settings
        if streams(known, pair.n_groups):  # for all models of the run or for none, whatever k is
            settings = replace(settings, dims=self.dims())
        return score_pair(known, pair, settings, experiment=self.experiment, data_type=data_type, **params)

    def pair_of(self, encoder: Encoder | Custom, llm: LLM | Custom) -> Pair:
        """Return the embeddings of an encoder and an LLM over the same samples."""
        return self.session.pair(self.session.vision(encoder), self.session.text(llm))

    @property
    def encoders(self) -> Sequence[Encoder | Custom]:
        """The selected encoders."""
        return tuple(self.session.encoders.values())

    def embedded(self, model: Encoder | LLM | Custom, rows: Sequence[int]) -> Embeddings:
        """Return a model's embeddings of these samples."""
        return self.session.embedded(model, rows)

    def missing(self, model: Encoder | LLM | Custom, rows: Sequence[int]) -> int:
        """Return how many of a model's embeddings of these samples would have to be computed."""
        return self.session.embedder.count_missing(model, self.session.dataset.of_rows(rows))

    def filed_under(self, experiment: str) -> SessionBench:
        """Return the bench of another experiment."""
        return replace(self, experiment=experiment)

    def encoder(self, spec: str) -> Encoder | Custom:
        """Return the encoder that a spec names, with the options of the run."""
        return self.session.further(spec)

    def pairs(self) -> Sequence[Pair]:
        """Return the embeddings of every selected encoder with every selected LLM."""
        session = self.session
        return [session.pair(encoder, llm) for encoder in session.encoders for llm in session.paired_llms]

    def patches(self, encoder: Encoder | Custom | ModelInfo, most: int | None = None) -> Patches:
        """Return the patch embeddings of a selected encoder, or their averages over at most `most` cells."""
        if isinstance(encoder, ModelInfo):
            label = encoder.label
            encoder = next(known for known in self.session.encoders.values() if known.info.label == label)
        _check_patches(encoder)
        return self.session.patches(encoder, most)

    def patches_of(self, encoder: Encoder | Custom, images: Dataset) -> Patches:
        """Return an encoder's patch embeddings of other images, squashed to its input and not cropped."""
        _check_patches(encoder)
        self.session.release()  # so that one model is in memory at a time
        whole = encoder.varied(fit="squash") if isinstance(encoder, Encoder) else encoder
        return self.session.embedder.patches(whole, images)

    def layers(self, model: Encoder | LLM | Custom) -> Layers:
        """Return the pooled hidden layers of a model."""
        return self.session.layers(model)

    def varied(self, model: Encoder | LLM, **changes: Any) -> Embeddings:
        """Return a model's embeddings under other options."""
        return self.session.varied(model, **changes)

    def looking(self, encoder: Encoder) -> AbstractContextManager[Encoder]:
        """Keep an encoder in memory, during the block, that sees whole images."""
        return self.session.looking(encoder)

    def head(self, llm: LLM | Custom) -> Callable[[], CausalLM]:
        """Return a function that loads an LLM with its head and returns it."""
        if not isinstance(llm, LLM):
            raise NotApplicableError(
                f"{llm.info.label} gives embeddings only: a VLM needs an LLM's weights, with its head"
            )
        return lambda: self.session.head(llm)


def _check_patches(encoder: Encoder | Custom) -> None:
    has_patches: bool = gives_patches(encoder)
    if not has_patches:
        why = getattr(encoder, "no_patches", "")
        raise NotApplicableError(f"{encoder.info.label} gives no patch embeddings{f': {why}' if why else ''}")
