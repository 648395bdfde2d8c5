"""Differences between two runs besides their scores: those that rule out a comparison, and others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from alignbench.names import models_of
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from alignbench.types import ModelInfo, Score

    Matched = Sequence[tuple[Score, Score]]

TIMED = "speed"
_DIGEST = 12
# The params of a score that somebody chose; the others are results.
SETTINGS = (
    *("align", "k", "fraction", "projector", "loss", "epochs", "splits", "seeds", "optimizer", "lr"),
    *("patience", "test_to_train", "controls", "method", "device", "threads"),
)


def same_data(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool | None:
    """Return whether two runs have the same samples in the same groups; None if one does not record it."""
    sides = [run.get("dataset") or {} for run in (before, after)]
    if not all(side.get("digest") for side in sides):
        return None
    return all(sides[0].get(name) == sides[1].get(name) for name in ("digest", "groups"))


def why_unlike(before: Mapping[str, Any], after: Mapping[str, Any], matched: Matched) -> list[str]:
    """Return a line for each reason why the scores of two runs do not measure the same.

    Args:
        before: the description of run A, as `read_run` returns it; empty if the run did not finish.
        after: the description of run B.
        matched: the scores that are in both runs, as (A's, B's).
    """
    if not matched:
        return []
    return [
        *_data(before, after, matched),
        *_weights(before, after, matched),
        *(
            f"preprocessing of {model}: {name} {a} in A, {b} in B"
            for (model, name, a, b), _ in _counted(_preprocessing(matched))
        ),
        *(f"seed: {a} in A, {b} in B" for (a, b), _ in _counted(_seeds(matched))),
    ]


def what_else_differs(before: Mapping[str, Any], after: Mapping[str, Any], matched: Matched) -> list[str]:
    """Return a line for each other difference: settings, the machine of timings, and code."""
    lines = [
        f"{name} {a} in A, {b} in B, for {plural(count, 'score')}"
        for (name, a, b), count in _counted(_settings(matched))
    ]
    if not (before and after):
        return lines
    lines += machines_differ(before, after, matched)
    sides = (before.get("versions") or {}, after.get("versions") or {})
    commits = (before.get("git_commit"), after.get("git_commit"))
    code = {"commit": commits} if all(commits) else {}
    code |= {name: (sides[0].get(name), sides[1].get(name)) for name in dict.fromkeys((*sides[0], *sides[1]))}
    changed = [f"{name} {a} in A, {b} in B" for name, (a, b) in code.items() if a != b]
    return [*lines, "; ".join(changed)] if changed else lines


def machines_differ(before: Mapping[str, Any], after: Mapping[str, Any], matched: Matched) -> list[str]:
    """Return a line for each difference between the machines of timings; none without timings."""
    if not any(score.experiment == TIMED for score, _ in matched):
        return []
    sides = (before.get("machine") or {}, after.get("machine") or {})
    return [
        f"machine of the timings: {name} {sides[0].get(name)} in A, {sides[1].get(name)} in B"
        for name in dict.fromkeys((*sides[0], *sides[1]))
        if sides[0].get(name) != sides[1].get(name)
    ]


def _counted(found: Iterable[tuple[Any, ...]]) -> list[tuple[tuple[Any, ...], int]]:
    return list(Counter(found).items())


def _data(before: Mapping[str, Any], after: Mapping[str, Any], matched: Matched) -> Iterator[str]:
    if same_data(before, after) is False:
        yield f"data: {_data_text(before['dataset'])} in A, {_data_text(after['dataset'])} in B"
        return
    for a, b in dict.fromkeys((a.dataset, b.dataset) for a, b in matched if a.dataset != b.dataset):
        yield f"data: {a} in A, {b} in B"


def _data_text(data: Mapping[str, Any]) -> str:
    groups = "" if data.get("groups") is None else f" in {data['groups']} groups"
    return f"{data.get('name')} {str(data['digest'])[:_DIGEST]} of {data.get('n')} samples{groups}"


def _weights(before: Mapping[str, Any], after: Mapping[str, Any], matched: Matched) -> Iterator[str]:
    models = []
    for name, run in (("A", before), ("B", after)):
        if not run:
            yield f"weights: those of {name} are unknown, because its run did not finish"
        models.append({model.label: model for model in models_of(run)})
    used = {name for score, _ in matched for name in (score.encoder, score.llm, score.other)}
    for label, a in models[0].items():
        b = models[1].get(label)
        if b is not None and label in used and _source(a) != _source(b):
            first, second = _weights_texts(a, b)
            yield f"weights of {label}: {first} in A, {second} in B"


def _source(model: ModelInfo) -> tuple[str | None, ...]:
    # A revision identifies weights wherever they are stored; without one, only their source is known.
    return (model.weights, model.revision or model.source)


def _weights_texts(a: ModelInfo, b: ModelInfo) -> tuple[str, str]:
    short = [_revision(model) for model in (a, b)]
    if a.source != b.source or short[0] == short[1]:
        return f"{a.source} ({a.weights_words} {short[0]})", f"{b.source} ({b.weights_words} {short[1]})"
    return short[0], short[1]


def _revision(model: ModelInfo) -> str:
    kind, colon, digest = (model.revision or "of no revision").rpartition(":")
    return f"{kind}{colon}{digest[:_DIGEST]}" if colon else digest


def _preprocessing(matched: Matched) -> Iterator[tuple[str, str, Any, Any]]:
    for before, after in matched:
        first, second = (_sides(score) for score in (before, after))
        for model in first:
            if model in second:
                for name in dict.fromkeys((*first[model], *second[model])):
                    a, b = first[model].get(name), second[model].get(name)
                    if a != b:
                        yield model, name, str(a), str(b)


def _sides(score: Score) -> dict[str, Mapping[str, Any]]:
    """Return model -> how its vectors were made, as far as the score records it."""
    recorded = score.params.get("preprocessing")
    if isinstance(recorded, dict):
        return {str(model): how for model, how in recorded.items() if isinstance(how, dict)}
    how = score.params.get("model")
    return {str(score.encoder or score.llm): how} if isinstance(how, dict) else {}


def _seeds(matched: Matched) -> Iterator[tuple[int, int]]:
    return ((a.seed, b.seed) for a, b in matched if a.seed != b.seed)


def _settings(matched: Matched) -> Iterator[tuple[str, str, str]]:
    for before, after in matched:
        settings = {name: (before.params.get(name), after.params.get(name)) for name in SETTINGS}
        settings["unit"] = (before.unit, after.unit)
        settings["higher_is_better"] = (before.higher_is_better, after.higher_is_better)
        for name, (a, b) in settings.items():
            if a != b:
                yield name, str(a), str(b)
