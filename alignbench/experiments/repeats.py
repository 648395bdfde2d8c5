"""How often a trained score is computed, and what its training reads: declared before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alignbench.projectors import OF_PATCHES, RIDGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.experiments.base import Bench, Use

PERMUTATIONS = 999
SOLVED_SPLITS = 40  # if projectors are solved rather than trained


def patches_if_read(values: Mapping[str, object]) -> frozenset[Use]:
    """Return what training `values["projector"]` needs of an encoder besides its embeddings."""
    return frozenset({"patches"}) if values.get("projector") == OF_PATCHES else frozenset()


@dataclass(frozen=True, slots=True)
class Repeats:
    """Number of splits, seeds and epochs of a trained score.

    Args:
        seed: the seed of splits, initial weights and controls.
        splits: how often the groups are split into those to train on and those that are held out.
        seeds: the number of trainings per split, each from other initial weights.
        epochs: the most passes over the training rows.
        permutations: the number of permutations of held-out pairs, if these give p.
        device: "cpu", "cuda", ...
    """

    seed: int = 42
    splits: int = 5
    seeds: int = 5
    epochs: int = 300
    permutations: int = PERMUTATIONS
    device: str = "cpu"

    @classmethod
    def of(cls, bench: Bench, loss: str = "") -> Repeats:
        """Return the repeats that the options of a run ask for.

        Args:
            bench: the bench of the run.
            loss: the loss of the projectors. Solving them ("ridge") costs little, so they get more splits,
                which make intervals narrower.
        """
        from alignbench.weights.precision import resolve_device

        permutations = bench.option("permutations")
        return cls(
            bench.option("seed"),
            bench.option("splits", SOLVED_SPLITS if loss == RIDGE else None),
            bench.option("seeds"),
            bench.option("epochs"),
            PERMUTATIONS if permutations is None else permutations,
            resolve_device(bench.option("device")),
        ).for_loss(loss)

    def for_loss(self, loss: str) -> Repeats:
        """Return the same with one seed if projectors are solved, since those have no initial weights."""
        return replace(self, seeds=1) if loss == RIDGE else self
