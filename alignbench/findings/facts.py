"""How a run was made, as names and values in plain text that the caller has to escape."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.names import models_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

EXAMPLES = 3
_DIGEST = 12


def facts(run: Mapping[str, Any]) -> dict[str, str]:
    """Return what a reader needs to judge a run, the command first; empty for a run that did not finish."""
    if not run:
        return {}
    dataset = run.get("dataset", {})
    return {
        "command": str(run.get("command", "")),
        "started": f"{run.get('started', '')}, took {run.get('seconds') or 0:.0f} s",
        "dataset": ", ".join(
            f"{key} {_short(_cut(key, value))}"
            for key, value in dataset.items()
            if key != "dropped" and value not in ([], (), {})
        ),
        "weights loaded": _loads(run.get("loads", ()), {m.weights for m in models_of(run)}),
        "seed": str(run.get("seed", "")),
        "commit": str(run.get("git_commit") or "not in a git repository")[:40],
        "versions": ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items()),
        "machine": ", ".join(
            f"{key} {_short(value)}"
            for key, value in run.get("machine", {}).items()
            if value not in ([], (), {})
        ),
    }


@dataclass(frozen=True, slots=True)
class DroppedRows:
    """Rows that could not be used for one reason: how many, and where the first of them are."""

    reason: str
    count: int
    examples: tuple[str, ...]


def dropped_rows(run: Mapping[str, Any]) -> list[DroppedRows]:
    """Return the rows that could not be used, by reason, the most frequent reason first."""
    dropped: list[Mapping[str, Any]] = [
        row if isinstance(row, dict) else {"where": "", "reason": str(row)}
        for row in run.get("dataset", {}).get("dropped", ())
    ]
    counts = Counter(str(row.get("reason", "")) for row in dropped)
    return [
        DroppedRows(
            reason,
            count,
            tuple(str(d.get("where", "")) for d in dropped if str(d.get("reason", "")) == reason)[:EXAMPLES],
        )
        for reason, count in counts.most_common()
    ]


def _loads(loads: Sequence[Mapping[str, Any]], weights: Collection[str]) -> str:
    if not loads and not weights:
        return "none: no score needed a model"
    if not loads and set(weights) == {"arrays"}:
        return "none: all embeddings were computed elsewhere"
    if not loads:
        return "none: all embeddings were cached"
    by_model: dict[object, list[Mapping[str, Any]]] = {}
    for load in loads:
        by_model.setdefault(load.get("model"), []).append(load)
    return ", ".join(f"{model} {_times(its_loads)}" for model, its_loads in by_model.items())


def _times(loads: Sequence[Mapping[str, Any]]) -> str:
    """Return how long all loads of one model took, how many there were, and how many were for timings."""
    text = f"in {sum(load.get('seconds') or 0 for load in loads):.1f} s"
    timed = sum(load.get("purpose") == "timing" for load in loads)
    if len(loads) == 1:
        return f"{text} to be timed" if timed else text
    return f"{text} ({len(loads)} times" + (f", {timed} to be timed)" if timed else ")")


def _cut(key: str, value: object) -> object:
    return value[:_DIGEST] if key == "digest" and isinstance(value, str) else value


def _short(value: object) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{k} {v}" for k, v in value.items()) + ")"
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(str, value)) + ")"
    return str(value)
