"""The state of one run: what was selected, the data, and the embeddings as they become known."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from alignbench.datasets.dataset import normalised
from alignbench.errors import ConfigError, DataError
from alignbench.llms import LLM
from alignbench.session.attempts import Attempts
from alignbench.session.held import Held
from alignbench.types import Embeddings, Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from alignbench.datasets import Dataset
    from alignbench.embed import Embedder, EmbeddingStore, Progress
    from alignbench.embed.models import Output
    from alignbench.encoders import Encoder
    from alignbench.experiments.attention.scores import Subject
    from alignbench.llms.base import CausalLM
    from alignbench.session.options import Options
    from alignbench.session.selection import Needed
    from alignbench.types import Layers, ModelInfo, Patches, Score
    from alignbench.weights.arrays import ArrayFile
    from alignbench.weights.custom import Custom

M = TypeVar("M", bound="Encoder | LLM | Custom")


@dataclass
class Session:
    """The selection of a run and what it has embedded so far.

    Args:
        options: what the user asked for.
        encoders: the selected encoders by the name that was asked for, in that order.
        llms: the same for the LLMs, those of `compared_llms` included.
        progress: draws the progress of long work; None is silent.
        loads: (model, seconds, purpose) of every load of weights, until somebody takes them; the purpose is
            "embedding" or "timing".
        patched: the names of the encoders whose patches the collected tests use: they are embedded with the
            same load of weights as the images.
        layered: whether the collected tests use hidden layers; likewise.
    """

    options: Options
    encoders: Mapping[str, Encoder | Custom]
    llms: Mapping[str, LLM | Custom]
    progress: Progress | None = None
    loads: list[tuple[str, float, str]] = field(default_factory=list)
    patched: frozenset[str] = frozenset()
    layered: bool = False
    _vectors: dict[tuple[str, str], Embeddings] = field(default_factory=dict)
    _layers: dict[tuple[str, str], Layers] = field(default_factory=dict)
    _varied: dict[tuple[str, ...], Embeddings] = field(default_factory=dict)
    _attempts: Attempts = field(default_factory=Attempts)
    _held: Held = field(default_factory=Held)
    _head: Held = field(default_factory=Held)
    _causal: dict[str, CausalLM] = field(default_factory=dict)

    @classmethod
    def from_options(cls, options: Options) -> Session:
        """Resolve every name, without looking for weights.

        Raises:
            UnknownNameError: a name that no registry knows.
            ConfigError: two models with one name.
        """
        from alignbench import encoders, llms

        image_settings: dict[str, Any] = {
            "pooling": options.pooling,
            "layer": options.layer,
            "fit": options.fit,
            "l2": options.l2,
            "standins": options.standins,
            "allow_pickle": options.allow_pickle,
        }
        text_settings: dict[str, Any] = {
            "layer": options.llm_layer,
            "l2": options.l2,
            "quantization": options.quantize,
            "standins": options.standins,
            "allow_pickle": options.allow_pickle,
        }
        sources = options.config
        vision = [encoders.resolve(s, sources=sources.encoders, **image_settings) for s in options.encoders]
        specs = dict.fromkeys((*options.llms, *options.compared_llms))
        text = [llms.resolve(s, sources=sources.llms, **text_settings) for s in specs]
        named = cls(options, _by_name(vision), _by_name(text))
        if both := sorted(set(named.encoders) & set(named.llms)):
            raise ConfigError(f"an encoder and an LLM are both called {both[0]!r}; give one an alias")
        for option, file in (("--align-labels", options.labels), ("--align-groups", options.groups)):
            if file is not None and not named.rows:
                raise ConfigError(
                    f"{option}: it is for rows of arrays; here the data has its own: leave it out, or take "
                    "npy: for all --encoders and --llms and name no data"
                )
        return named

    @cached_property
    def rows(self) -> tuple[ArrayFile, ...]:
        """The arrays whose rows are the samples: where all models are arrays and no data is named."""
        from alignbench.weights.arrays import array_file

        files = [array_file(model) for model in (*self.encoders.values(), *self.llms.values())]
        found = tuple(file for file in files if file is not None)
        return () if self.options.names_data or len(found) < len(files) else found

    @property
    def paired_llms(self) -> tuple[str, ...]:
        """The LLMs that encoders are paired with; `llms` may hold more, to be compared with each other."""
        return tuple(self.llms)[: len(self.options.llms)]

    @cached_property
    def dataset(self) -> Dataset:
        """The samples of the run, one row an image.

        Raises:
            DataError: no data, or nothing in it that can be used.
        """
        with self._attempts.attempt("dataset"):
            return self._rows_dataset() if self.rows else self._read_dataset()

    def _read_dataset(self) -> Dataset:
        from alignbench.datasets import load_dataset

        options = self.options
        dataset = load_dataset(
            options.dataset,
            n_per_type=options.n_samples,
            types=options.data_types,
            seed=options.seed,
            root=options.data_root,
            text_field=options.text_field,
            config=options.config,
        )
        if not len(dataset):
            why = (
                f"; the first: {dataset.dropped[0].where}: {dataset.dropped[0].reason}"
                if dataset.dropped
                else ""
            )
            raise DataError(
                f"{dataset.name} ({dataset.origin}): {len(dataset.dropped)} rows were refused{why}"
            )
        return dataset

    def _rows_dataset(self) -> Dataset:
        """Return the rows of the arrays as the samples, with types and groups where files give them."""
        from alignbench.datasets.arrays import read_labels, rows_dataset

        options, first = self.options, self.rows[0]
        for other in self.rows:
            if other.rows != first.rows:
                raise DataError(
                    f"{other.name}: {other.source}: {other.rows} rows; expected {first.rows}, one for each "
                    f"row of {first.source}: no data was named, so row i of all arrays is one sample"
                )
        origin = f"the rows of {first.source}: no data was named"
        origin += "" if options.labels is None else f"; labels from {options.labels.name}"
        origin += f"; groups from {self._groups_from}" if options.groups is not None else ""
        return rows_dataset(
            first.rows,
            origin,
            labels=None if options.labels is None else read_labels(options.labels, first.rows),
            groups=self._groups_of_rows(first.rows),
            types=options.data_types,
            n_per_type=options.n_samples if options.n_samples_given else None,
            seed=options.seed,
        )

    @property
    def _groups_from(self) -> str:
        groups = self.options.groups
        return groups.name if isinstance(groups, Path) else "equal rows"

    def _groups_of_rows(self, n: int) -> tuple[str, ...] | None:
        from alignbench.datasets.arrays import read_groups
        from alignbench.datasets.copies import groups_of_rows

        groups = self.options.groups
        if isinstance(groups, Path):
            return read_groups(groups, n)
        return None if groups is None else groups_of_rows({f.source: f.values() for f in self.rows})

    @cached_property
    def copies(self) -> tuple[str, ...]:
        """What a user has to know of arrays whose rows are copies that count as samples of their own."""
        from alignbench.datasets.arrays import rows_of
        from alignbench.datasets.copies import ROWS, repeats, told
        from alignbench.weights.arrays import array_file

        groups = tuple(sample.group for sample in self.dataset.samples)
        way_out = (
            f"Give groups: --align-groups FILE, one a row; --align-groups {ROWS} makes equal rows one group."
            if self.rows
            else "The data has them as samples of their own: look how the array was made."
        )
        found = []
        for file in filter(None, map(array_file, (*self.encoders.values(), *self.llms.values()))):
            if again := repeats(file.values()[rows_of(self.dataset, file.rows)], groups):
                found.append(told(file.source, again, len(groups), way_out))
        return tuple(found)

    def flags_of(self, score: Score) -> tuple[str, ...]:
        """Return what a score is flagged with because of the data that it is of."""
        from alignbench.datasets.copies import REPEATED

        of_arrays = "arrays" in score.weights.values()
        return (REPEATED,) if of_arrays and self.copies else ()

    @cached_property
    def store(self) -> EmbeddingStore:
        """Where embeddings are kept: the user's cache, or a place that lasts for the run."""
        from alignbench.embed import EmbeddingStore, default_root

        if not self.options.embedding_cache:
            return EmbeddingStore(None)
        return EmbeddingStore(self.options.cache_dir or default_root())

    @property
    def embedder(self) -> Embedder:
        """What embeds the data of the run as the options say."""
        from alignbench.embed import Embedder, Silent

        return Embedder(
            self.store,
            self.options.device,
            self.options.dtype,
            self.options.batch_size,
            progress=self.progress or Silent(),
            on_load=self._loaded_for("embedding"),
        )

    def vision(self, encoder: Encoder | Custom) -> Embeddings:
        """Return an encoder's embeddings of the images; its weights are loaded on a cache miss only."""
        return self._remembered(
            encoder.info,
            lambda: self.embedder.images(encoder, self.dataset, beside=self._beside(encoder)),
        )

    def runs(self, model: Encoder | LLM | Custom) -> bool:
        """Whether there is a model to be run and timed: not of arrays."""
        from alignbench.embed import runs

        return runs(model)

    def _beside(self, encoder: Encoder | Custom) -> list[Output]:
        """Return what the collected tests use of an encoder beside its embeddings."""
        patched = any(self.encoders.get(name) is encoder for name in self.patched)
        wanted: dict[Output, bool] = {"patches": patched, "layers": self.layered}
        return [output for output, used in wanted.items() if used]

    def has_patches(self, encoder: Encoder | Custom) -> bool:
        """Whether the encoder gives a vector a patch."""
        from alignbench.weights.protocols import gives_patches

        return gives_patches(encoder)

    def patches(self, encoder: Encoder | Custom) -> Patches:
        """Return an encoder's patch embeddings of the images; its weights are loaded on a cache miss only."""
        label = encoder.info.label
        with self._attempts.attempt("patches", label, model=label):
            self.release()
            return self.embedder.patches(encoder, self.dataset)

    def text(self, llm: LLM | Custom) -> Embeddings:
        """Return an LLM's embeddings of the texts; its weights are loaded on a cache miss only."""
        # LLMs that are only compared with each other have no layers to compare.
        with_layers = self.layered and any(self.llms[name] is llm for name in self.paired_llms)
        beside: list[Output] = ["layers"] if with_layers else []
        return self._remembered(llm.info, lambda: self.embedder.texts(llm, self.dataset, beside=beside))

    def varied(self, model: Encoder | LLM, **changes: Any) -> Embeddings:
        """Return a model's embeddings under other options; its weights are loaded on a cache miss only."""
        key = (model.info.side, model.info.label, *map(str, sorted(changes.items())))
        if key not in self._varied:
            with self._attempts.attempt("varied", *key, model=model.info.label):
                self.release()
                other = model.varied(**changes)
                self._varied[key] = (
                    self.embedder.texts(other, self.dataset)
                    if isinstance(other, LLM)
                    else self.embedder.images(other, self.dataset)
                )
        return self._varied[key]

    def layers(self, model: Encoder | LLM | Custom) -> Layers:
        """Return every hidden layer of a model; its weights are loaded on a cache miss only.

        Raises:
            LayersMissingError: it gives none.
        """
        key = (model.info.side, model.info.label)
        if key not in self._layers:
            with self._attempts.attempt("layers", *key, model=model.info.label):
                self.release()
                self._layers[key] = self.embedder.layers(model, self.dataset)
        return self._layers[key]

    def head(self, llm: LLM) -> CausalLM:
        """Return an LLM with its head in memory, until another one is asked for or `release_head` is called.

        On a CPU it is in float32, in which small models train fastest.
        """
        from alignbench.weights.precision import resolve_device

        options, label = self.options, llm.info.label
        causal = self._causal.setdefault(label, llm.with_head())
        cpu = options.dtype == "auto" and resolve_device(options.device) == "cpu"
        dtype = "float32" if cpu else options.dtype
        self._head.hold(causal, options.device, dtype, self._loaded_for("embedding"))
        return causal

    def release_head(self) -> None:
        """Free the LLM that is held with its head."""
        self._head.release()

    @cached_property
    def subject(self) -> Subject:
        """The user's images and prompts, of which maps are drawn."""
        from alignbench.datasets.images import open_image
        from alignbench.experiments.attention.scores import Subject

        images = tuple((path.name, open_image(path)) for path in self.options.images)
        return Subject(images, self.options.prompts)

    @contextmanager
    def looking(self, encoder: Encoder) -> Iterator[Encoder]:
        """Hold an encoder in memory that sees whole images: squashed to its input size, nothing cropped."""
        from alignbench.embed.models import loaded

        self.release()
        options, on_load = self.options, self._loaded_for("embedding")
        whole, label = encoder.varied(fit="squash"), encoder.info.label
        with ExitStack() as stack:
            with self._attempts.attempt("whole images", label, model=label):
                stack.enter_context(loaded(whole, label, options.device, options.dtype, on_load, "vision"))
            yield whole

    def pair(self, x: Embeddings, y: Embeddings) -> Pair:
        """Return two models' embeddings of the same samples, with the samples' types and groups."""
        samples = self.dataset.samples
        return Pair(
            x,
            y,
            labels=tuple(sample.data_type for sample in samples),
            groups=tuple(sample.group for sample in samples),
            dataset=self.dataset.label,
            images=tuple(sample.image_digest for sample in samples if sample.texts),
            texts=tuple(normalised(sample.text) for sample in samples if sample.texts),
        )

    def all_embeddings(self, needed: Needed) -> dict[str, Embeddings]:
        """Return the embeddings of these models by name."""
        vision = {name: self.vision(self.encoders[name]) for name in needed.vision}
        return vision | {name: self.text(self.llms[name]) for name in needed.text}

    def dims(self, needed: Needed) -> tuple[int, ...]:
        """Return the widths of these models, but for those that can't embed: they have no scores."""
        found = []
        for side, names in (("vision", needed.vision), ("text", needed.text)):
            for name in names:
                with suppress(Exception):  # its own tests report it
                    vectors = (
                        self.vision(self.encoders[name]) if side == "vision" else self.text(self.llms[name])
                    )
                    found.append(vectors.dim)
        return tuple(found)

    def hold(self, model: M) -> M:
        """Return the model in memory, for tests that time it; one at a time.

        Raises:
            ModelError: it can't be loaded; another test does not try again.
        """
        options = self.options
        self._held.hold(model, options.device, options.dtype, self._loaded_for("timing"))
        return model

    def release(self) -> None:
        """Free the model that is held in memory."""
        self._held.release()

    def take_loads(self) -> list[tuple[str, float, str]]:
        """Return the loads since the last call, and forget them."""
        taken, self.loads = self.loads, []
        return taken

    def _remembered(self, info: ModelInfo, embed: Callable[[], Embeddings]) -> Embeddings:
        key = (info.side, info.label)
        if key not in self._vectors:
            with self._attempts.attempt("vectors", *key, model=info.label):
                self.release()  # one model in memory at a time, and embedding frees the one that it loads
                self._vectors[key] = embed()
        return self._vectors[key]

    def _loaded_for(self, purpose: str) -> Callable[[str, float], None]:
        return lambda model, seconds: self.loads.append((model, seconds, purpose))


def _by_name(models: Iterable[M]) -> dict[str, M]:
    """Return the models by the name that was asked for; a stand-in's is that of what it stands in for."""
    named: dict[str, M] = {}
    for model in models:
        name = model.info.stand_in_for or model.info.name
        if name in named:
            raise ConfigError(
                f"two {model.info.side} models are called {name!r}; "
                f"give one an alias: other-name={model.info.source}"
            )
        named[name] = model
    return named
