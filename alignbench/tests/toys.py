"""Models of a few lines for tests of the plugin: no torch, deterministic, cached like real ones."""

from __future__ import annotations

CONFTEST = """
import zlib

import numpy as np

from alignbench.encoders import ENCODERS
from alignbench.llms import LLMS

pytest_plugins = ["alignbench.plugin.fixtures"]


class Toy:
    width = 12

    def __init__(self, name):
        self.name = name

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
