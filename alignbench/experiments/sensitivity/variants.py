"""The same score under choices that somebody else might have made."""

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

_SAME = 1e-14  # a feature with a smaller spread, relative to its size, is constant up to rounding


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to get the vectors of a pair.

    Args:
        name: what differs from the run's scores.
        x: vision side [n, dx].
        y: text side [n, dy].
    """

    name: str
    x: Matrix
    y: Matrix


@dataclass(frozen=True, slots=True)
class MissingVariant:
    """A variant that the models can't provide.

    Args:
        name: what would differ from the run's scores.
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
    """Return calibrated CKA of one pair under each variant that the models allow, with its interval.

    Args:
        encoder: the vision side.
        llm: the text side.
        pair: their embeddings as the run scores them.
        varied: returns a model's embeddings under other options.
        layers: returns all hidden layers of a model.
        settings: the settings of the run, of which only the seed counts.
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
        if isinstance(variant, MissingVariant):
            common["dims"] = ()
            scores.append(Score(value=None, status="not_applicable", reason=variant.reason, **common))
            continue
        common["dims"] = (variant.x.shape[1], variant.y.shape[1])
        try:
            with blas_threads(pair):
                evaluation = evaluate(
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
                value=evaluation.value,
                interval=evaluation.interval,
                deletions=evaluation.deletions,
                flags=evaluation.flags,
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
) -> Iterator[Variant | MissingVariant]:
    """Yield the pair as it is scored, then its variants, which change one choice at a time.

    Raises:
        WeightsMissingError: the weights are gone since the pair was embedded.
    """
    for name, make in _choices(encoder, llm, pair, varied, layers):
        try:
            sides = make()
        except WeightsMissingError:
            raise
        except ModelError as error:
            yield MissingVariant(name, str(error))
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
    """Yield the name of each variant with a function that returns its sides, or None if there are none."""
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
    """Return the other poolings of the encoder's output that give other vectors than the one in effect."""
    same = {encoder.pooling}
    if encoder.pooling == "cls":
        same.add("pooler")  # in a family that embeds by CLS, the pooler returns the CLS vector
    names = encoder.poolings if encoder.options.layer is None else encoder.layer_poolings
    return [name for name in names if name not in same]


def standardised(values: Matrix) -> Matrix:
    """Return features with mean 0 and standard deviation 1; constant features are left out.

    If no feature is left, all values are 0.
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
    """Return the vectors with their own lengths if the model can embed again; else as they are."""
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
    """Return the sides with another pooling of the encoder, taken from its hidden layers if they have it."""
    if pooling in encoder.layer_poolings and encoder.options.layer is None:
        with suppress(LayersMissingError):
            end = layers(encoder).end(pooling)
            if end is not None:
                values = np.asarray(end, dtype=np.float64)
                return unit_rows(values) if encoder.options.l2 else values, y
    return _values(varied(encoder, pooling=pooling)), y


def _middle(model: Described, layers: Callable[..., Layers]) -> Matrix | None:
    """Return the middle hidden layer, scaled as the run scales; None if the model has no layers."""
    if not isinstance(model, Encoder | LLM):
        return None
    try:
        hidden = layers(model)
    except LayersMissingError:
        return None
    values = np.asarray(hidden.at(hidden.values.shape[1] // 2, hidden.pooling), dtype=np.float64)
    return unit_rows(values) if hidden.model.params.get("l2", True) else values
