"""What goes with a score: nulls, intervals, tie groups. Takes metrics as arguments and imports none."""

from alignbench.stats.correlation import Correlation, correlations, smallest_p
from alignbench.stats.evaluation import Evaluation, evaluate
from alignbench.stats.interval import (
    bootstrap_interval,
    deletion_blocks,
    jackknife_error,
    jackknife_interval,
    wilson_interval,
)
from alignbench.stats.permutation import draw_permutations, draw_within, p_value
from alignbench.stats.ranking import holm_rejects, paired_p, tie_groups
from alignbench.stats.splits import assign, one_per_group, repeated_split, rng_for, train_half
from alignbench.stats.trained import corrected_error, corrected_interval, multi_split_p, seed_spread

__all__ = [
    "Correlation",
    "Evaluation",
    "assign",
    "bootstrap_interval",
    "corrected_error",
    "corrected_interval",
    "correlations",
    "deletion_blocks",
    "draw_permutations",
    "draw_within",
    "evaluate",
    "holm_rejects",
    "jackknife_error",
    "jackknife_interval",
    "multi_split_p",
    "one_per_group",
    "p_value",
    "paired_p",
    "repeated_split",
    "rng_for",
    "seed_spread",
    "smallest_p",
    "tie_groups",
    "train_half",
    "wilson_interval",
]
