"""A session: chosen encoders, LLMs and data, on which experiments are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.errors import InputError
from alignbench.experiments.base import NotApplicableError
from alignbench.metrics.moments import CHUNK
from alignbench.session.models import model_named
from alignbench.session.notebook import selection_table
from alignbench.session.running import run
from alignbench.session.workbench import Workbench
from alignbench.types import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alignbench.encoders import Encoder
    from alignbench.llms import LLM
    from alignbench.metrics import Moments
    from alignbench.session.result import Result
    from alignbench.session.running import Steps
    from alignbench.weights.custom import Custom


class Session(Workbench):
    """The chosen encoders, LLMs and data, with the embeddings that have been computed so far.

    Nothing is downloaded, loaded or read until it is needed.

    Args:
        options: the checked options of a run, instead of all other arguments.
        encoders: the encoders, as `--encoders` takes them: names, paths, `hf:org/name`, `alias=spec`, ...
        llms: the LLMs, likewise.
        data: a `Dataset`, or what `--align-data` takes: a file, a folder, the name of a registered dataset,
            ...; None for the data that a run would use.
        n_samples: the number of samples of each data type, or "all".
        seed: the seed of everything that is drawn.
        others: any other option by its name in `pytest --help` without `align-`, such as `device`.

    Attributes:
        options: the options with their values.
        encoders: the chosen encoders by the names under which they were chosen, in that order.
        llms: likewise the LLMs, including those that are only compared with each other.
        progress: shows the progress of long work; None shows nothing.
        loads: (model, seconds, purpose) of every load of weights since `take_loads` was called; the purpose
            is "embedding" or "timing".
        patched: the names of the encoders whose patches will be used, so that they are embedded with the same
            load of weights as the images.
        layered: whether hidden layers will be used, for the same reason.
        pool: keeps models in memory from one run to the next; None loads them for each run.

    Raises:
        ConfigError: a value is not allowed, or two models have the same name.
        UnknownNameError: there is no such option, encoder, LLM or dataset.

    Examples:
        >>> session = Session(encoders=["mini-clip"], llms="mini-llama", data="synthetic", n_samples=4)
        >>> len(session.pair("mini-clip", "mini-llama"))
        12
    """

    def run(self, *experiments: str, steps: Steps | None = None) -> Result:
        """Run experiments, and the parts of other experiments that their figures need.

        Args:
            experiments: the names of the experiments; `alignbench list experiments` lists them.
            steps: follows the progress, one step per cell.

        Raises:
            ConfigError: no experiment is named, or only pytest can run it.
            UnknownNameError: there is no such experiment.
            AlignbenchError: a model or the data can't be used.
        """
        return run(self, experiments, steps)

    def chunks(
        self, encoder: str | Encoder | Custom, llm: str | LLM | Custom, rows: int = CHUNK
    ) -> Iterator[Pair]:
        """Return an iterator over the pair of an encoder and an LLM, of which it holds one part at a time.

        Each part is a `Pair` of the next samples: `part.x.values` and `part.y.values` are float32
        `[rows, d]`, and `part.labels`, `part.groups` and `part.x.ids` belong to their rows. Vectors that are
        missing are computed and stored first; arrays (`npy:`) are memory-mapped. A model whose vectors are
        not cached is an exception: they are held.

        Args:
            encoder: one of the selected encoders, or its name.
            llm: one of the selected LLMs, or its name.
            rows: the number of samples in a part; the last one may have fewer.

        Raises:
            InputError: `rows` is less than 1.
            UnknownNameError: no selected model has this name.
            NotApplicableError: the data have no texts, and the LLM's vectors do not come from a file.

        Examples:
            >>> from alignbench.metrics import Moments
            >>> session = Session(encoders="mini-clip", llms="mini-llama", data="synthetic", n_samples=10)
            >>> parts = session.chunks("mini-clip", "mini-llama", rows=12)
            >>> moments = Moments.of_chunks((part.x.values, part.y.values, part.labels) for part in parts)
            >>> moments.n
            30
        """
        if rows < 1:
            raise InputError(f"rows: expected at least 1, got {rows}")
        return self._chunks(*self._sides(encoder, llm), rows)

    def moments(self, encoder: str | Encoder | Custom, llm: str | LLM | Custom) -> Moments:
        """Return the moments of an encoder and an LLM over all samples, without holding their vectors.

        They are taken of fixed shards (`shards` of the options) and merged in a fixed order, by this process
        or by the workers of a cluster (`executor`): the result has the same bits.

        Args:
            encoder: one of the selected encoders, or its name.
            llm: one of the selected LLMs, or its name.

        Raises:
            UnknownNameError: no selected model has this name.
            NotApplicableError: the data have no texts, and the LLM's vectors do not come from a file.

        Examples:
            >>> session = Session(encoders="mini-clip", llms="mini-llama", data="synthetic", n_samples=10)
            >>> session.moments("mini-clip", "mini-llama").n
            30
        """
        from alignbench.embed.moments import moments_of

        x, y = self._sides(encoder, llm)
        self.release()  # so that one model is in memory at a time
        return moments_of(self.embedder, x, y, self.dataset)

    def _sides(
        self, encoder: str | Encoder | Custom, llm: str | LLM | Custom
    ) -> tuple[Encoder | Custom, LLM | Custom]:
        x, y = model_named(encoder, self.encoders, "encoder"), model_named(llm, self.llms, "LLM")
        if lacking := self.lacks(name for name, known in self.llms.items() if known is y):
            raise NotApplicableError(lacking)
        return x, y

    def _chunks(self, x: Encoder | Custom, y: LLM | Custom, rows: int) -> Iterator[Pair]:
        data, embedder = self.dataset, self.embedder
        labels, groups, start = data.labels, data.groups, 0
        self.release()  # so that one model is in memory at a time
        blocks = zip(embedder.blocks(x, data, rows), embedder.blocks(y, data, rows), strict=True)
        for vision, text in blocks:
            part = slice(start, start := start + rows)
            yield Pair(vision, text, labels[part], groups[part], data.label)

    def __repr__(self) -> str:
        """Return the models in one line, without reading data or loading models."""
        return f"<session of {', '.join((*self.encoders, *self.llms))}>"

    def _repr_html_(self) -> str:
        """Return models and data as a table for notebooks, without reading data or loading models."""
        return selection_table(self)
