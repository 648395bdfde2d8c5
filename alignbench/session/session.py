"""A session: what was chosen, the experiments that are run on it, and how a notebook shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.session.notebook import selection_table
from alignbench.session.running import run
from alignbench.session.workbench import Workbench

if TYPE_CHECKING:
    from alignbench.session.result import Result
    from alignbench.session.running import Steps


class Session(Workbench):
    """Encoders, LLMs and data that were chosen, and what has been embedded of them so far.

    Nothing is downloaded, loaded or read until it is asked for.

    Args:
        options: those of a run, checked, in the place of all that follows.
        encoders: the encoders, as `--encoders` takes them: names, paths, `hf:org/name`, `alias=spec`, ...
        llms: the LLMs, likewise.
        data: the samples: a `Dataset`, the name of a registered one, or the path of yours. Where it is not
            given, it is chosen as in a run.
        n_samples: samples of each data type.
        seed: of everything that is drawn.
        others: any other option by its name: those of `pytest --help` without `align-`, such as `device`.

    Attributes:
        options: the options with their values.
        encoders: the selected encoders by the name that was asked for, in that order.
        llms: the same for the LLMs, those included that are only compared with each other.
        progress: draws the progress of long work; None is silent.
        loads: (model, seconds, purpose) of every load of weights, until somebody takes them; the purpose is
            "embedding" or "timing".
        patched: the names of the encoders whose patches will be used: they are embedded with the same load of
            weights as the images.
        layered: whether hidden layers will be used; likewise.
        pool: gives models that stay in memory from one run to the next; None loads them for each.

    Raises:
        ConfigError: a value that can't be, or two models with one name.
        UnknownNameError: there is no such option, or no registry knows a name.

    Example:
        >>> session = Session(encoders=["mini-clip"], llms="mini-llama", data="synthetic", n_samples=4)
        >>> len(session.pair("mini-clip", "mini-llama"))
        12
    """

    def run(self, *experiments: str, steps: Steps | None = None) -> Result:
        """Run experiments, with what their figures need of others, and return what they give.

        Args:
            experiments: their names, as `alignbench list experiments` has them.
            steps: is told how far it is.

        Raises:
            ConfigError: none is named, or only pytest can run it.
            UnknownNameError: there is no such experiment.
            AlignbenchError: a model or the data can't be used.
        """
        return run(self, experiments, steps)

    def __repr__(self) -> str:
        """Return the selection in one line; it reads no data and loads no model."""
        return f"<session of {', '.join((*self.encoders, *self.llms))}>"

    def _repr_html_(self) -> str:
        """Return the selection as a table, for notebooks; it reads no data and loads no model."""
        return selection_table(self)
