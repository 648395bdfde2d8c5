"""The models, failures and labels of a run, from its description as in scores.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.types import Failure, ModelInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alignbench.types import Score


def models_of(run: Mapping[str, Any]) -> tuple[ModelInfo, ...]:
    """Return the run's models."""
    return tuple(m if isinstance(m, ModelInfo) else ModelInfo(**m) for m in run.get("models", ()))


def failures_of(run: Mapping[str, Any]) -> tuple[Failure, ...]:
    """Return the failures of the run's tests."""
    return tuple(f if isinstance(f, Failure) else Failure.from_dict(f) for f in run.get("failures", ()))


def origin_of(run: Mapping[str, Any]) -> str:
    """Return where the run's data came from; "" for a run that did not end."""
    return str(run.get("dataset", {}).get("origin", ""))


def labels_of(run: Mapping[str, Any], scores: Iterable[Score] = ()) -> dict[str, str]:
    """Return the label of each model by its name and by its label, because scores may use either.

    The label of a stand-in says so: `mini-clip (stand-in for clip)`. A model whose tests all failed has a
    label, too.
    """
    labels = {name: name for failure in failures_of(run) for name in failure.models}
    for score in scores:
        for name in (score.encoder, score.llm, score.other):
            if name is not None:
                stand_in = score.weights.get(name) == "stand-in" and "stand-in" not in name
                labels.setdefault(name, f"{name} (stand-in)" if stand_in else name)
    for model in models_of(run):
        labels |= {model.name: model.label, model.label: model.label}
    return labels
