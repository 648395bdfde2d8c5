"""What an experiment is: one object that says everything about it once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from alignbench.datatypes import ALL
from alignbench.errors import AlignbenchError, ConfigError
from alignbench.types import Pair
from alignbench.weights.custom import Custom
from alignbench.weights.handle import Handle

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.datasets import Dataset
    from alignbench.encoders import Encoder
    from alignbench.experiments.attention.scores import Subject
    from alignbench.experiments.scoring import Settings
    from alignbench.experiments.speed.works import Work
    from alignbench.hidden import Layers, Patches
    from alignbench.llms import LLM
    from alignbench.llms.base import CausalLM
    from alignbench.metrics import Metric
    from alignbench.types import Embeddings, ModelInfo, Score

Unit = Literal[
    "pair",
    "compared_pair",
    "vision_pair",
    "text_pair",
    "vision_side",
    "text_side",
    "encoder",
    "llm",
    "timed_encoder",
    "timed_llm",
    "dataset",
    "selection",
]
"""What a cell of a part is made of, one score or set of scores each; the fixture of that name gives it.

`pair` is an encoder with an LLM, `compared_pair` the same with every LLM that is compared with others,
`vision_pair` and `text_pair` are two models of one side, `vision_side` and `text_side` are one model with
itself. `encoder` and `llm` are models that are not loaded; `timed_encoder` and `timed_llm` are in memory.
A part of the `selection` has one cell, and gets nothing of it: it asks the bench for what it needs.
"""

Use = Literal["patches", "layers", "maps"]


class NotApplicableError(AlignbenchError):
    """A cell can't be computed, and nothing is wrong with that: its test is skipped with this reason."""


class Bench(Protocol):
    """What the computation of a cell may ask for: the run's options, data and models, whoever runs it."""

    def option(self, name: str, default: object = None) -> Any:
        """Return the value of an option of the run.

        Args:
            name: of the option.
            default: its value where nothing was given; by default the experiment's default, or the option's.
        """

    def is_given(self, name: str) -> bool:
        """Whether a value was given, rather than left to the default."""

    @property
    def dataset(self) -> Dataset:
        """The samples of the run."""

    @property
    def settings(self) -> Settings:
        """How the run scores, but for what a shared basis depends on."""

    @property
    def basis_settings(self) -> Settings:
        """The same for scores in a shared basis, which is as wide as the narrowest model allows."""

    @property
    def subject(self) -> Subject | None:
        """The user's images and prompts, of which maps are drawn; None where there are none."""

    def score(self, metric: str | Metric, pair: Pair, *, data_type: str = ALL) -> Score:
        """Return a metric of a pair with null and interval, filed under the experiment that is run."""

    def pair_of(self, encoder: Encoder | Custom, llm: LLM | Custom) -> Pair:
        """Return the embeddings of an encoder and an LLM over the same samples."""

    def pairs(self) -> Sequence[Pair]:
        """Return the embeddings of every selected encoder with every selected LLM."""

    def patches(self, encoder: Encoder | Custom | ModelInfo) -> Patches:
        """Return the patch embeddings of a selected encoder.

        Raises:
            NotApplicableError: it gives none.
        """

    def layers(self, model: Encoder | LLM | Custom) -> Layers:
        """Return every hidden layer of a model, pooled."""

    def varied(self, model: Encoder | LLM, **changes: Any) -> Embeddings:
        """Return a model's embeddings under other options."""

    def looking(self, encoder: Encoder) -> AbstractContextManager[Encoder]:
        """Hold an encoder in memory that sees whole images, for maps of them."""

    def head(self, llm: LLM | Custom) -> Callable[[], CausalLM]:
        """Return what gives an LLM with its head in memory when it is called.

        Raises:
            NotApplicableError: it has none.
        """


@dataclass(frozen=True)
class Computed:
    """What the computation of a cell gives.

    Args:
        scores: in the order in which they are reported.
        arrays: what a figure of the cell needs beside the scores; None where it needs nothing.
        kind: of the arrays, the first part of their file's name: "coral" or "layout-tsne".
    """

    scores: Sequence[Score]
    arrays: Mapping[str, NDArray[np.generic]] | None = None
    kind: str = ""


@dataclass(frozen=True)
class Cost:
    """The seconds that a test of a part takes, with the toy models on two CPU cores, 90 samples and defaults.

    Args:
        seconds: as measured, the sum over `pytest benchmarks/ --durations=0 -vv`; with a linear projector
            where one is trained.
        grows: what they are in proportion to: the samples; the samples and the size of a projector; the
            samples and the size of the LLM.
        options: options that they are in proportion to, with their defaults, at which they were measured.
        passes: how often each model embeds all samples anew, under other options.
        asked: the seconds where the marker of the experiment is asked for, if that makes a difference.
    """

    seconds: float = 0.02
    grows: Literal["samples", "projector", "llm"] = "samples"
    options: Mapping[str, int] = field(default_factory=dict)
    passes: int = 0
    asked: float | None = None


Sweep = str | tuple[object, ...] | Callable[[], Iterable[object]]
"""The values of a parameter: the option whose values they are, a tuple, or what gives them."""

Values = dict[str, tuple[object, ...]]


