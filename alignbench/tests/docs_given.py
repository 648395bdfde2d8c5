"""What the Python of the docs is run with, which blocks other tests run, and which none can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from alignbench.experiments.scoring import Settings, score_pair
from alignbench.metrics.moments import Moments
from alignbench.tests.pairs import make_pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alignbench.metrics import Metric
    from alignbench.types import Pair, Score

N = 24

RUN_BY: dict[str, dict[str, str]] = {
    "data.md": {
        "": "test_docs_data.py",  # all but what stands here
        "from alignbench.datasets.synthetic import bar_chart": "",
    },
    "experiments.md": {
        "import alignbench as ab": "test_experiments.py",
        "# conftest.py": "test_experiments.py",
        "alignbench stability": "test_experiments.py",
    },
    "library.md": {
        "# conftest.py": "test_library.py",
        "# test_": "test_library.py",
        "import alignbench as ab": "test_session.py",
        "thumbnails-mini-llama:": "test_docs_shown.py",
    },
    "metrics.md": {"# conftest.py": "test_metrics_properties.py"},
    "models.md": {
        "import numpy as np, timm, torch": "test_docs_convert.py",
        "from     ": "test_docs_convert.py",
        "LLM smollm2": "test_realweights.py",
    },
    "pytest.md": {"# ": "test_hooks.py"},
    "README.md": {"LLM mini-llama": "test_docs_shown.py"},
    "reading.md": {"LLM mini-llama": "test_docs_shown.py"},
    "report.md": {
        "from alignbench import Findings": "test_findings.py",
        "alignbench: 17": "test_docs_shown.py",
    },
    "scale.md": {"#!/bin/bash": "test_docs_scale.py", "score  from": "test_docs_shown.py"},
    "why.md": {"": "test_docs_why.py"},
}
"""Page -> beginning of a block -> the test that runs it; the longest beginning counts."""

NOT_RUN: dict[str, str] = {
    "python3 -m venv": "makes an environment, which the workflow does",
    ". .venv/bin/activate": "enters an environment, which the workflow does",
    "alignbench stability": "an experiment of the page's own: test_experiments.py runs it",
    "[start] image tokens": "the form of a prompt, which no program prints",
}
"""Beginning of a command or of a block that nothing reads, and why."""

FORMS: dict[str, str] = {
    "pytest -n": "names an option; its number is the reader's",
    "python -m alignbench.zoo train": "begins a command of the message; the model's name follows there",
    "pytest --align-update": "the configuration above it names the baseline",
}
"""Commands between backticks that are no whole command, and why. One with NAME in it is not, either."""


def run_by(page: str, text: str) -> str:
    """Return the test that runs a block; "" if it is test_docs_blocks.py."""
    found = [(len(begin), test) for begin, test in RUN_BY.get(page, {}).items() if text.startswith(begin)]
    return max(found)[1] if found else ""


def reason_not_run(text: str) -> str:
    """Return why nothing reads a command or a block; "" if something does."""
    return next((reason for begin, reason in NOT_RUN.items() if text.startswith(begin)), "")


def _sides() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((N, 4))
    x, y = (shared @ rng.standard_normal((4, 6)) + 0.1 * rng.standard_normal((N, 6)) for _ in range(2))
    return {"x": x, "y": y, "types": ["uv"[i % 2] for i in range(N)]}


def _images() -> list[Image.Image]:
    return [Image.new("RGB", (32, 32), (40 * i, 90, 200)) for i in range(4)]


class MeanColour:
    """An encoder as the pages describe one."""

    def embed(self, images: list[Image.Image]) -> np.ndarray:
        return np.stack([np.asarray(image, dtype=float).mean(axis=(0, 1)) for image in images])


def for_scores(folder: Path) -> dict[str, Any]:
    sides = _sides()
    chunks = [(sides["x"], sides["y"], sides["types"])]
    first = {f"{name}_first": part for name, part in zip(("x", "y", "labels"), chunks[0], strict=True)}
    other = Moments.from_arrays(*chunks[0])
    return {**sides, **first, "chunks": chunks, "Moments": Moments, "other_machine": other}


def for_arrays(folder: Path) -> dict[str, Any]:
    sides = _sides()
    np.save(folder / "b.npy", sides["x"])
    ids = [f"image-{i}" for i in range(N)]
    return {"images_a": sides["y"], "texts": sides["x"], "types": sides["types"], "image_ids": ids}


def for_images(folder: Path) -> dict[str, Any]:
    return {"images": _images(), "texts": ["a red circle", "a blue star"], "my_encoder": MeanColour()}


def for_table(folder: Path) -> dict[str, Any]:
    rows = [f"encoder-{i},family-{i % 3},.{i}{i},{30 + i * i}" for i in range(1, 8)]
    (folder / "table.csv").write_text("\n".join(["encoder,family,metric_cka,performance_mmmu", *rows]) + "\n")
    return {}


def for_tests(folder: Path) -> dict[str, Any]:
    def record(metric: Metric, pair: Pair) -> Score:
        return score_pair(metric, pair, Settings(permutations=99), experiment="custom")

    return {"pair": make_pair(), "record": record}


def for_stopwatch(folder: Path) -> dict[str, Any]:
    calls: list[str] = []
    return {"my_step": lambda: calls.append("called"), "stopwatch": lambda work: work.call()}


GIVEN: dict[str, Callable[[Path], dict[str, Any]]] = {
    "from alignbench.metrics import METRICS, linear_cka": for_scores,
    "moments = Moments": for_scores,
    "import alignbench\n\nresult = alignbench.score_arrays": for_arrays,
    "from alignbench.encoders import resolve": for_images,
    "from alignbench import extract_multi_encoder": for_images,
    "from alignbench import assert_aligned": for_tests,
    "import pytest\nfrom alignbench.experiments.speed": for_stopwatch,
    "from pathlib import Path\nfrom alignbench.experiments.validity": for_table,
}
"""Beginning of a block -> makes its files in a folder and returns its names."""

INSTEAD = {
    'resolve("clip"': 'resolve("mini-clip"',
    "mine=hf:org/name": "mine=random-vit",
    'device="cuda"': 'device="cpu"',
    "n_samples=100": "n_samples=10",
}
"""What is run in place of weights that have to be downloaded, of a GPU, and of many drawings."""
