"""The folder of a run, reports/<time>-<name>/, which is claimed before anything is computed."""

from __future__ import annotations

import hashlib
import itertools
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from alignbench.files import claim_folder, make_folder, try_writing, write_atomic
from alignbench.findings.files import ARTIFACTS
from alignbench.paths import exists

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


LONGEST = 150  # bytes of a file's name; file systems allow about 250


def file_stem(name: str) -> str:
    """Return `name` as a file's name, with only those characters that every system allows.

    If this changes the name, or if a system may confuse it with another (by upper and lower case, or by two
    encodings of an accent), a digest of the original is appended, so that two names never share a file.
    """
    safe = "".join(c if c.isalnum() or c in "-_.~" else "_" for c in name)
    safe = safe.encode("utf-8", "ignore")[:LONGEST].decode("utf-8", "ignore")
    if safe == name and name.isascii() and name == name.lower():
        return name
    return f"{safe}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def artifact_name(kind: str, labels: Iterable[str]) -> str:
    """Return the name of the file with arrays of a kind for the models with these labels."""
    return f"{kind}-{'~'.join(dict.fromkeys(labels))}"  # no label has a tilde


def artifact_path(name: str) -> str:
    """Return the path of the file of arrays with this name, relative to a run's folder."""
    return f"{ARTIFACTS}/{file_stem(name)}.npz"


@dataclass
class RunFolder:
    """The folder that a run writes to.

    Args:
        path: the folder, which need not exist yet.
        made: the folders that were created for it, the innermost first.
    """

    path: Path
    made: list[Path] = field(default_factory=list)

    @classmethod
    def named(cls, output_dir: Path, name: str) -> RunFolder:
        """Return the folder of a run that begins now, without creating it; its name has no colon."""
        return cls((output_dir / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}").absolute())

    def claim(self) -> None:
        """Create the folder under a name that no other run has, and check that it can be written to.

        Of two runs that begin in the same second, one gets the name `name-2`.

        Raises:
            UnwritableError: files can't be written there.
        """
        above = (self.path.parent, *self.path.parent.parents)
        missing = list(itertools.takewhile(lambda folder: not exists(folder), above))
        self.path = claim_folder(self.path)
        self.made = [self.path, *missing]
        try_writing(self.path)

    def leave(self) -> None:
        """Remove the folders that were created for the run and are still empty."""
        for folder in self.made:
            with suppress(OSError):  # it is not empty, often because other runs use it, too
                folder.rmdir()

    def write_artifact(self, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> str:
        """Write `artifacts/<name>.npz` atomically and return its path relative to the run folder.

        Different names give different files on every system; see `file_stem`. Two workers that computed the
        same arrays may both write: the file of the last one stays.

        Raises:
            UnwritableError: it can't be written.
        """
        target = self.path / artifact_path(name)
        make_folder(target.parent)
        write_atomic(target, lambda part: np.savez(part, allow_pickle=False, **arrays))
        return target.relative_to(self.path).as_posix()
