"""A small file of a run's scores alone, one a line, which can be committed and shared."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import MISSING, fields
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

from alignbench.errors import DataError
from alignbench.findings.unlike import SETTINGS, TIMED
from alignbench.schema import shown
from alignbench.types import Null, Score, jsonable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alignbench.types import ModelInfo

KEY, VERSION = "alignbench_scores", 1
# An absolute path, or one in a home folder or above this one, also behind a word such as `npy:`.
_PATH = re.compile(r"(?<![\w.~<>/\\-])(?:[/\\][^\s/\\]|~[\w.-]*[/\\]|[A-Za-z]:[/\\][^/\\]|\.\.[/\\])|\\\\")
_DIGITS = 10  # scores agree to a billionth; more digits would change from machine to machine
_DATA = ("name", "digest", "n", "groups", "types")
_LEFT_OUT = frozenset({"artifact", "reproduce", "nodeid", "deletions", "repeats", "params", "null"})
_FIRST = ("experiment", "metric", "variant", "data_type", "llm", "encoder", "other", "value")
_OF_NULL = ("kind", "mean", "p", "within_p")
_PARAMS = ("mode", "direction", "at", "model", *SETTINGS)
_PREPROCESSING = "preprocessing"
_DEFAULTS = {f.name: jsonable(f.default) for f in fields(Score) if f.default is not MISSING}
_NULL_DEFAULTS = {f.name: None for f in fields(Null) if f.default is not MISSING}
_LISTS: dict[str, Any] = {"flags": [], "deletions": [], "repeats": []}
_EMPTY_RUN: dict[str, Any] = {
    "id": "",
    "started": "",
    "seconds": 0,
    "command": "",
    "git_commit": None,
    "machine": {},
    "loads": [],
    "warnings": [],
}


def score_file(
    run: Mapping[str, Any],
    scores: Iterable[Score],
    models: Iterable[ModelInfo],
    answers: Mapping[str, str],
    *,
    parts: bool = False,
) -> str:
    """Return the file of a run's scores: sorted, one a line, with what makes them comparable.

    Timings are left out, because they differ in every run.

    Args:
        run: the run's description.
        scores: its scores.
        models: its models.
        answers: the verdict for each LLM.
        parts: also write the values without each block, or in each split, which paired intervals need.
    """
    kept = sorted((score for score in scores if score.experiment != TIMED), key=_order)
    weights = {name: model.weights for model in models for name in (model.name, model.label)}
    data = {name: value for name, value in (run.get("dataset") or {}).items() if name in _DATA}
    shared = _Shared(_label(data), int(run.get("seed", 42)), weights, _preprocessing(kept))
    tests = Counter(_order(score) for score in kept)
    lines = [_line(score, shared, parts=parts, named=tests[_order(score)] > 1) for score in kept]
    head = {
        KEY: VERSION,
        "data": data,
        "seed": shared.seed,
        "versions": run.get("versions") or {},
        "losses": (run.get("options") or {}).get("losses") or [],
    }
    blocks = [f" {_dump(name)}: {_dump(value)}" for name, value in head.items()]
    blocks.append(_block("answers", [f"{_dump(llm)}: {_dump(said)}" for llm, said in answers.items()], "{}"))
    blocks.append(_block("models", [_dump(_model(model)) for model in models]))
    told = shared.preprocessing.items()
    blocks.append(_block(_PREPROCESSING, [f"{_dump(name)}: {_dump(how)}" for name, how in told], "{}"))
    blocks.append(_block("scores", list(map(_dump, lines))))
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def is_score_file(data: Any) -> bool:
    """Return whether JSON data is of such a file."""
    return isinstance(data, dict) and KEY in data


def answers_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what such a file adds to a run's description, `answers`: the verdict for each LLM.

    Raises:
        DataError: they are not texts.
    """
    answers = data.get("answers")
    if not isinstance(answers, dict) or not all(isinstance(said, str) for said in answers.values()):
        raise DataError(f"answers: expected a mapping to texts, got {shown(answers)}")
    return {"answers": answers}


