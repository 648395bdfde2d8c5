"""Projects with models of a few lines, for tests of the plugin: deterministic, cached like real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench import paths
from alignbench.findings import read_run

if TYPE_CHECKING:
    import pytest

CONFTEST = """
import zlib

import numpy as np

from alignbench.encoders import ENCODERS
from alignbench.llms import LLMS

pytest_plugins = ["alignbench.plugin.fixtures"]


class Toy:
    width = 12

    def __init__(self, name):
        self.name = self.source = name

    def fingerprint(self):
        return {"source": self.name, "revision": "1"}

    def load(self, device, dtype):
        pass

    def unload(self):
        pass


class ToyEncoder(Toy):
    def embed(self, images):
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        small = np.stack([np.asarray(i.resize((8, 8)), dtype=np.float32).ravel() / 255 for i in images])
        return small @ rng.standard_normal((small.shape[1], self.width)).astype(np.float32)


class ToyLLM(Toy):
    def embed(self, texts):
        rows = np.zeros((len(texts), self.width), dtype=np.float32)
        for row, text in zip(rows, texts):
            for word in text.lower().split():
                row[zlib.crc32((self.name + word).encode()) % self.width] += 1
        return rows


for name in ("toy-a", "toy-b"):
    ENCODERS.add(name, ToyEncoder(name))
for name in ("toy-llm", "toy-llm2"):
    LLMS.add(name, ToyLLM(name))
"""

SELECTION = (
    "--encoders=toy-a,toy-b",
    "--llms=toy-llm",
    "--n-samples=10",
    "--align-permutations=19",
    "--align-no-figures",
)

RECORD = """
import pytest
pytestmark = pytest.mark.cka

@pytest.mark.parametrize("metric", ["linear_cka", "mutual_knn"])
def test_some(metric, pair, record):
    record(metric, pair)
"""


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    given = {arg.partition("=")[0] for arg in args}
    selection = [arg for arg in SELECTION if arg.partition("=")[0] not in given]
    # Figures take longer than all else, and have tests of their own.
    return project.runpytest_subprocess("-p", "no:cacheprovider", "--align-no-figures", *selection, *args)


def scores(project: pytest.Pytester) -> dict[tuple[Any, ...], Any]:
    _, found = read_run(project.path / "reports" / "latest")
    return {score.key: score.to_dict() | {"nodeid": None} for score in found}


def copy_benchmarks(project: pytest.Pytester, *names: str) -> None:
    folder = project.mkdir("benchmarks")
    for name in names:
        (folder / name).write_text((paths.benchmarks() / name).read_text(encoding="utf-8"), encoding="utf-8")
