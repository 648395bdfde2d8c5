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
from alignbench.rows import unit_rows
from alignbench.stats import evaluate
from alignbench.stats.variations import AS_SCORED, METRIC, OF
from alignbench.types import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from alignbench.experiments.scoring import Settings
    from alignbench.hidden import Layers
    from alignbench.types import Embeddings, Pair
    from alignbench.weights.protocols import Described

    Matrix = NDArray[np.float64]
    Sides = tuple[Matrix, Matrix]

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
        return unit_rows(a - a.mean(axis=0)), unit_rows(b - b.mean(axis=0))

    scaled = bool(pair.x.model.params.get("l2", True))
    if scaled and any(isinstance(model, Encoder | LLM) for model in (encoder, llm)):
        yield "lengths kept", raw
    elif not scaled:
        yield "unit length", lambda: (unit_rows(x), unit_rows(y))
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
                return unit_rows(values) if encoder.options.l2 else values
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
    return unit_rows(values) if found.model.params.get("l2", True) else values