def unfolded(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of such a file as a run's scores.json has them, without what the file leaves out.

    Raises:
        DataError: the file has another version, or a part of it is not what it should be.
    """
    if data[KEY] != VERSION:
        raise DataError(f"expected {KEY} {VERSION}, got {shown(data[KEY])}; use a newer alignbench")
    kinds = {"data": dict, "seed": int, "versions": dict, "losses": list, "models": list}
    for name, kind in {**kinds, _PREPROCESSING: dict, "scores": list}.items():
        if not isinstance(data.get(name), kind):
            what = {dict: "a mapping", list: "a list", int: "a whole number"}[kind]
            raise DataError(f"{name}: expected {what}, got {shown(data.get(name))}")
    for name in ("models", "scores"):
        if wrong := [entry for entry in data[name] if not isinstance(entry, dict)]:
            raise DataError(f"{name}: expected mappings, got {shown(wrong[0])}")
    weights = {
        str(name): model.get("weights")
        for model in data["models"]
        for name in (model.get("name"), _named(model))
    }
    shared = _Shared(_label(data["data"]), data["seed"], weights, data[_PREPROCESSING])
    run = {
        **_EMPTY_RUN,
        "options": {"losses": data["losses"]},
        "seed": data["seed"],
        "versions": data["versions"],
        "models": data["models"],
        "dataset": data["data"],
    }
    return {"schema_version": 1, "run": run, "scores": [_restored(line, shared) for line in data["scores"]]}


class _Shared:
    """What most scores of a file have in common, so that their lines need not say it.

    Args:
        data: the label of the data.
        seed: the seed.
        weights: name or label of a model -> the kind of its weights.
        preprocessing: name of a model -> how its vectors were made.
    """

    def __init__(
        self, data: str, seed: int, weights: Mapping[str, Any], preprocessing: Mapping[str, Any]
    ) -> None:
        self.data, self.seed, self.weights, self.preprocessing = data, seed, weights, preprocessing

    def of(self, encoder: object, llm: object, other: object) -> dict[str, Any]:
        """Return the fields of a score of these models as far as they are shared."""
        names = [name for name in (encoder, llm, other) if isinstance(name, str)]
        return {
            "dataset": self.data,
            "seed": self.seed,
            "weights": {name: self.weights[name] for name in names if name in self.weights},
            _PREPROCESSING: {n: self.preprocessing[n] for n in names if n in self.preprocessing},
        }


def _line(score: Score, shared: _Shared, *, parts: bool, named: bool) -> dict[str, Any]:
    """Return the fields of a score that a reader can't know from the defaults and from what is shared."""
    plain = score.to_dict()
    given = _DEFAULTS | shared.of(score.encoder, score.llm, score.other) | _LISTS
    line = {
        name: plain[name]
        for name in dict.fromkeys((*_FIRST, *plain))
        if name not in _LEFT_OUT and not (name in given and plain[name] == given[name])
    }
    if plain["null"] is not None:
        line["null"] = {k: plain["null"][k] for k in _OF_NULL if plain["null"].get(k) is not None}
    if parts:
        line |= {name: plain[name] for name in ("deletions", "repeats") if plain[name]}
    params = {name: plain["params"][name] for name in _PARAMS if name in plain["params"]}
    if params:
        line["params"] = params
    if (how := plain["params"].get(_PREPROCESSING, {})) != given[_PREPROCESSING]:
        line[_PREPROCESSING] = how
    if named:
        line["nodeid"] = score.nodeid
    rounded: dict[str, Any] = _rounded(line)
    return rounded


def _restored(line: Mapping[str, Any], shared: _Shared) -> dict[str, Any]:
    """Return the score that a line describes, as scores.json has it."""
    known = shared.of(*(line.get(name) for name in ("encoder", "llm", "other")))
    score = _DEFAULTS | known | _LISTS | {"encoder": None, "llm": None} | dict(line)
    how, params = score.pop(_PREPROCESSING), score.get("params") or {}
    if isinstance(score["null"], dict):
        score["null"] = _NULL_DEFAULTS | score["null"]
    score["params"] = {**params, _PREPROCESSING: how} if how and isinstance(params, dict) else params
    return score


def _preprocessing(scores: Iterable[Score]) -> dict[str, Any]:
    """Return how the vectors of each model were made in most of the scores, sorted by the model's name."""
    found: dict[str, Counter[str]] = {}
    for score in scores:
        for name, how in dict(score.params.get(_PREPROCESSING) or {}).items():
            found.setdefault(str(name), Counter())[json.dumps(jsonable(how))] += 1
    return {name: json.loads(found[name].most_common(1)[0][0]) for name in sorted(found)}


def _order(score: Score) -> tuple[str, ...]:
    at = json.dumps(jsonable(score.params.get("at")), sort_keys=True)
    sides = (score.llm or "", score.encoder or "", score.other or "")
    return (score.experiment, score.metric, score.variant, score.data_type, *sides, at)


def _model(model: ModelInfo) -> dict[str, Any]:
    """Return a model's description; of a folder with a revision, only the last part of its path."""
    plain: dict[str, Any] = jsonable(model)
    if model.revision and is_private(model.source):
        plain["source"] = PureWindowsPath(model.source).name
    return plain


def is_private(text: str) -> bool:
    """Return whether a text holds a path that says something about its writer's machine."""
    return _PATH.search(text) is not None


def _label(data: Mapping[str, Any]) -> str:
    return f"{data.get('name')}@{str(data.get('digest'))[:8]}"


def _named(description: Mapping[str, Any]) -> str:
    stand_in, name = description.get("stand_in_for"), description.get("name")
    return f"{name} (stand-in for {stand_in})" if stand_in else f"{name}"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _block(name: str, lines: Sequence[str], brackets: str = "[]") -> str:
    """Return a list or a mapping with a line for each of its parts."""
    inside = ",\n".join(f"  {line}" for line in lines)
    return f" {_dump(name)}: {brackets[0]}\n{inside}\n {brackets[1]}" if lines else f' "{name}": {brackets}'
