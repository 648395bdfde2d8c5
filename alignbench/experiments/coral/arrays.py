"""What the CORAL figures show besides scores: covariances in the shared basis, spectra, and cosines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.experiments.scoring import blas_threads, mode_of
from alignbench.metrics.basis import to_shared_basis
from alignbench.metrics.coral_family import unit_trace
from alignbench.metrics.covariances import covariance
from alignbench.metrics.spectra import spectrum
from alignbench.rows import unit_rows
from alignbench.stats import one_per_group, rng_for

if TYPE_CHECKING:
    from alignbench.experiments.scoring import Settings
    from alignbench.types import Pair

MOST_PER_TYPE = 200  # samples of a data type in a figure of n x n cosines


def covariance_arrays(pair: Pair, settings: Settings) -> dict[str, Any] | None:
    """Return both sides' covariances [k, k] in the shared basis with unit trace, and both sides' spectra.

    With too few samples for a basis, there are only the spectra. With a single group or a side without
    variance, there are no spectra either, and the result is None.
    """
    rows = pair.take(one_per_group(np.asarray(pair.groups), settings.seed))
    with blas_threads(rows):
        return _covariance_arrays(rows, mode_of(pair), settings)


def _covariance_arrays(rows: Pair, mode: str, settings: Settings) -> dict[str, Any] | None:
    x, y = rows.x.values, rows.y.values
    arrays: dict[str, Any] = {
        "name_x": np.array(rows.x.model.label),
        "name_y": np.array(rows.y.model.label),
        "mode": np.array(mode),
    }
    try:
        arrays |= {"eig_x": spectrum(x), "eig_y": spectrum(y)}
    except DegenerateError:
        return None
    try:
        basis = settings.basis_params(len(rows), (rows.x.dim, rows.y.dim))
        based = to_shared_basis(x, y, **basis, groups=rows.groups, seed=settings.seed)
    except DegenerateError:
        return arrays
    return {**arrays, "cov_x": unit_trace(covariance(based[0])), "cov_y": unit_trace(covariance(based[1]))}


def similarity_arrays(side: Pair, settings: Settings) -> dict[str, Any]:
    """Return one model's cosines between samples, sorted by data type; of many samples, some are drawn."""
    labels = np.asarray(side.labels)
    drawn = rng_for(settings.seed, "similarity").permutation(len(side))
    part = np.concatenate([drawn[labels[drawn] == label][:MOST_PER_TYPE] for label in np.unique(labels)])
    order = np.sort(part)[np.argsort(labels[np.sort(part)], kind="stable")]
    values = side.x.values[order].astype(np.float64)
    unit = unit_rows(values)
    return {
        "name": np.array(side.x.model.label),
        "labels": labels[order],
        "cosine": (unit @ unit.T).astype(np.float32),
    }
