"""A session: chosen encoders, LLMs and data, on which experiments are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.session.notebook import selection_table
from alignbench.session.running import run
from alignbench.session.workbench import Workbench

if TYPE_CHECKING:
    from alignbench.session.result import Result
    from alignbench.session.running import Steps


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

    def __repr__(self) -> str:
        """Return the models in one line, without reading data or loading models."""
        return f"<session of {', '.join((*self.encoders, *self.llms))}>"

    def _repr_html_(self) -> str:
        """Return models and data as a table for notebooks, without reading data or loading models."""
        return selection_table(self)
