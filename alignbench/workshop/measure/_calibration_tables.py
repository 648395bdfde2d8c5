"""Tables of the sections of calibration.md: a row for each score and kind of pairs, a column for each n."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.stats import LEVEL, holm_rejects
from alignbench.workshop.measure.truth import table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from alignbench.workshop.measure._calibration_checks import Coverage, RejectionRate

    Of = TypeVar("Of")

    Key = tuple[str, str, int]
    """Score, title of the pairs, n."""
    Rates = Mapping[Key, RejectionRate]


def size_table(cells: Rates, sizes: Sequence[int]) -> str:
    """Return how often each null rejects; what deviates after Holm's correction over all cells is bold."""
    wrong = dict(zip(cells, holm_rejects([rate.p for rate in cells.values()], LEVEL), strict=True))

    def shown(key: Key, rate: RejectionRate) -> str:
        text = f"{100 * rate.shares[1]:.1f}%"
        return f"**{text}, {rate.says}**" if wrong[key] else text

    return _by_n(cells, sizes, shown)


def coverage_table(cells: Mapping[Key, Coverage], sizes: Sequence[int]) -> str:
    """Return the share of intervals that contain the expected score, and their width; short ones are bold."""

    def shown(key: Key, span: Coverage) -> str:
        text = f"{100 * span.covered:.1f}%"
        return f"{f'**{text}**' if span.short else text}, width {span.width:.2f}"

    return _by_n(cells, sizes, shown)


def _by_n(cells: Mapping[Key, Of], sizes: Sequence[int], shown: Callable[[Key, Of], str]) -> str:
    rows = dict.fromkeys((name, title) for name, title, _ in cells)
    return table(
        ["score: pairs", *(f"n = {n}" for n in sizes)],
        (
            [
                f"{name}: {title}",
                *(
                    shown((name, title, n), cells[name, title, n]) if (name, title, n) in cells else "–"
                    for n in sizes
                ),
            ]
            for name, title in rows
        ),
    )
