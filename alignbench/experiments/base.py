"""What an experiment is: one object that declares everything about it."""

from __future__ import annotations

import math
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
"""What a cell of a part is made of; the fixture of that name provides it, and a cell gives one set of scores.

`pair` is an encoder with an LLM, and `compared_pair` the same with every LLM that is compared with others.
`vision_pair` and `text_pair` are two models of one side, `vision_side` and `text_side` one model with itself.
`encoder` and `llm` are models that are not loaded; `timed_encoder` and `timed_llm` are loaded. A part of the
`selection` has a single cell and is passed none of it: it asks the bench for what it needs.
"""

Use = Literal["patches", "layers", "maps", "own images"]
"""`own images`: the patches of images that are not the run's."""


class NotApplicableError(AlignbenchError):
    """A cell that can't be computed, through nobody's fault: its test is skipped with this reason."""


class Bench(Protocol):
    """What the computation of a cell may ask for: the options, data and models of the run."""

    def option(self, name: str, default: object = None) -> Any:
        """Return the value of an option of the run.

        Args:
            name: the name of the option.
            default: the value if the user gave none; None stands for the default of the experiment or,
                without one, of the option.
        """

    def is_given(self, name: str) -> bool:
        """Return whether the user gave a value for the option."""

    def spelled(self, name: str) -> str:
        """Return an option's name as the user writes it, for messages."""

    @property
    def dataset(self) -> Dataset:
        """The samples of the run."""

    @property
    def settings(self) -> Settings:
        """How the run scores, without the settings of a shared basis."""

    @property
    def basis_settings(self) -> Settings:
        """How the run scores in a shared basis, which is as wide as the narrowest model allows."""

    @property
    def subject(self) -> Subject | None:
        """The user's images and prompts, for which attention maps are drawn; None if there are none."""

    def score(self, metric: str | Metric, pair: Pair, *, data_type: str = ALL) -> Score:
        """Return a metric's score of a pair with null and interval, filed under the running experiment."""

    @property
    def encoders(self) -> Sequence[Encoder | Custom]:
        """The selected encoders, of which none is loaded."""

    def pair_of(self, encoder: Encoder | Custom, llm: LLM | Custom) -> Pair:
        """Return the embeddings of an encoder and an LLM over the same samples."""

    def embedded(self, model: Encoder | LLM | Custom, rows: Sequence[int]) -> Embeddings:
        """Return a model's embeddings of these samples; no others are embedded, and none are remembered."""

    def missing(self, model: Encoder | LLM | Custom, rows: Sequence[int]) -> int:
        """Return how many of a model's embeddings of these samples would have to be computed."""

    def filed_under(self, experiment: str) -> Bench:
        """Return the bench of another experiment in the same run, with its defaults of options."""

    def encoder(self, spec: str) -> Encoder | Custom:
        """Return the encoder that a spec names, with the options of the run; it need not be selected.

        A part that asks for encoders which are not selected declares them in `Part.further`.

        Raises:
            AlignbenchError: the spec can't be used, or nothing has that name.
        """

    def pairs(self) -> Sequence[Pair]:
        """Return the embeddings of every selected encoder with every selected LLM."""

    def patches(self, encoder: Encoder | Custom | ModelInfo, most: int | None = None) -> Patches:
        """Return the patch embeddings of a selected encoder, or their averages over at most `most` cells.

        Raises:
            NotApplicableError: the encoder has no patch embeddings.
        """

    def patches_of(self, encoder: Encoder | Custom, images: Dataset) -> Patches:
        """Return an encoder's patch embeddings of images that are not the run's, none of which is cropped.

        Raises:
            NotApplicableError: the encoder has no patch embeddings.
        """

    def layers(self, model: Encoder | LLM | Custom) -> Layers:
        """Return every hidden layer of a model, pooled."""

    def varied(self, model: Encoder | LLM, **changes: Any) -> Embeddings:
        """Return a model's embeddings under other options."""

    def looking(self, encoder: Encoder) -> AbstractContextManager[Encoder]:
        """Hold an encoder in memory that sees whole, uncropped images, for its maps."""

    def head(self, llm: LLM | Custom) -> Callable[[], CausalLM]:
        """Return a function that loads an LLM with its head and returns it.

        Raises:
            NotApplicableError: the LLM has no head.
        """


