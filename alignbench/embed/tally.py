"""What a model could not use of the data, counted over all shards and said once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alignbench.embed.batches import UnusableImagesError
from alignbench.embed.models import info_of
from alignbench.errors import AlignbenchWarning

if TYPE_CHECKING:
    from alignbench.weights.protocols import Model


@dataclass(slots=True)
class Tally:
    """What could not be used.

    Args:
        cut: the number of texts of which the model read only the beginning.
        refused: (sample, why) of each image that could not be used.
    """

    cut: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add what could not be used of another part."""
        self.cut += other.cut
        self.refused += other.refused

    def say(self, model: Model, rows: int) -> None:
        """Warn of texts that were cut, and refuse images that could not be used.

        Args:
            model: the model.
            rows: the number of rows that were to be embedded.

        Raises:
            UnusableImagesError: there are any; they are named together, so that a user with five of them in
                100,000 need not find them in five runs.
        """
        if self.cut:
            info = info_of(model, "text")
            warnings.warn(
                f"{info.name}: {self.cut} of {rows} texts have more than {info.params['max_length']} tokens; "
                "the rest was not read",
                AlignbenchWarning,
                stacklevel=2,
            )
        if self.refused:
            raise UnusableImagesError(self.refused)
