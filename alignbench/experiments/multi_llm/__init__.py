"""Every encoder with every LLM, by the metrics of `--align-metrics`."""

from __future__ import annotations

from alignbench.experiments.base import Experiment, Part, one_score

EXPERIMENT = Experiment(
    "multi_llm",
    "every encoder with every LLM, by any metric",
    (Part("multi_llm", one_score, of=("compared_pair",), sweep={"metric": "metrics"}),),
    options=("metrics",),
    figures=("alignbench.experiments.multi_llm.figures",),
    title="Every encoder with every LLM",
    place=30,
)