@dataclass(frozen=True)
class CellResult:
    """The result of computing a cell.

    Args:
        scores: the scores, in the order in which they are reported.
        arrays: what a figure of the cell needs besides the scores; None if it needs nothing.
        kind: the first part of the file name of the arrays, such as "coral" or "layout-tsne".
    """

    scores: Sequence[Score]
    arrays: Mapping[str, NDArray[np.generic]] | None = None
    kind: str = ""


@dataclass(frozen=True)
class Cost:
    """How long a test of a part takes with the toy models, 90 samples and defaults, on two CPU cores.

    Args:
        seconds: the sum over the phases of the test in `pytest benchmarks/ --durations=0 -vv`; if a projector
            is trained, with a linear one.
        grows: what the seconds are proportional to: the samples; the samples and the size of a projector; or
            the samples and the size of the LLM.
        options: options that the seconds are proportional to, with the defaults at which they were measured.
        passes: how often each model embeds all samples once more under other options.
        asked: the seconds if the user asked for the experiment by its marker, where that makes a difference.
        other: value of a swept parameter, as test ids have it -> the cost of such a test, if it differs.
    """

    seconds: float = 0.02
    grows: Literal["samples", "projector", "llm"] = "samples"
    options: Mapping[str, int] = field(default_factory=dict)
    passes: int = 0
    asked: float | None = None
    other: Mapping[str, Cost] = field(default_factory=dict)


Sweep = str | tuple[object, ...] | Callable[[], Iterable[object]]
"""The values of a parameter: the name of an option with these values, a tuple, or a function."""

Values = dict[str, tuple[object, ...]]


class Choices(Protocol):
    """The values of options by name."""

    def __getitem__(self, name: str, /) -> Any:
        """Return the value of an option."""


def always(options: Choices) -> bool:
    """Return True: most parts are in a run whatever its options are."""
    return True


def nothing_else(options: Choices) -> tuple[()]:
    """Return no parts: most cells compute nothing of other experiments."""
    return ()


def nothing_wrong(bench: Bench) -> None:
    """Raise nothing: most parts take any selection of models and data."""


def none_further(options: Choices) -> tuple[str, ...]:
    """Return no specs: most parts run the selected models only."""
    return ()


@dataclass(frozen=True)
class Part:
    """One parametrized test of an experiment.

    Args:
        name: "by_data_type" is the part of `test_by_data_type`.
        compute: takes the bench, what the cell is made of, and the parameter values by name; returns a
            `CellResult`, or only the scores. A timed part takes no bench and returns a `Work`, which whoever
            runs the part then times.
        of: what a cell is made of.
        sweep: parameter -> the values that it takes in turn.
        uses: what the part needs of models besides their embeddings, so that both come from one loading of
            the weights; a function of the parameter values if these decide it.
        cost: how long a test takes.
        timed: whether the part measures time.
        when: whether a run with these options has the part.
        further: the specs of the encoders that the part gets from `Bench.encoder`, beside the selected ones.
            The plan of a run names them, and says which of them can't be had.
        check: raises an AlignbenchError if the part takes more models or samples than a run has, or other
            options; it is called once, before anything is embedded.
        computes: the parts of other experiments that a cell computes itself, which the estimate adds.
    """

    name: str
    compute: Callable[..., Any]
    of: tuple[Unit, ...] = ("pair",)
    sweep: Mapping[str, Sweep] = field(default_factory=dict)
    uses: frozenset[Use] | Callable[[Mapping[str, object]], frozenset[Use]] = frozenset()
    cost: Cost = Cost()
    timed: bool = False
    when: Callable[[Choices], bool] = always
    further: Callable[[Choices], Iterable[str]] = none_further
    check: Callable[[Bench], None] = nothing_wrong
    computes: Callable[[Choices], Iterable[tuple[Experiment, Part]]] = nothing_else

    @property
    def test(self) -> str:
        """The name of its test function."""
        return f"test_{self.name}"

    def values(self, options: Choices) -> tuple[Values, Values]:
        """Return parameter -> its values, first for those that no option decides, then for the others."""
        fixed, optional = {}, {}
        for name, sweep in self.sweep.items():
            if isinstance(sweep, str):
                optional[name] = tuple(options[sweep])
            else:
                fixed[name] = tuple(sweep() if callable(sweep) else sweep)
        return fixed, optional

    def uses_with(self, values: Mapping[str, object]) -> frozenset[Use]:
        """Return what a cell with these parameter values needs of models besides their embeddings."""
        return self.uses(values) if callable(self.uses) else self.uses

    @property
    def own_images(self) -> bool:
        """Whether it looks at images that are not the run's, whatever its parameters are."""
        return not callable(self.uses) and "own images" in self.uses

    def computed(self, bench: Bench, *cell: object, **values: object) -> CellResult:
        """Compute a cell."""
        result = self.compute(bench, *cell, **values)
        return result if isinstance(result, CellResult) else CellResult(tuple(result))

    def work(self, *cell: object, **values: object) -> Work:
        """Return what is to be timed for a cell of a timed part."""
        work: Work = self.compute(*cell, **values)
        return work


