"""Published tables of encoders with the results of VLMs, and what they say about scores as predictors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.experiments.validity.published.claims import Claim
from alignbench.experiments.validity.table import read_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.experiments.validity.table import Table


@dataclass(frozen=True, slots=True)
class Published:
    """A table of encoders, and what has to be known before it is believed.

    Args:
        name: the name by which an option names it.
        title: what it is, for readers.
        path: its file.
        source: where its numbers come from.
        notes: what is disputed or was added, each in a sentence.
        claims: combinations of its scores that are said to predict its outcomes.
        labels: those columns of scores that are labels of the encoders, for comparison with the real scores.
    """

    name: str
    title: str
    path: Path
    source: str = ""
    notes: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    labels: tuple[str, ...] = ()

    def blocks(self) -> dict[str, Table]:
        """Return block -> the table of its rows.

        Raises:
            DataError: the file can't be used.
        """
        return read_blocks(self.path, scored=False)


_HERE = Path(__file__).parent
_LABEL = (
    "language_supervised is a label and no score: 1 for an encoder that was trained with texts and 0 for any "
    "other, to show what that alone predicts."
)
PUBLISHED: Mapping[str, Published] = {
    table.name: table
    for table in (
        Published(
            "law",
            "Law of Vision Representation: 13 encoders, LLaVA-1.5's recipe, Vicuna-7B",
            _HERE / "law.csv",
            source=(
                "arXiv 2408.16357, and policy/ablations_t.csv of the repository "
                "bronyayang/Law_of_Vision_Representation_in_MLLMs at 2e03055; a_loglik_v3 is Table 6 of "
                "version 3"
            ),
            notes=(
                "a_cos_v1, the A score of version 1, is a cosine to CLIP, so CLIP gets the largest values "
                "by construction.",
                "DINOv2's TextVQA of 14.27 is disputed in issue 12 of the repository; Cambrian-1 has 44 "
                "to 45.",
                "CLIP224+DINOv2 and CLIP336+DINOv2 join encoders that are in the table themselves, so they "
                "are not independent of them.",
                _LABEL,
            ),
            claims=(
                Claim("the AC score", ("metric_a_loglik_v3", "metric_c_pck10"), 2),
                Claim(
                    "the A score beside the label", ("metric_language_supervised", "metric_a_loglik_v3"), 1
                ),
            ),
            labels=("metric_language_supervised",),
        ),
        Published(
            "cambrian1",
            "Cambrian-1: up to 23 encoders under 4 recipes, Vicuna-1.5-7B",
            _HERE / "cambrian1.csv",
            source="arXiv 2406.16860, Tables 11 (0M frozen), 12 (0.5M frozen), 13 and 14 (1.2M)",
            notes=(
                "It has no score of its own: --fill computes ours. resolution is the side of the input in "
                "pixels.",
                "In Tables 11 and 12 ConvNeXt-L@1024 has an MMBench of 15 and 13, and 58 in Table 13.",
                "Table 12 has an I-JEPA ViT-L/14 where the others have a ViT-H/14; it may be the same model.",
                "Two resolutions of the same weights are one lineage, of which correlations take the first.",
                _LABEL,
            ),
            labels=("metric_language_supervised", "metric_resolution"),
        ),
    )
}
"""Name -> the table."""


def table_of(place: str | Path) -> Published:
    """Return the published table of that name, or the table in a file of one's own."""
    if isinstance(place, Path):
        return Published(place.stem, place.name, place, source=place.name)
    return PUBLISHED[place]
