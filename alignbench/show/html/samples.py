"""The samples in the page: thumbnails, layouts in two dimensions, and how each sample affects a score."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from alignbench.metrics import METRICS
from alignbench.plots.style import type_looks
from alignbench.text import clean, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from alignbench.types import Score

    Arrays = Mapping[str, NDArray[Any]]

METHODS = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}
MOST_POINTS = 20_000  # the limit for all layouts together
MOST_MOVERS = 6
_GRID = 1000


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample as the page shows it; `picture` is a data URI that needs no escaping, or ""."""

    id: str
    data_type: str = ""
    text: str = ""
    picture: str = ""


def known_samples(artifacts: Mapping[str, Sequence[Arrays]]) -> dict[str, Shown]:
    """Return id -> sample, for the samples whose thumbnails and texts the run kept."""
    known: dict[str, Shown] = {}
    for arrays in _with(artifacts, "samples", "ids labels texts ends", "pictures"):
        data = np.asarray(arrays["pictures"], dtype=np.uint8).tobytes()
        start = 0
        for name, label, text, end in zip(
            arrays["ids"], arrays["labels"], arrays["texts"], arrays["ends"].tolist(), strict=True
        ):
            known[str(name)] = Shown(clean(name), clean(label), clean(text), _data_uri(data[start:end]))
            start = end
    return known


def _with(artifacts: Mapping[str, Sequence[Arrays]], kind: str, rows: str, *others: str) -> list[Arrays]:
    """Return the artifacts of a kind that have the expected arrays; those of somebody else may not.

    Args:
        artifacts: the run's artifacts.
        kind: the kind of the artifacts.
        rows: the names of the arrays with one row per sample, which must have the same length, not 0.
        others: the names of other required arrays.
    """
    return [
        arrays
        for arrays in artifacts.get(kind, ())
        if {*rows.split(), *others} <= set(arrays)
        and all(arrays[name].ndim for name in rows.split())
        and len({0, *(len(arrays[name]) for name in rows.split())}) == 2
    ]


def _data_uri(picture: bytes) -> Markup:
    kind = "webp" if picture[:4] == b"RIFF" else "jpeg" if picture[:2] == b"\xff\xd8" else ""
    return Markup(f"data:image/{kind};base64,{base64.b64encode(picture).decode()}" if kind else "")


@dataclass(frozen=True, slots=True)
class Space:
    """The interactive picture of the embedding spaces.

    Args:
        data: the data for the page's script: plain JSON in which all text is cleaned.
        methods: method -> its title.
        samples: the number of samples.
        models: the number of models.
        pictures: the number of thumbnails.
    """

    data: Mapping[str, Any]
    methods: Mapping[str, str]
    samples: int
    models: int
    pictures: int


def space(
    artifacts: Mapping[str, Sequence[Arrays]],
    known: Mapping[str, Shown],
    scores: Sequence[Score],
    labels: Mapping[str, str],
    order: Sequence[str] = (),
) -> Space | None:
    """Return the layouts of all models as data for the page; None if none was recorded.

    Args:
        artifacts: the run's artifacts.
        known: id -> the sample with its text and thumbnail.
        scores: the run's scores, which say how far each layout can be trusted.
        labels: model -> its label.
        order: the models in the order of their panels.
    """
    place = {name: i for i, name in enumerate(order)}
    candidates = _with(artifacts, "layout", "ids points labels", "name", "method")
    layouts = sorted(
        (arrays for arrays in candidates if arrays["points"].shape[1:] == (2,)),
        key=lambda arrays: place.get(str(arrays["name"]), len(place)),
    )
    index: dict[str, int] = {}
    types: dict[str, str] = {}
    panels: list[dict[str, Any]] = []
    room = MOST_POINTS
    for arrays in layouts:
        room -= len(arrays["ids"])
        if room < 0:
            break
        ids = [str(name) for name in arrays["ids"]]
        for name, label in zip(ids, arrays["labels"], strict=True):
            index.setdefault(name, len(index))
            types.setdefault(name, clean(label))
        name, method = str(arrays["name"]), str(arrays["method"])
        panels.append(
            {
                "model": clean(labels.get(name, name)),
                "method": clean(method),
                "points": _on_grid(arrays["points"]),
                "samples": [index[sample] for sample in ids],
                "note": _trust(scores, name, method),
            }
        )
    if not panels:
        return None
    looks = type_looks(types.values())
    data = {
        "samples": [
            {
                "id": clean(name),
                "type": types[name],
                "text": known[name].text if name in known else "",
                "picture": known[name].picture if name in known else "",
            }
            for name in index
        ],
        "types": [
            {"name": name, "colour": look.colour, "marker": look.marker} for name, look in looks.items()
        ],
        "panels": panels,
    }
    present = {panel["method"] for panel in panels}
    methods = {m: METHODS.get(m, m) for m in (*METHODS, *sorted(present - set(METHODS))) if m in present}
    return Space(
        data,
        methods,
        len(index),
        len({panel["model"] for panel in panels}),
        sum(bool(sample["picture"]) for sample in data["samples"]),
    )


