"""The vectors of models, read from `npy:` files, have the scores of the models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench import paths
from alignbench.datasets import Dataset, load_mixed
from alignbench.embed import Embedder, EmbeddingStore
from alignbench.encoders import resolve
from alignbench.experiments.scoring import Settings, score_pair
from alignbench.llms import resolve as resolve_llm
from alignbench.metrics import METRICS
from alignbench.tests.toys import copy_benchmarks, run, scores
from alignbench.types import Pair

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["serial", "workers"])
def test_the_vectors_of_models_score_as_the_models(project: pytest.Pytester, args: tuple[str, ...]) -> None:
    copy_benchmarks(project, "test_cka.py", "test_eas.py")
    project.makepyfile(
        test_save="""
import numpy as np

def test_save(selection):
    for name in [*selection.encoders, *selection.llms]:
        np.save(f"{name}.npy", selection.embeddings(name).values)
"""
    )
    assert run(project, "test_save.py", "--align-no-l2").ret == 0
    assert run(project, "benchmarks", *args).ret == 0
    models = scores(project)
    files = ("--encoders=npy:toy-a.npy,npy:toy-b.npy", "--llms=npy:toy-llm.npy")
    assert run(project, "benchmarks", "--align-dataset=sample_data", *files, *args).ret == 0
    found = scores(project)
    assert models.keys() == found.keys()
    for key, score in models.items():
        assert found[key]["value"] == pytest.approx(score["value"], abs=1e-12)
        assert found[key]["null"] == score["null"]
        assert found[key]["dataset"] == score["dataset"]


@pytest.fixture(scope="module")
def minis(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, EmbeddingStore]:
    """The packaged samples, and a store with the vectors of mini-clip and mini-llama over them."""
    dataset, store = (
        load_mixed(30, root=paths.sample_data()),
        EmbeddingStore(tmp_path_factory.mktemp("cache")),
    )
    pair_of(dataset, store, "mini-clip", "mini-llama")
    return dataset, store


def pair_of(dataset: Dataset, store: EmbeddingStore, encoder: str, llm: str, *, l2: bool = True) -> Pair:
    x = Embedder(store).images(resolve(encoder, l2=l2), dataset)
    y = Embedder(store).texts(resolve_llm(llm, l2=l2), dataset)
    return Pair(x, y, dataset.labels, dataset.groups, dataset.label)


@pytest.mark.parametrize("l2", [True, False], ids=["of unit length", "as the model gave them"])
def test_the_minis_vectors_from_files_score_as_the_minis(
    minis: tuple[Dataset, EmbeddingStore], tmp_path: Path, l2: bool
) -> None:
    dataset, store = minis
    given = pair_of(dataset, store, "mini-clip", "mini-llama", l2=l2)
    np.save(tmp_path / "x.npy", given.x.values)
    np.save(tmp_path / "y.npy", given.y.values)
    models = pair_of(dataset, store, "mini-clip", "mini-llama")
    arrays = pair_of(dataset, EmbeddingStore(None), f"a=npy:{tmp_path}/x.npy", f"b=npy:{tmp_path}/y.npy")
    settings = Settings(permutations=19, dims=(models.x.dim, models.y.dim))
    for metric in map(METRICS.get, METRICS):
        ours, theirs = (
            score_pair(
                metric,
                p if metric.two_sided else Pair(p.x, p.x, p.labels, p.groups, p.dataset),
                settings,
                experiment="x",
            )
            for p in (models, arrays)
        )
        assert theirs.value == pytest.approx(ours.value, abs=1e-12), metric.name
        assert theirs.deletions == pytest.approx(ours.deletions, abs=1e-12)
        assert theirs.null == ours.null