@dataclass(frozen=True)
class Tab:
    """The tab of an experiment on the web page.

    Args:
        title: the title of the tab.
        about: what the experiment answers, in a sentence or two.
        controls: what the user can choose besides encoders: options by name, "data" for the options of the
            samples, and "image" for a picture and what to look for in it.
        beside: other experiments that are run with it.
        options: option -> its value on the page; a list if it takes several.
    """

    title: str
    about: str
    controls: tuple[str, ...] = ("llms", "data", "permutations")
    beside: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """Everything about an experiment; its marker, command, estimate, report and tab are derived from this.

    Args:
        name: its marker, under which its scores are filed; its command has dashes instead of underscores.
        question: the question that it answers, in one line.
        parts: its tests.
        options: the names of its command's options, apart from those that all commands have.
        defaults: option -> its default in this experiment, if that differs from the option's own; or a
            function that returns the default for the configuration (`Config`) of the run.
        needs: other experiment -> those metrics of its pairs that this experiment's figures also show; None
            stands for the whole experiment. Each score is computed and filed only once.
        measures: metric -> what it measures, in a sentence; registered metrics have their own documentation.
        figures: the names of the modules that declare its figures; they are imported when figures are drawn.
        long: whether it takes minutes with the toy models, so that a run of everything leaves it out.
        tab: its tab on the web page.
        not_for_arrays: why `alignbench from-arrays` leaves it out; "" if it runs it.
        title: the heading of its scores in the report; "" for its name.
        place: where lists, reports and the page show it: the smallest number comes first.
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
    title: str = ""
    place: float = math.inf

    def __post_init__(self) -> None:
        for name in (self.name, *(part.name for part in self.parts)):
            if not name.isidentifier():
                raise ConfigError(
                    f"experiment {self.name!r}: {name!r} is no name; use letters, digits and underscores only"
                )

    @property
    def command(self) -> str:
        """The name of its command."""
        return self.name.replace("_", "-")

    def part(self, test: str) -> Part | None:
        """Return the part that a test function belongs to, or None."""
        return next((part for part in self.parts if test in self.tests(part)), None)

    def tests(self, part: Part) -> tuple[str, str]:
        """Return the names that the test function of a part may have."""
        return part.test, f"test_{self.name}_{part.name}"


def labels_of(*cell: object) -> tuple[str, ...]:
    """Return the labels of the models that a cell is made of."""
    models = [side.model for pair in cell if isinstance(pair, Pair) for side in (pair.x, pair.y)]
    models += [model.info for model in cell if isinstance(model, Handle | Custom)]
    return tuple(dict.fromkeys(model.label for model in models))


def one_score(bench: Bench, pair: Pair, metric: str) -> list[Score]:
    """Compute a cell that consists of one metric of one pair."""
    return [bench.score(metric, pair)]
