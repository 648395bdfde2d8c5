"""Keeps the thumbnails and texts of the samples that the report shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from alignbench.datasets.thumbnails import thumbnails
from alignbench.findings.files import ARTIFACTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from alignbench.datasets import Dataset
    from alignbench.session.runfolder import RunFolder

SHOWN_BY = ("influence", "layout")
MOST = 400  # about 0.6 MB of the report; each image is decoded when the run ends


def keep_samples(folder: RunFolder, dataset: Dataset) -> list[str]:
    """Write `artifacts/samples.npz` with at most 400 of the samples in layouts and influences.

    Nothing is written if the run has neither, or if its samples are rows of arrays.

    Returns:
        Warnings for readers of the report: how many images can't be shown, and why.
    """
    wanted = _ids(folder.path / ARTIFACTS)
    known = {sample.id: sample for sample in dataset.samples}
    shown = [known[name] for name in wanted if name in known][:MOST]
    if not (shown and dataset.has_images):
        return []
    arrays, missing = thumbnails(shown)
    folder.write_artifact("samples", arrays)
    if not missing:
        return []
    return [f"the report shows no picture of {len(missing)} of {len(shown)} samples; the first: {missing[0]}"]


def _ids(artifacts: Path) -> Iterable[str]:
    """Return the ids in the run's artifacts: first those with most influence, then the others, shuffled."""
    first: dict[str, None] = {}
    others: set[str] = set()
    for path in sorted(file for kind in SHOWN_BY for file in artifacts.glob(f"{kind}-*.npz")):
        try:
            with np.load(path, allow_pickle=False) as file:
                ids = [str(name) for name in file["ids"]]
                if "influence" in file:
                    order = np.argsort(file["influence"])
                    first |= dict.fromkeys(ids[i] for i in (*order[:10], *order[-10:]))
        except Exception:  # whatever numpy raises for a damaged file; the report says that it can't be read
            continue
        others |= set(ids)
    spread = np.random.default_rng(0).permutation(sorted(others)).tolist()
    return dict.fromkeys((*first, *spread))
