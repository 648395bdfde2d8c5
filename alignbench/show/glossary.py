"""What each metric measures, in one sentence."""

from __future__ import annotations

from alignbench.experiments import experiments
from alignbench.metrics import METRICS


def measures(metric: str) -> str:
    """Return what the metric measures, from its experiment or its docstring; "" if neither says."""
    for experiment in experiments():
        if metric in experiment.measures:
            return experiment.measures[metric]
    if metric not in METRICS.names():
        return ""
    lines = (METRICS.get(metric).fn.__doc__ or "").strip().splitlines()
    text = lines[0].removeprefix("Return ").replace("`", "") if lines else ""
    return text[:1].upper() + text[1:]
