"""Scores that more than one experiment needs: each is computed and filed once, whoever asks for it."""

from __future__ import annotations

ALSO_NEEDED: dict[str, dict[str, tuple[str, ...]]] = {
    "coral": {
        "cka": ("linear_cka", "calibrated_cka"),
        "eas": ("eas", "eas_adjusted"),
    },
    "e2e": {
        "cka": ("linear_cka", "calibrated_cka", "mutual_knn"),
        "coral": ("ncoral",),
        "eas": ("eas", "eas_adjusted"),
    },
}
"""Experiment -> the other experiments of which its figures need scores, and which metrics.

They are those of every encoder with every LLM. `coral` draws CKA against CORAL and the parts of EAS; `e2e`
holds what is found against scores that need no training.
"""


def needed_by(experiment: str, metric: str) -> list[str]:
    """Return the other experiments that need a metric of this experiment.

    Args:
        experiment: that the score is filed under.
        metric: its name.
    """
    return [name for name, needs in ALSO_NEEDED.items() if metric in needs.get(experiment, ())]
