"""The values that rooms pass to each other: embeddings, pairs, scores, runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from alignbench.columns import names_of
from alignbench.datatypes import ALL, check_unmixed
from alignbench.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Weights = Literal["pretrained", "embedded", "random", "stand-in", "custom", "arrays"]
Status = Literal["ok", "not_applicable"]
NullKind = Literal["drawn", "drawn_sequential", "closed_form"]
TOYS = frozenset({"embedded", "stand-in"})
"""The kinds of weights of the small models that come with alignbench."""
_WEIGHTS_WORDS = {"embedded": "built-in toy model", "stand-in": "built-in toy model as a stand-in"}


def weights_words(weights: str) -> str:
    """Return how readers see a kind of weights; `embedded` would tell them little."""
    return _WEIGHTS_WORDS.get(weights, weights)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a score has to say about the model that it was computed with.

    Args:
        name: the short alias in tables and test ids, never a path.
        side: "vision" or "text".
        family: "clip", "siglip", "dinov2", "internvit", "paligemma", "llama", ..., or "other".
        source: where the weights come from (`openai/clip-vit-base-patch32`, a folder, `random`).
        weights: the kind of weights.
        stand_in_for: the requested model that this built-in toy model replaces.
        params: everything else that shapes the vectors: pooling, fit, layer, l2, dtype, max_length, ...
    """

    name: str
    side: Literal["vision", "text"]
    family: str
    source: str
    weights: Weights
    revision: str | None = None
    stand_in_for: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weights_words(self) -> str:
        """The kind of weights as readers see it: `built-in toy model`, `pretrained`, ..."""
        return weights_words(self.weights)

    @property
    def label(self) -> str:
        """The name to show: `mini-clip (stand-in for clip)` if it is a stand-in."""
        return f"{self.name} (stand-in for {self.stand_in_for})" if self.stand_in_for else self.name


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Embeddings:
    """The vectors of one model over one dataset: `values` is float32 [n, d], row i is sample `ids[i]`.

    Arrays passed to `score_arrays` are float64, and only metrics use them.
    """

    model: ModelInfo
    values: NDArray[np.float32]
    ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.ids) != len(self.values):
            raise InputError(
                f"embeddings of {self.model.name}: expected [n, d] with n = {len(self.ids)} ids, "
                f"got shape {self.values.shape}"
            )

    @property
    def dim(self) -> int:
        """The width d of the vectors."""
        return int(self.values.shape[1])


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sides of the same samples: row i of `x` and row i of `y` form one pair.

    Usually `x` comes from an encoder and `y` from an LLM; in vision-vision and text-text pairs, from two of a
    kind.
    `groups[i]` is the unit of every split, permutation and interval; `labels[i]` is the data type.
    `images[i]` and `texts[i]` identify images and texts, so that reports can say what the rows of a group
    share; they are empty for rows of arrays.
    """

    x: Embeddings
    y: Embeddings
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    dataset: str
    images: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.x.ids != self.y.ids:
            raise InputError(f"{self.name}: the two sides are not of the same samples in the same order")
        if not len(self.labels) == len(self.groups) == len(self.x.ids):
            raise InputError(
                f"{self.name}: {len(self.x.ids)} rows, {len(self.labels)} labels, {len(self.groups)} groups"
            )
        for name, column in (("labels", self.labels), ("groups", self.groups)):
            names_of(column, len(self), f"{self.name}: {name}")
        try:
            check_unmixed(self.labels)
        except DataError as error:
            raise InputError(f"{self.name}: {error}") from error
        for name, column in (("images", self.images), ("texts", self.texts)):
            if column and len(column) != len(self.x.ids):
                raise InputError(f"{self.name}: {len(self.x.ids)} rows, {len(column)} {name}")

    @property
    def name(self) -> str:
        """Both models' names, as in test ids: `mini-clip-mini-llama`."""
        return f"{self.x.model.name}-{self.y.model.name}"

    def __len__(self) -> int:
        return len(self.x.ids)

    @property
    def n_groups(self) -> int:
        """The number of groups."""
        return len(set(self.groups))

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Pair:
        """Return the pair with these rows only."""
        index = np.asarray(rows, dtype=np.intp)
        ids = tuple(self.x.ids[i] for i in index)
        return replace(
            self,
            x=replace(self.x, values=self.x.values[index], ids=ids),
            y=replace(self.y, values=self.y.values[index], ids=ids),
            labels=tuple(self.labels[i] for i in index),
            groups=tuple(self.groups[i] for i in index),
            images=tuple(self.images[i] for i in index) if self.images else (),
            texts=tuple(self.texts[i] for i in index) if self.texts else (),
        )


