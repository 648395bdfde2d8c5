"""What accompanies a score: nulls, intervals, tie groups. It takes metrics as arguments and imports none."""

from alignbench.stats.best import probability_best
from alignbench.stats.correlation import Correlation, correlations, smallest_p, without_each
from alignbench.stats.difference import paired_difference, unpaired_difference
from alignbench.stats.evaluation import Evaluation, evaluate, evaluate_within
from alignbench.stats.interval import (
    bootstrap_interval,
    deletion_blocks,
    jackknife_error,
    jackknife_interval,
    wilson_interval,
)
from alignbench.stats.joint import Joint, joint_of_deletions, joint_of_repeats
from alignbench.stats.leader import LEVEL, leader_quantile, pair_level
from alignbench.stats.linear import FitQuality, explained
from alignbench.stats.needed import needed_of_ties, samples_needed
from alignbench.stats.permutation import draw_permutations, draw_within, p_value
from alignbench.stats.ranking import holm_rejects, paired_p, tie_groups
from alignbench.stats.splits import assign, one_per_group, repeated_split, rng_for, seed_for, train_half
from alignbench.stats.standings import Standings, beats_shuffled, joint_of, standings
from alignbench.stats.trained import corrected_error, corrected_interval, multi_split_p, seed_spread

__all__ = [
    "LEVEL",
    "Correlation",
    "Evaluation",
    "FitQuality",
    "Joint",
    "Standings",
    "assign",
    "beats_shuffled",
    "bootstrap_interval",
    "corrected_error",
    "corrected_interval",
    "correlations",
    "deletion_blocks",
    "draw_permutations",
    "draw_within",
    "evaluate",
    "evaluate_within",
    "explained",
    "holm_rejects",
    "jackknife_error",
    "jackknife_interval",
    "joint_of",
    "joint_of_deletions",
    "joint_of_repeats",
    "leader_quantile",
    "multi_split_p",
    "needed_of_ties",
    "one_per_group",
    "p_value",
    "pair_level",
    "paired_difference",
    "paired_p",
    "probability_best",
    "repeated_split",
    "rng_for",
    "samples_needed",
    "seed_for",
    "seed_spread",
    "smallest_p",
    "standings",
    "tie_groups",
    "train_half",
    "unpaired_difference",
    "wilson_interval",
    "without_each",
]