class Choices(Protocol):
    """The values of options by name."""

    def __getitem__(self, name: str, /) -> Any:
        """Return the value of an option."""


@dataclass(frozen=True)
class Part:
    """One parametrized test of an experiment.

    Args:
        name: "by_data_type" is the part of `test_by_data_type`.
        compute: (bench, what the cell is made of, the parameter values by name) -> what it gives: `Computed`,
            or scores alone. A timed part takes no bench, and gives a `Work` that whoever runs the part has
            timed.
        of: what a cell is made of.
        sweep: parameter -> the values that it takes in turn.
        uses: what it takes of models beside their embeddings, so that it comes with the same load of weights;
            a function of the parameter values where these decide it.
        cost: how long it takes.
        timed: whether it is a measurement of time.
    """

    name: str
    compute: Callable[..., Any]
    of: tuple[Unit, ...] = ("pair",)
    sweep: Mapping[str, Sweep] = field(default_factory=dict)
    uses: frozenset[Use] | Callable[[Mapping[str, object]], frozenset[Use]] = frozenset()
    cost: Cost = Cost()
    timed: bool = False

    @property
    def test(self) -> str:
        """The name of its test function."""
        return f"test_{self.name}"

    def values(self, options: Choices) -> tuple[Values, Values]:
        """Return parameter -> the values that it takes: first of those that do not depend on options."""
        fixed, optional = {}, {}
        for name, sweep in self.sweep.items():
            if isinstance(sweep, str):
                optional[name] = tuple(options[sweep])
            else:
                fixed[name] = tuple(sweep() if callable(sweep) else sweep)
        return fixed, optional

    def uses_with(self, values: Mapping[str, object]) -> frozenset[Use]:
        """Return what a cell with these parameter values takes of models beside their embeddings."""
        return self.uses(values) if callable(self.uses) else self.uses

    def computed(self, bench: Bench, *cell: object, **values: object) -> Computed:
        """Compute a cell."""
        result = self.compute(bench, *cell, **values)
        return result if isinstance(result, Computed) else Computed(tuple(result))

    def work(self, *cell: object, **values: object) -> Work:
        """Return what is to be timed of a cell of a timed part."""
        work: Work = self.compute(*cell, **values)
        return work


@dataclass(frozen=True)
class Tab:
    """The place of an experiment on the web page.

    Args:
        title: what stands on the tab.
        about: what it answers, in a sentence or two.
        controls: what can be chosen beside encoders: options by name, "data" for those of the samples,
            "image" for a picture and what to look for in it.
        beside: other experiments that are run with it.
        options: option -> the value that it has on the page, a list where it takes several.
    """

    title: str
    about: str
    controls: tuple[str, ...] = ("llms", "data", "permutations")
    beside: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """Everything about an experiment, from which marker, command, estimate, report and tab are derived.

    Args:
        name: its marker, and what its scores are filed under; the command has dashes for underscores.
        question: what it answers, in a line.
        parts: its tests.
        options: names of the options of its command beside those that all commands have.
        defaults: option -> its default in this experiment, where that is not the option's own; or a function
            that returns it for the configuration (`Config`) of the run.
        needs: other experiment -> the metrics of its pairs that figures of this one show, too; None stands
            for the whole experiment. Each is computed and filed once, whoever asks for it.
        measures: metric -> what it measures, in a sentence, where it is not the documentation of a
            registered metric that says so.
        figures: the modules that declare its figures, by name: they are imported when figures are drawn.
        long: whether it takes minutes with the toy models, so that a run of everything leaves it out.
        tab: its place on the web page.
        not_for_arrays: why it says nothing of files of vectors, where that is so.
    """

    name: str
    question: str
    parts: tuple[Part, ...] = ()
    options: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, Collection[str] | None] = field(default_factory=dict)
    measures: Mapping[str, str] = field(default_factory=dict)
    figures: tuple[str, ...] = ()
    long: bool = False
    tab: Tab | None = None
    not_for_arrays: str = ""

    def __post_init__(self) -> None:
        for name in (self.name, *(part.name for part in self.parts)):
            if not name.isidentifier():
                raise ConfigError(
                    f"experiment {self.name!r}: {name!r} is no name: letters, digits and underscores"
                )

    @property
    def command(self) -> str:
        """The name of its command."""
        return self.name.replace("_", "-")

    def part(self, test: str) -> Part | None:
        """Return the part that a test function is of; None where there is none."""
        return next((part for part in self.parts if test in self.tests(part)), None)

    def tests(self, part: Part) -> tuple[str, str]:
        """Return the names that the test function of a part may have."""
        return part.test, f"test_{self.name}_{part.name}"


def labels_of(*cell: object) -> tuple[str, ...]:
    """Return the labels of the models that a cell is made of: a pair has two, a model one."""
    models = [side.model for pair in cell if isinstance(pair, Pair) for side in (pair.x, pair.y)]
    models += [model.info for model in cell if isinstance(model, Handle | Custom)]
    return tuple(dict.fromkeys(model.label for model in models))


def one_score(bench: Bench, pair: Pair, metric: str) -> list[Score]:
    """Compute a cell that is one metric of one pair."""
    return [bench.score(metric, pair)]
