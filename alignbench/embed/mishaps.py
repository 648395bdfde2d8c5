"""A run whose cache can't be written or read: it goes on, loses nothing, and says so once."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from alignbench.errors import AlignbenchWarning

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.errors import UnwritableError

    Vectors = NDArray[np.float32]

WAY_OUT = "set ALIGNBENCH_CACHE to another folder, or run with --align-no-embedding-cache"


class UnsavedVectors:
    """Vectors that could not be written to disk, kept in memory as long as their store.

    Args:
        root: the store's folder.
        damaged: the shards that were reported as damaged, and why.
    """

    def __init__(self, root: Path) -> None:
        self.damaged: dict[Path, str] = {}
        self._root = root
        self._rows: dict[Path, dict[str, Vectors]] = {}
        self._said = False

    def keep(self, folder: Path, items: Sequence[str], vectors: Vectors) -> None:
        """Keep rows that belong in a folder of the store."""
        self._rows.setdefault(folder, {}).update(zip(items, vectors, strict=True))

    def rows(self, folder: Path) -> dict[str, Vectors]:
        """Return the rows kept for a folder, by item."""
        return self._rows.get(folder, {})

    def say(self, error: UnwritableError) -> None:
        """Warn, the first time."""
        if not self._said:
            self._said = True
            warnings.warn(
                f"the embedding cache {self._root} can't be written any more ({error.why}): what is computed "
                "from now on is kept for this run only",
                AlignbenchWarning,
                stacklevel=4,
            )
