"""The part of a session without experiments: its options, models, data and embeddings."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

from alignbench.datasets.dataset import NO_TEXTS, Dataset, normalised
from alignbench.encoders import Encoder
from alignbench.errors import ConfigError, UnknownNameError
from alignbench.experiments.base import NotApplicableError
from alignbench.llms import LLM
from alignbench.registry import unknown
from alignbench.session.attempts import Attempts
from alignbench.session.data import nonempty, read_data, with_data
from alignbench.session.models import M, ModelPool, model_named, resolve_encoder, resolve_models
from alignbench.session.options import Options
from alignbench.session.slot import ModelSlot
from alignbench.types import Embeddings, Pair
from alignbench.weights.family import UNTESTED
from alignbench.weights.handle import Handle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from alignbench.embed import Embedder, EmbeddingStore, Progress
    from alignbench.embed.models import Output
    from alignbench.executors import Executor
    from alignbench.experiments.attention.scores import Subject
    from alignbench.hidden import Layers, Patches
    from alignbench.llms.base import CausalLM
    from alignbench.session.selection import ModelNames
    from alignbench.types import ModelInfo, Score
    from alignbench.weights.arrays import ArrayFile
    from alignbench.weights.custom import Custom


class Workbench:
    """The chosen encoders, LLMs and data, with the embeddings that have been computed; see `Session`."""

    def __init__(
        self,
        options: Options | None = None,
        *,
        encoders: Sequence[str] | str | None = None,
        llms: Sequence[str] | str | None = None,
        data: Dataset | str | Path | None = None,
        n_samples: int | Literal["all"] | None = None,
        seed: int | None = None,
        **others: Any,
    ) -> None:
        named = {"encoders": encoders, "llms": llms, "n_samples": n_samples, "seed": seed, **others}
        if options is None:
            options = Options(with_data(named, data), spell=lambda option: option.name)
        elif wrong := [name for name, value in {**named, "data": data}.items() if value is not None]:
            raise ConfigError(f"{wrong[0]}: set it in the `options` that were passed, which hold all options")
        self.options = options
        if options.executor == "ray" and options.device.startswith("cuda:"):
            raise ConfigError(
                f"{options.spelled('device')}: Ray gives each worker a GPU of its own: leave out the number, "
                f"or work without Ray ({options.spelled('executor')} local)"
            )
        self.encoders, self.llms = resolve_models(options)
        self.progress: Progress | None = None
        self.loads: list[tuple[str, float, str]] = []
        self.patched: frozenset[str] = frozenset()
        self.layered = False
        self.pool: ModelPool | None = None
        self._further: dict[str, Encoder | Custom] = {}
        self._vectors: dict[tuple[str, str], Embeddings] = {}
        self._layers: dict[tuple[str, str], Layers] = {}
        self._varied: dict[tuple[str, ...], Embeddings] = {}
        self._attempts = Attempts()
        self._timed = ModelSlot()
        self._head = ModelSlot()
        self._causal: dict[str, CausalLM] = {}
        self._data = nonempty(data) if isinstance(data, Dataset) else None
        for name in ("labels", "groups"):
            if options.is_given(name) and not self.rows:
                both = f"{options.spelled('encoders')} and {options.spelled('llms')}"
                raise ConfigError(
                    f"{options.spelled(name)}: it is for rows of arrays, and this data has its own {name}: "
                    f"leave it out, or use npy: for all {both} and name no data"
                )

    @cached_property
    def rows(self) -> tuple[ArrayFile, ...]:
        """The arrays whose rows are the samples, if all models are arrays and no data is named."""
        names_data = self._data is not None or self.options.names_data
        models = len(self.encoders) + len(self.llms)
        return () if names_data or len(self._arrays) < models else self._arrays

    @cached_property
    def _arrays(self) -> tuple[ArrayFile, ...]:
        """The files of those models that are arrays."""
        from alignbench.weights.arrays import array_file

        return tuple(filter(None, map(array_file, (*self.encoders.values(), *self.llms.values()))))

    @property
    def paired_llms(self) -> tuple[str, ...]:
        """The LLMs that encoders are paired with; `llms` may have more, for comparisons among LLMs."""
        return tuple(self.llms)[: len(self.options.llms)]

    def further(self, spec: str) -> Encoder | Custom:
        """Return the encoder that a spec names, which need not be selected; the same object for each spec.

        Raises:
            AlignbenchError: the spec can't be used, or nothing has that name.
        """
        if spec not in self._further:
            self._further[spec] = resolve_encoder(spec, self.options)
        return self._further[spec]

    @cached_property
    def dataset(self) -> Dataset:
        """The samples of the run, one row per image.

        Raises:
            DataError: there is no data, or nothing in it can be used.
        """
        with self._attempts.attempt("dataset"):
            return self._data or read_data(self.options, self.rows)

    def lacks(self, models: Iterable[str]) -> str:
        """Return what the data lack for a computation with these models; "" if they have all.

        Args:
            models: the names of encoders and LLMs.

        Raises:
            DataError: see `dataset`; it is read if an LLM has to embed its texts.
        """
        from alignbench.embed import runs

        reads = any(name in self.llms and runs(self.llms[name]) for name in models)
        return NO_TEXTS if reads and not self.dataset.has_texts else ""

    @cached_property
    def copies(self) -> tuple[str, ...]:
        """Warnings of arrays in which several rows are equal although each is a sample of its own."""
        from alignbench.datasets.arrays import rows_of
        from alignbench.datasets.copies import ROWS, copies_of

        option = self.options.spelled("groups")
        advice = (
            f"Give groups: {option} FILE, one per row; {option} {ROWS} makes equal rows one group."
            if self.rows
            else "The data has them as separate samples: check how the array was made."
        )
        arrays = ((file.source, file.values()[rows_of(self.dataset, file.rows)]) for file in self._arrays)
        return tuple(copies_of(arrays, self.dataset.groups, advice))

    def flags_of(self, score: Score) -> tuple[str, ...]:
        """Return the flags that a score gets because of its data and of its models."""
        from alignbench.datasets.copies import REPEATED

        models = (*self.encoders.values(), *self.llms.values())
        untested = any(
            isinstance(model, Handle) and model.untested
            for model in models
            if model.info.label in score.weights
        )
        of_arrays = "arrays" in score.weights.values()
        return (*((REPEATED,) if of_arrays and self.copies else ()), *((UNTESTED,) if untested else ()))

    @cached_property
    def store(self) -> EmbeddingStore:
        """The store of embeddings: the user's cache, or memory for this run only."""
        from alignbench.embed import EmbeddingStore, default_root

        if not self.options.embedding_cache:
            return EmbeddingStore(None)
        return EmbeddingStore(self.options.cache_dir or default_root())

    @property
    def embedder(self) -> Embedder:
        """An embedder with the options of the run."""
        from alignbench.embed import Embedder, SilentProgress

        return Embedder(
            self.store,
            self.options.device,
            self.options.dtype,
            self.options.batch_size,
            progress=self.progress or SilentProgress(),
            on_load=self._loaded_for("embedding"),
            shard_rows=self.options.shards,
            elsewhere=self.executor,
        )

    @cached_property
    def executor(self) -> Executor | None:
        """The workers that embed shards of the data; None if this process does."""
        if self.options.executor == "local":
            return None
        from alignbench.executors.on_ray import RayExecutor

        return RayExecutor(gpu=self.options.device in ("auto", "cuda"))

    def vision(self, encoder: str | Encoder | Custom) -> Embeddings:
        """Return an encoder's embeddings of the images; its weights are loaded on a cache miss only.

        Args:
            encoder: one of the selected encoders, or its name.
        """
        encoder = model_named(encoder, self.encoders, "encoder")
        return self._remembered(
            encoder.info,
            lambda: self.embedder.images(encoder, self.dataset, beside=self._beside(encoder)),
        )

    def _beside(self, encoder: Encoder | Custom) -> list[Output]:
        """Return which further outputs of an encoder the run uses."""
        patched = any(self.encoders.get(name) is encoder for name in self.patched)
        wanted: dict[Output, bool] = {"patches": patched, "layers": self.layered}
        return [output for output, used in wanted.items() if used]

    def patches(self, encoder: Encoder | Custom, most: int | None = None) -> Patches:
        """Return an encoder's patch embeddings of the images; its weights are loaded on a cache miss only.

        Args:
            encoder: one of the selected encoders.
            most: average them over a grid of at most this many cells an image; None for the patches.
        """
        label = encoder.info.label
        with self._attempts.attempt("patches", label, model=label):
            self.release()
            return self.embedder.patches(encoder, self.dataset, most)

    def text(self, llm: str | LLM | Custom) -> Embeddings:
        """Return an LLM's embeddings of the texts; its weights are loaded on a cache miss only.

        Args:
            llm: one of the selected LLMs, or its name.

        Raises:
            NotApplicableError: the data have no texts, and its vectors do not come from a file.
        """
        llm = model_named(llm, self.llms, "LLM")
        if lacking := self.lacks(name for name, known in self.llms.items() if known is llm):
            raise NotApplicableError(lacking)
        # LLMs that are only compared with each other have no layers to compare.
        with_layers = self.layered and any(self.llms[name] is llm for name in self.paired_llms)
        beside: list[Output] = ["layers"] if with_layers else []
        return self._remembered(llm.info, lambda: self.embedder.texts(llm, self.dataset, beside=beside))

    def embedded(self, model: Encoder | LLM | Custom, rows: Sequence[int]) -> Embeddings:
        """Return a model's embeddings of the samples at these places of the data; no others are embedded."""
        some, info = self.dataset.of_rows(rows), model.info
        with self._attempts.attempt("vectors", info.side, info.label, model=info.label):
            self.release()  # so that one model is in memory at a time
            if info.side == "text":
                return self.embedder.texts(cast("LLM", model), some)
            return self.embedder.images(cast("Encoder", model), some)

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
        """Return the hidden layers of a model; its weights are loaded on a cache miss only.

        Raises:
            LayersMissingError: the model provides none.
        """
        key = (model.info.side, model.info.label)
        if key not in self._layers:
            with self._attempts.attempt("layers", *key, model=model.info.label):
                self.release()
                self._layers[key] = self.embedder.layers(model, self.dataset)
        return self._layers[key]

    def head(self, llm: LLM) -> CausalLM:
        """Load an LLM with its head and return it; it stays loaded until the next call or `release_head`.

        On a CPU it computes in float32, in which small models train fastest.
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
        """The user's images and prompts, for which attention maps are drawn."""
        from alignbench.datasets.images import open_image
        from alignbench.experiments.attention.scores import Subject

        images = tuple((path.name, open_image(path)) for path in self.options.images)
        return Subject(images, self.options.prompts)

    @contextmanager
    def looking(self, encoder: Encoder) -> Iterator[Encoder]:
        """Keep an encoder in memory that sees whole images, squashed to its input size instead of cropped."""
        from alignbench.embed.models import loaded

        self.release()
        options, on_load = self.options, self._loaded_for("embedding")
        whole, label = encoder.varied(fit="squash"), encoder.info.label
        if self.pool is not None:
            yield self.pool.get(whole, options.device, options.dtype)
            return
        with ExitStack() as stack:
            with self._attempts.attempt("whole images", label, model=label):
                stack.enter_context(loaded(whole, label, options.device, options.dtype, on_load, "vision"))
            yield whole

    def embeddings(self, name: str) -> Embeddings:
        """Return the embeddings of a selected model: an encoder's of the images, an LLM's of the texts.

        Raises:
            UnknownNameError: no selected model has this name.
        """
        if name not in self.encoders and name not in self.llms:
            raise UnknownNameError(unknown("model", name, {**self.encoders, **self.llms}))
        return self.vision(name) if name in self.encoders else self.text(name)

    def pair(self, x: str | Embeddings, y: str | Embeddings) -> Pair:
        """Return two models' embeddings of the same samples, with the samples' types and groups.

        Args:
            x: the name of a model, usually of an encoder, or its embeddings.
            y: the same for another model, usually an LLM.
        """
        samples = self.dataset.samples
        return Pair(
            self.embeddings(x) if isinstance(x, str) else x,
            self.embeddings(y) if isinstance(y, str) else y,
            labels=self.dataset.labels,
            groups=self.dataset.groups,
            dataset=self.dataset.label,
            images=tuple(sample.image_digest for sample in samples if sample.texts),
            texts=tuple(normalised(sample.text) for sample in samples if sample.texts),
        )

    def dims(self, needed: ModelNames) -> tuple[int, ...]:
        """Return the widths of these models, without those that fail to embed and so have no scores."""
        widths = []
        for name in (*needed.vision, *needed.text):
            with suppress(Exception):  # the tests of this model report the error
                widths.append(self.embeddings(name).dim)
        return tuple(widths)

    def hold(self, model: M) -> M:
        """Load a model that is to be timed and return it; only one is in memory at a time.

        Raises:
            ModelError: it can't be loaded; loading is not tried again.
        """
        device, dtype = self.options.device, self.options.dtype
        if self.pool is not None and isinstance(model, Encoder | LLM):
            # A separate handle, because embedding loads and frees the session's own.
            return cast("M", self.pool.get(model.varied(), device, dtype))
        self._timed.hold(model, device, dtype, self._loaded_for("timing"))
        return model

    def release(self) -> None:
        """Free the model that `hold` loaded."""
        self._timed.release()

    def take_loads(self) -> list[tuple[str, float, str]]:
        """Return the loads since the last call."""
        taken, self.loads = self.loads, []
        return taken

    def _remembered(self, info: ModelInfo, embed: Callable[[], Embeddings]) -> Embeddings:
        key = (info.side, info.label)
        if key not in self._vectors:
            with self._attempts.attempt("vectors", *key, model=info.label):
                self.release()  # so that one model is in memory at a time; embedding frees its own
                self._vectors[key] = embed()
        return self._vectors[key]

    def _loaded_for(self, purpose: str) -> Callable[[str, float], None]:
        return lambda model, seconds: self.loads.append((model, seconds, purpose))
