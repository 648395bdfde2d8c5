"""The folder that a run leaves: reports/<time>-<name>/, made when the first score or artifact comes."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from alignbench.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


LONGEST = 150  # bytes of a file's name; systems allow some 250


def file_stem(name: str) -> str:
    """Return `name` as that of a file: with characters that every system takes.

    A name that is changed by this, or that a system may take for another (by capitals, by another spelling of
    an accent), ends in a digest of what it was: so two names never share a file.
    """
    safe = "".join(c if c.isalnum() or c in "-_.~" else "_" for c in name)
    safe = safe.encode("utf-8", "ignore")[:LONGEST].decode("utf-8", "ignore")
    if safe == name and name.isascii() and name == name.lower():
        return name
    return f"{safe}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where this run writes.

    Args:
        path: the folder; it may not be there yet.
    """

    path: Path

    @classmethod
    def fresh(cls, output_dir: Path, name: str) -> RunFolder:
        """Return a folder under `output_dir` that no other run has; names hold no colon."""
        stem = time.strftime("%Y%m%d-%H%M%S") + f"-{name}"
        path, again = output_dir / stem, 1
        while path.exists():
            again += 1
            path = output_dir / f"{stem}-{again}"
        return cls(path.absolute())

    def write_artifact(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> str:
        """Write `artifacts/<name>.npz` in one step and return its path relative to the run folder.

        Different names give different files on every system: see `file_stem`.

        Two workers that computed the same arrays may both write: whoever comes last leaves a whole file.
        """
        target = self.path / "artifacts" / f"{file_stem(name)}.npz"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, lambda part: np.savez(part, allow_pickle=False, **arrays))
        return target.relative_to(self.path).as_posix()
