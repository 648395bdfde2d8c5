"""The same score under choices that somebody else might have made, and whether the ranking survives them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.encoders import Encoder
from alignbench.errors import DegenerateError, LayersMissingError, ModelError, WeightsMissingError
from alignbench.experiments.scoring import blas_threads, identity, preprocessing
from alignbench.experiments.sharing import Sharing, why_not
from alignbench.llms import LLM
from alignbench.metrics import METRICS
from alignbench.stats import evaluate, standings
from alignbench.types import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from alignbench.experiments.scoring import Settings
    from alignbench.types import Embeddings, Layers, Pair
    from alignbench.weights.protocols import Described

    Matrix = NDArray[np.float64]
    Sides = tuple[Matrix, Matrix]

OF = "calibrated_cka"
METRIC = f"varied_{OF}"
AS_SCORED = "as scored"
_SAME = 1e-14  # of its size: a feature that spreads no more is the same for all, up to rounding


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to come to the vectors of a pair.

    Args:
        name: what is other than in the run's scores.
        x: vision side [n, dx].
        y: text side [n, dy].
    """

    name: str
    x: Matrix
    y: Matrix


@dataclass(frozen=True, slots=True)
class Lost:
    """A choice that the models can't follow.

    Args:
        name: what would be other than in the run's scores.
        reason: why there are no such vectors.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """What a variant makes of the ranking for one LLM.

    Args:
        llm: the text side.
        variant: what is other.
        values: encoder -> score; of an encoder that has no such variant, the score as it was.
        unchanged: the encoders that have no such variant.
        order: the encoders, best first.
        tied: the first and those that can't be told from it; None where that is unknown.
        tau: Kendall's τ with the order as scored; None for a single encoder.
        keeps_first: whether the first as scored is the first here, too, or can't be told from it.
    """

    llm: str
    variant: str
    values: dict[str, float]
    unchanged: tuple[str, ...]
    order: tuple[str, ...]
    tied: tuple[str, ...] | None
    tau: float | None
    keeps_first: bool


def sensitivity(
    encoder: Described,
    llm: Described,
    pair: Pair,
    varied: Callable[..., Embeddings],
    layers: Callable[..., Layers],
    settings: Settings,
) -> list[Score]:
    """Return calibrated CKA of one pair under each variant that there is, with its interval.

    Args:
        encoder: the vision side.
        llm: the text side.
        pair: their embeddings as the run scores them.
        varied: gives a model's embeddings under other options.
        layers: gives all hidden layers of a model.
        settings: seed.
    """
    metric = METRICS.get(OF)
    scores = []
    for variant in variants(encoder, llm, pair, varied, layers):
        common: dict[str, Any] = {
            **identity(pair, "sensitivity", settings.seed),
            "metric": METRIC,
            "variant": variant.name,
            "params": {**preprocessing(pair), "of": OF},
        }
        if isinstance(variant, Lost):
            common["dims"] = ()
            scores.append(Score(value=None, status="not_applicable", reason=variant.reason, **common))
            continue
        common["dims"] = (variant.x.shape[1], variant.y.shape[1])
        try:
            with blas_threads(pair):
                found = evaluate(
                    metric,
                    variant.x,
                    variant.y,
                    labels=pair.labels,
                    groups=pair.groups,
                    seed=settings.seed,
                    n_permutations=0,
                )
        except DegenerateError as error:
            reason = why_not(error, Sharing.of_pair(pair))
            scores.append(Score(value=None, status="not_applicable", reason=reason, **common))
            continue
        scores.append(
            Score(
                value=found.value,
                interval=found.interval,
                deletions=found.deletions,
                flags=found.flags,
                **common,
            )
        )
    return scores


def variants(
    encoder: Described,
    llm: Described,
    pair: Pair,
    varied: Callable[..., Embeddings],
    layers: Callable[..., Layers],
) -> Iterator[Variant | Lost]:
    """Yield the pair as it is scored, then what else there is of it: one choice is changed at a time.

    Raises:
        WeightsMissingError: the weights are gone since the pair was embedded.
    """
    for name, make in _choices(encoder, llm, pair, varied, layers):
        try:
            sides = make()
        except WeightsMissingError:
            raise
        except ModelError as error:
            yield Lost(name, str(error))
            continue
        if sides is not None:
            yield Variant(name, *sides)


def _choices(
    encoder: Described,
    llm: Described,
    pair: Pair,
    varied: Callable[..., Embeddings],
    layers: Callable[..., Layers],
) -> Iterator[tuple[str, Callable[[], Sides | None]]]:
    """Yield the name of each variant with what computes its sides: None where models give no such thing."""
    x, y = (np.asarray(side.values, dtype=np.float64) for side in (pair.x, pair.y))
    yield AS_SCORED, lambda: (x, y)
    if isinstance(encoder, Encoder):
        for pooling in other_poolings(encoder):
            yield f"pooling {pooling}", partial(_with_pooling, encoder, y, pooling, varied, layers)
        fit = "squash" if encoder.options.fit == "pad" else "pad"
        yield f"fit {fit}", lambda: (_values(varied(encoder, fit=fit)), y)
    yield "encoder middle layer", lambda: _both(_middle(encoder, layers), y)
    yield "LLM middle layer", lambda: _both(x, _middle(llm, layers))

    def raw() -> Sides:
        return _raw(encoder, pair.x, varied), _raw(llm, pair.y, varied)

    def centred() -> Sides:
        a, b = raw()
        return unit(a - a.mean(axis=0)), unit(b - b.mean(axis=0))

    scaled = bool(pair.x.model.params.get("l2", True))
    if scaled and any(isinstance(model, Encoder | LLM) for model in (encoder, llm)):
        yield "lengths kept", raw
    elif not scaled:
        yield "unit length", lambda: (unit(x), unit(y))
    yield "centred, then unit length", centred
    yield "features standardised", lambda: (standardised(x), standardised(y))


def other_poolings(encoder: Encoder) -> list[str]:
    """Return the poolings of the encoder's output other than the one in effect, each vector once."""
    own = encoder.pooling
    # The pooler of a family that embeds by CLS is that very CLS.
    same = {own, "pooler"} if own == "cls" else {own}
    if encoder.options.layer is not None:
        return [name for name in encoder.layer_poolings if name not in same]
    return [name for name in encoder.poolings if name not in same]


