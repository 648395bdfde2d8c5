"""Scaling: scores of nested samples, and how many samples the order of encoders takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.experiments.base import Cost, Experiment, Part
from alignbench.experiments.scaling.names import AT_N, CAPTIONS, STANDS

if TYPE_CHECKING:
    from alignbench.experiments.base import Bench
    from alignbench.types import Score


def samples(bench: Bench) -> list[Score]:
    """Return the scores of all pairs over nested samples, and from which size their order stands."""
    from alignbench.experiments.scaling.scores import scaling

    return scaling(bench.pairs(), bench.option("metrics"), bench.basis_settings, bench.option("draws"))


EXPERIMENT = Experiment(
    "scaling",
    "how do scores depend on the number of samples, and from which on does the order stand?",
    (Part("scaling", samples, of=("selection",), cost=Cost(1.5)),),
    options=("metrics", "draws"),
    needs={"cka": ("calibrated_cka",)},
    defaults={"metrics": ("calibrated_cka", "linear_cka", "mutual_knn", "rsa")},
    measures={
        AT_N: "The mean of a metric over random samples of n groups.",
        STANDS: "The smallest n from which samples order the encoders as all samples do, where these tell "
        "them apart.",
        CAPTIONS: "A metric with the vectors of several texts of each image averaged.",
    },
    figures=("alignbench.experiments.scaling.figures",),
    long=True,
    title="Scores over the number of samples",
    place=140,
)
