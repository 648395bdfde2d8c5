"""`--align-protocol prh` gives what platonic-rep computes of the same features, written out anew in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from alignbench.errors import ConfigError
from alignbench.experiments.layers.grid import BEST, layer_scores, prh_pooling, prh_side
from alignbench.experiments.scoring import Settings
from alignbench.hidden import Layers
from alignbench.metrics.layers import KERNELS, PRH, PRH_K, chance_level, clipped, layer_kernels
from alignbench.session.session import Session
from alignbench.tests.embed_fakes import FakeEncoder, FakeLLM, drawings

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENCODERS = ("mini-clip", "mini-siglip")


def without_outliers(features: torch.Tensor, q: float = 0.95) -> torch.Tensor:
    """Clip at the mean over samples of the quantile of a sample's absolute values, of all layers."""
    limit = torch.quantile(features.abs().flatten(start_dim=1), q, dim=1).mean()
    return features.clamp(-limit, limit)


def nearest(features: torch.Tensor, k: int) -> torch.Tensor:
    products = features @ features.T
    products.fill_diagonal_(-1e8)
    return products.argsort(dim=1, descending=True)[:, :k]


def shared(x: torch.Tensor, y: torch.Tensor, k: int = 10) -> float:
    """Return the mean share of neighbours in common, a sample at a time."""
    pairs = zip(nearest(x, k).tolist(), nearest(y, k).tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / k for a, b in pairs]))


def published(x: torch.Tensor, y: torch.Tensor) -> tuple[float, tuple[int, int]]:
    """Return the best score of two models' features [n, l, d], and its layers."""
    x, y = without_outliers(x), without_outliers(y)
    best, at = 0.0, (0, 0)
    for i in range(x.shape[1]):
        for j in range(y.shape[1]):
            score = shared(functional.normalize(x[:, i], dim=-1), functional.normalize(y[:, j], dim=-1))
            if score > best:
                best, at = score, (i, j)
    return best, at


@pytest.mark.slow
def test_a_run_with_built_in_models_is_what_the_authors_code_gives() -> None:
    session = Session(
        encoders=list(ENCODERS), llms=["mini-llama"], n_samples=5, permutations=19, protocol="prh"
    )
    result = session.run("layers")
    scores = {score.encoder: score for score in result.scores if score.variant == BEST}
    [llm] = session.llms.values()
    text = torch.from_numpy(session.layers(llm).by("mean")).double()
    assert len(text) == 15
    for encoder in session.encoders.values():
        found = session.layers(encoder)
        assert found.first == 0
        pooling = "cls" if "cls" in found.poolings else "mean"
        vision = torch.from_numpy(found.by(pooling)[:, 1:]).double()  # their encoders give blocks only
        value, (row, column) = published(vision, text)
        score = scores[encoder.info.label]
        assert score.value == pytest.approx(value, abs=1e-12)
        assert (score.params["encoder_layer"], score.params["llm_layer"]) == (row + 1, column)
        assert score.params["layer_pooling"] == pooling
        assert (score.metric, score.params["protocol"], score.params["k"]) == ("prh_mutual_knn", "prh", 10)
    drawn: Any = result.figure("layer_grid")
    labels = [ax.get_ylabel() for ax in drawn.axes if ax.get_ylabel()]
    assert labels == ["encoder layer", "prh_mutual_knn\n(from chance, 0.714, on)"]  # 10 of 14 others
    said = " ".join(drawn._supxlabel.get_text().split())
    assert said.startswith(
        "Drawn: the share of 10 nearest neighbours by cosine that two layers have in common"
    )


def given(values: NDArray[np.float32], first: int = 0, poolings: tuple[str, ...] = ("mean",)) -> Layers:
    """Return layers [n, l, d] of a model."""
    ids = tuple(f"s{i}" for i in range(len(values)))
    stacked = np.repeat(values[:, :, None], len(poolings), axis=2)
    return Layers(FakeLLM("mouth").info, stacked, poolings, ids, first)


def random_layers(n: int = 30, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return layers of two models with a few large values; they have two directions in common."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_t(2, size=(n, 3, 8)) + 1, rng.standard_t(2, size=(n, 4, 6))
    y[:, :, :2] += x[:, :1, :2]
    return x.astype(np.float32), y.astype(np.float32)


def scored(x: Layers, y: Layers, n: int = 30) -> list[Any]:
    eye = FakeEncoder("eye")
    found, _ = layer_scores(
        eye,
        FakeLLM("mouth"),
        lambda model: x if model is eye else y,
        drawings(n),
        Settings(permutations=19),
        "prh",
    )
    return found


@pytest.mark.parametrize("name", [*KERNELS, *PRH])
def test_the_chance_level_is_the_mean_over_re_pairings(name: str) -> None:
    rng = np.random.default_rng(0)
    a, b = (layer_kernels(rng.standard_normal((14, 1, 3)), name)[0] for _ in range(2))
    a += b / 2  # the mean over re-pairings is the same, however alike the two sides are
    shuffles = (rng.permutation(14) for _ in range(4000))
    drawn = [float((a * b[np.ix_(p, p)]).sum()) / 1.5 for p in shuffles]
    error = 5 * np.std(drawn) / np.sqrt(len(drawn))
    assert np.mean(drawn) == pytest.approx(chance_level(name, 14), abs=error)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("seed", [0, 1])
def test_heavy_tails_are_clipped_as_published_and_no_mean_is_subtracted(first: int, seed: int) -> None:
    x, y = random_layers(seed=seed)
    value, (row, column) = published(
        torch.from_numpy(x[:, 1 - first :]).double(), torch.from_numpy(y).double()
    )
    best = scored(given(x, first, ("cls", "mean")), given(y))[0]
    assert best.value == pytest.approx(value, abs=1e-12)
    assert (best.params["encoder_layer"], best.params["llm_layer"]) == (row + 1, column)
    assert best.params["layers"] == [2 + first, 4]
    assert best.null.kind == "highest of all layers, permutation of groups"


def test_the_limit_is_the_mean_of_the_rows_own_quantiles() -> None:
    x, _ = random_layers()
    expected = without_outliers(torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(clipped(x.astype(np.float64)), expected, atol=1e-12)


def test_layers_of_several_widths_are_clipped_each_alone() -> None:
    x, _ = random_layers()
    x[:, 0, 3:] = 0.0  # a layer of width 3, filled with zeros
    found = prh_side(given(x), np.arange(30))
    for layer, width in ((0, 3), (1, 8), (2, 8)):
        alone = torch.from_numpy(x[:, layer : layer + 1, :width]).double()
        np.testing.assert_allclose(found[:, layer, :width], without_outliers(alone)[:, 0], atol=1e-12)
    assert not found[:, 0, 3:].any()


def test_cls_is_taken_where_there_is_one_whatever_the_family_embeds_by() -> None:
    x, _ = random_layers()
    assert prh_pooling(given(x, poolings=("mean", "cls"))) == "cls"
    assert prh_pooling(given(x, poolings=("mean",))) == "mean"


def test_ten_neighbours_take_twelve_groups() -> None:
    assert PRH_K == 10
    x, y = random_layers(11)
    [score] = scored(given(x), given(y), 11)
    assert score.status == "not_applicable"
    assert "12" in score.reason
    x, y = random_layers(12)
    assert scored(given(x), given(y), 12)[0].value is not None


def test_only_known_protocols_are_taken() -> None:
    with pytest.raises(ConfigError, match=r"protocol: unknown value .phr.\. Did you mean .prh."):
        Session(protocol="phr")
