"""Which samples carry a score, and which lower it."""

from __future__ import annotations

from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.experiments.scoring import identity, preprocessing
from alignbench.experiments.sharing import Sharing, why_not
from alignbench.metrics.cka_debiased import debiased_cka
from alignbench.metrics.influence import debiased_cka_without
from alignbench.stats import one_per_group
from alignbench.types import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from alignbench.datasets import Sample
    from alignbench.experiments.scoring import Settings
    from alignbench.types import Pair

METRIC = "debiased_cka"
EVEN = 2 / np.pi  # the evenness of normally distributed influences


def influence(
    pair: Pair, samples: Sequence[Sample], settings: Settings, *, experiment: str
) -> tuple[Score, dict[str, NDArray[Any]] | None]:
    r"""Return how evenly the groups carry debiased CKA, and the influence of each for the report.

    The influence of a group is the score minus the score without it: above 0 the group carries the score,
    below 0 it lowers it. The evenness is $(\sum |I|)^2 / (n \sum I^2)$ of the influences about their mean: 1
    if all count alike, 2/π if they are normally distributed, and near 1/n if a single sample decides.

    Args:
        pair: the embeddings of both sides.
        samples: the data; row i is that of sample i.
        settings: the settings of the run; the seed draws one row of each group, as for the score itself.
        experiment: the experiment that the score is filed under.
    """
    rows = one_per_group(np.asarray(pair.groups), settings.seed)
    sample = pair.take(rows)
    common = {
        **identity(pair, experiment, settings.seed),
        "metric": "influence_evenness",
        "params": {**preprocessing(pair), "of": METRIC},
        "chance": EVEN,
    }
    try:
        value = debiased_cka(sample.x.values, sample.y.values)
        influences = value - debiased_cka_without(sample.x.values, sample.y.values)
    except DegenerateError as error:
        reason = why_not(error, Sharing.of_pair(pair))
        return Score(value=None, status="not_applicable", reason=reason, **common), None
    arrays = {
        "metric": np.array(METRIC),
        "encoder": np.array(pair.x.model.label),
        "llm": np.array(pair.y.model.label),
        "value": np.array(value),
        "ids": np.asarray(sample.x.ids),
        "labels": np.asarray(sample.labels),
        "influence": influences,
        **_shown([samples[row] for row in rows]),
    }
    return Score(value=evenness(influences), **common), arrays


def evenness(influences: NDArray[np.float64]) -> float:
    """Return how evenly the samples carry the score, in (0, 1]; see `influence`."""
    around = np.abs(influences - influences.mean())
    squares = float(np.square(around).sum())
    if squares == 0:
        return 1.0
    return float(around.sum() ** 2 / (len(around) * squares))


def _shown(samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
    """Return the texts, and the paths of the images below their common folder; "" without a file."""
    files = [sample.image if isinstance(sample.image, Path) else None for sample in samples]
    there = [str(path) for path in files if path is not None]
    root = Path(commonpath(there)) if len(set(there)) > 1 else None
    images = [
        "" if path is None else (path.relative_to(root).as_posix() if root else path.name) for path in files
    ]
    texts = [sample.texts[0] if sample.texts else "" for sample in samples]
    return {"texts": np.asarray(texts), "images": np.asarray(images)}