def _on_grid(points: NDArray[Any]) -> list[list[int]]:
    """Return points [n, 2] as integers from 0 to 1000 in SVG's orientation, each axis on its own scale."""
    values = np.nan_to_num(np.asarray(points, dtype=np.float64))
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    scaled[:, 1] = 1 - scaled[:, 1]
    grid: list[list[int]] = np.rint(scaled * _GRID).astype(int).tolist()
    return grid


def _trust(scores: Sequence[Score], model: str, method: str) -> str:
    values = {
        score.metric: number(score.value)
        for score in scores
        if score.experiment == "embedding"
        and score.variant == method
        and model in {score.encoder, score.llm}
        and score.value is not None
    }
    return ", ".join(f"{name} {values[name]}" for name in ("trustworthiness", "continuity") if name in values)


@dataclass(frozen=True, slots=True)
class Mover:
    """A sample and its effect on a score; `width` is its bar in percent of the largest."""

    sample: Shown
    text: str
    width: float


@dataclass(frozen=True, slots=True)
class Influence:
    """The samples that carry a score (make it better) and those that spoil it, the strongest first."""

    metric: str
    encoder: str
    llm: str
    carry: Sequence[Mover]
    spoil: Sequence[Mover]
    total: int


def influences(
    artifacts: Mapping[str, Sequence[Arrays]], known: Mapping[str, Shown], labels: Mapping[str, str]
) -> list[Influence]:
    """Return the samples with the strongest effects, for each artifact of kind `influence`.

    Its arrays are `ids` (str [g]), `influence` (float [g]: the score minus the score without the sample, so
    that a positive number carries it), `metric`, `encoder` and `llm` (str).
    """
    strongest = []
    for arrays in _with(artifacts, "influence", "ids influence", "metric", "encoder", "llm"):
        ids = [str(name) for name in arrays["ids"]]
        values = np.asarray(arrays["influence"], dtype=np.float64)
        metric = str(arrays["metric"])
        good = np.nan_to_num(values) * (1 if _higher_is_better(metric) else -1)
        order = np.argsort(-good, kind="stable").tolist()
        most = float(np.abs(good).max()) or 1.0
        movers = {
            i: Mover(
                known.get(ids[i], Shown(clean(ids[i]))),
                f"{values[i]:+.2g}",
                round(100 * abs(float(good[i])) / most, 1),
            )
            for i in (*order[:MOST_MOVERS], *order[-MOST_MOVERS:])
        }
        encoder, llm = (str(arrays[side]) for side in ("encoder", "llm"))
        strongest.append(
            Influence(
                metric=metric,
                encoder=labels.get(encoder, encoder),
                llm=labels.get(llm, llm),
                carry=[movers[i] for i in order[:MOST_MOVERS] if good[i] > 0],
                spoil=[movers[i] for i in order[: -MOST_MOVERS - 1 : -1] if good[i] < 0],
                total=len(ids),
            )
        )
    return strongest


def _higher_is_better(metric: str) -> bool:
    return metric not in METRICS.names() or METRICS.get(metric).higher_is_better
