"""What a published table says about scores as predictors, as a run tells it at its end and in its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alignbench.types import Score


@dataclass(frozen=True, slots=True)
class TableSays:
    """What one table says.

    Args:
        title: what the table is.
        source: where its numbers come from.
        notes: what is disputed or was added.
        sentences: the conclusion, and which of its encoders could not be scored, with the reasons.
    """

    title: str
    source: str
    notes: tuple[str, ...]
    sentences: tuple[str, ...]


def tables_of(scores: Iterable[Score]) -> list[TableSays]:
    """Return what each table of a run says; one that was filled for several LLMs is told for each."""
    tables = []
    for score in scores:
        told = score.params
        if score.experiment != "validity" or "table" not in told:
            continue
        filled = f" With our scores for {score.llm}:" if score.llm else ""
        sentences = [f"Which score predicts performance?{filled} {told['statement']}"]
        if left_out := told["left_out"]:
            reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
            sentences.append(
                f"{plural(len(left_out), 'encoder')} of the table could not be scored: {reasons}."
            )
        tables.append(TableSays(told["title"], told["source"], tuple(told["notes"]), tuple(sentences)))
    return tables