@dataclass(frozen=True, slots=True)
class Null:
    """The metric's values on re-paired data.

    Args:
        kind: what was re-paired, and how the numbers came about, in words.
        mean: the mean; exact if `kind` says so.
        std: the standard deviation; exact if `kind` says so.
        z: the value's distance from the mean in standard deviations, for description.
        p: one-sided.
        draws: the number of drawn permutations that `p` comes from; None if it comes from none.
        within_mean: the mean of permutations within each class.
        within_p: the p of permutations within each class.
        p_kind: how `p` came about: "drawn" from a fixed number of permutations, "drawn_sequential" until
            enough of them are as good as the value, or "closed_form" from the moments of all permutations;
            None where a score's own experiment says it in `kind`.
        within_kind: how `within_p` came about.
    """

    kind: str
    mean: float | None = None
    std: float | None = None
    z: float | None = None
    p: float | None = None
    draws: int | None = None
    within_mean: float | None = None
    within_p: float | None = None
    p_kind: NullKind | None = None
    within_kind: NullKind | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95% interval for the expected score at this n."""

    low: float
    high: float
    method: str
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class Score:
    """One number of a run, with everything that is needed to judge and to reproduce it.

    Args:
        experiment: "cka", "coral", "eas", ...: the marker of the test that recorded it.
        metric: the metric's registered name.
        value: the number, or None if `status` is "not_applicable" (`reason` then says why).
        encoder, llm: the models' names; None for a side that takes no part.
        other: the second model, if two models of one side are compared.
        dataset: its name and digest, such as `sample_data@1a2b3c4d`.
        data_type: "all", or the single type that it was computed on.
        variant: distinguishes it from other scores of the same metric and models, such as a projector, or a
            direction and a loss ("image_to_text contrastive"); empty if there is only one.
        n: the number of groups.
        dims: the widths of both sides.
        chance: the value of guessing, if the metric has one.
        params: how it was computed; "at" distinguishes scores of one metric and the same models
            ({"batch_size": 4}).
        deletions: the value without block g, for every block; paired intervals are computed from these.
        repeats: for a trained score, the value in each split with each seed, all seeds of a split together;
            `params` has "splits" and "seeds". They are paired like deletions.
        artifact: the file under the run folder with the data for a figure of this score.
        reproduce: the command that computes this score alone.
    """

    experiment: str
    metric: str
    value: float | None
    encoder: str | None
    llm: str | None
    dataset: str
    n: int
    dims: tuple[int, ...]
    other: str | None = None
    data_type: str = ALL
    variant: str = ""
    status: Status = "ok"
    reason: str | None = None
    null: Null | None = None
    interval: Interval | None = None
    chance: float | None = None
    seed: int = 42
    higher_is_better: bool = True
    unit: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    deletions: tuple[float, ...] = ()
    repeats: tuple[float, ...] = ()
    artifact: str | None = None
    reproduce: str | None = None
    nodeid: str | None = None

    def __post_init__(self) -> None:
        for name in ("value", "chance"):
            number = getattr(self, name)
            object.__setattr__(self, name, None if number is None else float(number))
        object.__setattr__(self, "n", int(self.n))
        object.__setattr__(self, "dims", tuple(int(d) for d in self.dims))
        object.__setattr__(self, "flags", tuple(self.flags))
        object.__setattr__(self, "deletions", tuple(float(v) for v in self.deletions))
        object.__setattr__(self, "repeats", tuple(float(v) for v in self.repeats))
        if (self.value is None) != (self.status == "not_applicable"):
            raise InputError(f"{self.metric}: a score has a value, or is not_applicable with a reason")
        if self.value is not None and not math.isfinite(self.value):
            raise InputError(f"{self.metric}: the value is {self.value}; a score is finite or not_applicable")
        if self.status == "not_applicable" and not self.reason:
            raise InputError(f"{self.metric}: not_applicable needs a reason")

    @property
    def key(self) -> tuple[str, ...]:
        """The fields that identify a score in a run."""
        return (
            self.experiment,
            self.metric,
            self.encoder or "",
            self.llm or "",
            self.other or "",
            self.data_type,
            self.variant,
        )

    def flagged(self, *flags: str) -> Score:
        """Return the score with these flags beside its own."""
        return replace(self, flags=tuple(dict.fromkeys((*self.flags, *flags))))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types only."""
        plain: dict[str, Any] = jsonable(self)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Score:
        """Return the score that `to_dict` described."""
        found = dict(plain)
        for name, kind in (("null", Null), ("interval", Interval)):
            if found.get(name) is not None:
                found[name] = kind(**found[name])
        for name in ("dims", "flags", "deletions", "repeats"):
            found[name] = tuple(found.get(name, ()))
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed test of a run, which left scores missing.

    Args:
        nodeid: the test's node id.
        phase: "setup", "call" or "teardown"; "" if the process that ran it died.
        experiment: the experiment that the test belongs to.
        reason: why it failed, in one line.
        encoders: the labels of the encoders that the test uses.
        llms: the labels of the LLMs that the test uses.
        metric: the metric that it would have recorded, if its parameters name one; else "".
    """

    nodeid: str
    phase: str
    experiment: str
    reason: str
    encoders: tuple[str, ...] = ()
    llms: tuple[str, ...] = ()
    metric: str = ""

    @property
    def models(self) -> tuple[str, ...]:
        """The labels of all models that the test uses."""
        return (*self.encoders, *self.llms)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types only."""
        plain: dict[str, Any] = jsonable(self)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Failure:
        """Return the failure that `to_dict` described."""
        return cls(**{**plain, "encoders": tuple(plain["encoders"]), "llms": tuple(plain["llms"])})


@dataclass(frozen=True, slots=True)
class Run:
    """The conditions of a run: enough to judge its numbers a year later.

    `loads` has an entry ({"model", "seconds", "purpose"}) for every time that weights were loaded; in a warm
    run, that is only for timings. `failures` has an entry for each failed test.
    """

    id: str
    started: str
    seconds: float
    command: str
    options: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    git_commit: str | None
    machine: Mapping[str, Any]
    models: tuple[ModelInfo, ...]
    dataset: Mapping[str, Any]
    loads: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types only."""
        plain: dict[str, Any] = jsonable(self)
        return plain


def jsonable(value: Any) -> Any:
    """Return `value` with dataclasses, numpy values, tuples and paths turned into plain JSON types."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(v) for v in value]
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: jsonable(getattr(value, one.name)) for one in fields(value)}
    return str(value)