def unit(values: Matrix) -> Matrix:
    """Return rows of unit length; a row of zeros stays as it is."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    rows: Matrix = values / np.where(lengths > 0, lengths, 1.0)
    return rows


def standardised(values: Matrix) -> Matrix:
    """Return features of mean 0 and standard deviation 1; those that are the same for all are left out.

    Where none is left, all are 0.
    """
    spread = values.std(axis=0)
    kept = spread > _SAME * np.abs(values).max(axis=0)
    if not kept.any():
        return np.zeros_like(values)
    columns: Matrix = (values[:, kept] - values[:, kept].mean(axis=0)) / spread[kept]
    return columns


def survival(scores: Sequence[Score]) -> list[Row]:
    """Return for each LLM and variant the ranking of encoders, beside the ranking as scored.

    An encoder that has no such variant keeps its score.
    """
    own = [s for s in scores if s.metric == METRIC and s.value is not None and s.encoder and s.llm]
    rows = []
    for llm in dict.fromkeys(str(s.llm) for s in own):
        of = {(s.variant, str(s.encoder)): s for s in own if s.llm == llm}
        base = {encoder: s for (variant, encoder), s in of.items() if variant == AS_SCORED}
        if not base:
            continue
        for variant in sorted({variant for variant, _ in of}, key=_place):
            found = {encoder: of.get((variant, encoder), s) for encoder, s in base.items()}
            unchanged = tuple(e for e in base if (variant, e) not in of)
            rows.append(_row(llm, variant, found, unchanged, _order(base)))
    return rows


def _row(
    llm: str, variant: str, found: dict[str, Score], unchanged: tuple[str, ...], before: tuple[str, ...]
) -> Row:
    values = {encoder: float(score.value or 0.0) for encoder, score in found.items()}
    order = _order(found)
    groups = standings(found).tie_groups
    tied = None if groups is None else groups[0]
    keeps_first = before[0] == order[0] or before[0] in (tied or ())
    return Row(llm, variant, values, unchanged, order, tied, kendall(before, order), keeps_first)


def _place(variant: str) -> tuple[int, str]:
    """Return where a variant stands in tables: kinds of choices together, as scored first."""
    kinds = (AS_SCORED, "pooling", "fit", "encoder", "LLM", "lengths", "unit", "centred", "features")
    return next((i for i, kind in enumerate(kinds) if variant.startswith(kind)), len(kinds)), variant


def _order(found: dict[str, Score]) -> tuple[str, ...]:
    return tuple(sorted(found, key=lambda e: (-float(found[e].value or 0.0), e)))


def kendall(before: Sequence[str], after: Sequence[str]) -> float | None:
    """Return Kendall's τ of two orders: the share of pairs that keep their order less that of the rest."""
    n = len(before)
    if n < 2:
        return None
    place = {name: rank for rank, name in enumerate(after)}
    pairs = [(a, b) for i, a in enumerate(before) for b in before[i + 1 :]]
    return sum(1 if place[a] < place[b] else -1 for a, b in pairs) / len(pairs)


def _values(embeddings: Embeddings) -> Matrix:
    return np.asarray(embeddings.values, dtype=np.float64)


def _raw(model: Described, side: Embeddings, varied: Callable[..., Embeddings]) -> Matrix:
    """Return vectors with their lengths, where the model can give them again; else as they are."""
    return _values(varied(model, l2=False) if isinstance(model, Encoder | LLM) else side)


def _both(x: Matrix | None, y: Matrix | None) -> Sides | None:
    return None if x is None or y is None else (x, y)


def _with_pooling(
    encoder: Encoder,
    y: Matrix,
    pooling: str,
    varied: Callable[..., Embeddings],
    layers: Callable[..., Layers],
) -> Sides:
    return _pooled(encoder, pooling, varied, layers), y


def _pooled(
    encoder: Encoder, pooling: str, varied: Callable[..., Embeddings], layers: Callable[..., Layers]
) -> Matrix:
    """Return the encoder's output by another pooling: from the pass of all layers where that has it."""
    if pooling in encoder.layer_poolings and encoder.options.layer is None:
        with suppress(LayersMissingError):
            found = layers(encoder).end(pooling)
            if found is not None:
                values = np.asarray(found, dtype=np.float64)
                return unit(values) if encoder.options.l2 else values
    return _values(varied(encoder, pooling=pooling))


def _middle(model: Described, layers: Callable[..., Layers]) -> Matrix | None:
    """Return the middle hidden layer, scaled as the run scales; None where the model gives no layers."""
    if not isinstance(model, Encoder | LLM):
        return None
    try:
        found = layers(model)
    except LayersMissingError:
        return None
    values = np.asarray(found.at(found.values.shape[1] // 2, found.pooling), dtype=np.float64)
    return unit(values) if found.model.params.get("l2", True) else values
