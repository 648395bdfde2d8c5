"""Results that are shared: small files of scores in a folder, apart by the digest of their data."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.errors import AlignbenchError, ConfigError, DataError
from alignbench.findings.choice import RANKED_BY, is_cross_modal
from alignbench.findings.files import is_baseline
from alignbench.findings.findings import Findings
from alignbench.findings.scorefile import is_private
from alignbench.paths import is_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from alignbench.types import Score

_DIGEST = 16  # characters of a folder's name


@dataclass(frozen=True, slots=True)
class Publication:
    """What is published of a run.

    Args:
        place: the file's path in the folder of shared results.
        text: its content.
        scores: the scores in it.
    """

    place: str
    text: str
    scores: tuple[Score, ...]


def publication(findings: Findings, name: str) -> Publication:
    """Return what can be published of a run: the scores that encoders are ranked by, and what they are of.

    They come with the values without each block of samples, from which ties with other encoders follow, but
    without vectors, texts, images, commands and paths.

    Args:
        findings: the run.
        name: the name of the file.

    Raises:
        ConfigError: the name can't be one.
        DataError: the run has no such score, no digest of its data, or something that has to stay private.
    """
    if not re.fullmatch(r"[\w][\w.~-]*", name):
        raise ConfigError(f"publish: {name!r} can't be the name of a file for everybody: use letters and -_.")
    digest = str((findings.run.get("dataset") or {}).get("digest") or "")
    if not re.fullmatch(r"[0-9a-fA-F]{8,}", digest):
        raise DataError(f"{findings.name}: the run does not record a digest of its data")
    scores = tuple(filter(_fit, findings.scores))
    if not scores:
        raise DataError(
            f"{findings.name}: nothing to publish: no score of an encoder with an LLM by any of "
            f"{', '.join(RANKED_BY)}, other than of stand-ins"
        )
    used = {label for score in scores for label in score.weights}
    models = [model for model in findings.models if {model.name, model.label} & used]
    run = {name: value for name, value in findings.run.items() if name in {"dataset", "seed", "versions"}}
    kept = Findings(scores, {**run, "options": _losses(findings), "models": models}, name)
    text = kept.score_file(parts=True)
    for place, said in _texts(json.loads(text)):
        if is_private(said):
            raise DataError(
                f"{findings.name}: {place} is a path of this machine, {said!r}, and is not published; give "
                "the model a name and a revision, or the data a name"
            )
    return Publication(f"{digest[:_DIGEST]}/{name}.json", text, scores)


def read_published(folder: Path, digest: str) -> tuple[tuple[Findings, ...], dict[str, str]]:
    """Return the published results on the same data, and file name -> why it can't be read.

    Args:
        folder: the folder of shared results.
        digest: the digest of the data.
    """
    place = folder / digest[:_DIGEST]
    found, unreadable = [], {}
    for path in sorted(place.glob("*.json")) if is_dir(place) else ():
        try:
            if not is_baseline(path):
                raise DataError("it is no file of scores, as `alignbench publish` writes it")
            found.append(Findings.read(path, path.stem))
        except AlignbenchError as error:
            unreadable[path.name] = str(error)
    return tuple(found), unreadable


def _fit(score: Score) -> bool:
    known = is_cross_modal(score) and score.metric in RANKED_BY and score.value is not None
    return known and "stand-in" not in score.weights.values()


def _losses(findings: Findings) -> dict[str, Any]:
    return {"losses": (findings.run.get("options") or {}).get("losses") or []}


def _texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield (where, text) for every text in JSON data, keys included."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield f"a name in {place or 'the file'}", name
            yield from _texts(item, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _texts(item, f"{place}[{i}]")
