"""Products of a device are those of the CPU, and every metric's scores are the same with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from alignbench.errors import AlignbenchWarning
from alignbench.experiments.scoring import Settings, evaluate_pair, forget
from alignbench.metrics import METRICS, products, triangles
from alignbench.metrics.products import product, products_on
from alignbench.tests.space_fakes import make_related

DEVICE = "cpu:0"  # to torch the CPU, but not to `products_on`
ROWS = 330  # above FEW, where large forms begin


@pytest.fixture
def every_product(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Send every product to the device, and return the shapes that arrive there."""
    arrived: list[tuple[int, ...]] = []
    on_device = products._on_device

    def spy(x: Any, y: Any, device: str) -> Any:
        arrived.append((*x.shape, y.shape[1]))
        return on_device(x, y, device)

    monkeypatch.setattr(products, "_on_device", spy)
    monkeypatch.setattr(products, "WORTH", 0)
    return arrived


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "read-only"])
def test_a_product_is_that_of_numpy(dtype: Any, layout: str, every_product: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 30)).astype(dtype), rng.normal(size=(30, 20)).astype(dtype)
    if layout == "F":
        x = np.asfortranarray(x)
    if layout == "strided":
        x, y = np.repeat(x, 2, axis=0)[::2], np.repeat(y, 2, axis=1)[:, ::2]
    if layout == "read-only":
        x.flags.writeable = y.flags.writeable = False
    with products_on(DEVICE):
        found = product(x, y)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, x @ y, atol=1e-13 if dtype == np.float64 else 1e-4)
    assert every_product == [(40, 30, 20)]


@pytest.mark.parametrize("form", [lambda x: (x, x.T), lambda x: (x.T, x)])
def test_a_product_with_itself_is_symmetric_to_the_last_bit(form: Any, every_product: Any) -> None:
    x = np.random.default_rng(1).normal(size=(70, 33))
    with products_on(DEVICE):
        found = product(*form(x))
    assert np.array_equal(found, found.T)
    np.testing.assert_allclose(found, np.matmul(*form(x)), atol=1e-13)
    assert every_product


def test_two_views_of_one_matrix_are_not_taken_for_its_transpose(every_product: Any) -> None:
    x = np.random.default_rng(2).normal(size=(9, 9))
    with products_on(DEVICE):
        np.testing.assert_allclose(product(x, x), x @ x, atol=1e-13)
        np.testing.assert_allclose(product(x, x.T[:, :4]), x @ x.T[:, :4], atol=1e-13)


def test_small_products_stay_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AssertionError("a small product was sent to the device")

    monkeypatch.setattr(products, "_on_device", refuse)
    x = np.ones((8, 8))
    with products_on(DEVICE):
        assert product(x, x).sum() == 512


def test_without_memory_the_cpu_computes_and_says_so(
    monkeypatch: pytest.MonkeyPatch, every_product: Any
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(torch, "tensor", full)
    x = np.random.default_rng(3).normal(size=(5, 4))
    with products_on(DEVICE), pytest.warns(AlignbenchWarning, match="no memory for a product of 5 x 4 x 5"):
        found = product(x, x.T)
    assert np.array_equal(found, x @ x.T)


def test_the_device_holds_for_its_context_only() -> None:
    with pytest.raises(ValueError, match="stop"), products_on(DEVICE):
        raise ValueError("stop")
    assert products._DEVICE.get() == products.CPU


@pytest.mark.parametrize(
    ("device", "computing"), [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("mps", "cpu")]
)
def test_only_devices_with_float64_compute_products(device: str, computing: str) -> None:
    assert Settings(device=device).computing == computing


def test_a_gpu_that_torch_can_not_use_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "WORTH", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    x = np.random.default_rng(4).normal(size=(5, 4))
    with products_on("cuda"):
        assert np.array_equal(product(x, x.T), x @ x.T)


def test_triangles_travel_as_well(every_product: list[tuple[int, ...]]) -> None:
    x, y = np.random.default_rng(5).normal(size=(2, 20, 7))
    own, cross = np.zeros((7, 7)), np.zeros((7, 7))
    with products_on(DEVICE):
        lower = triangles.lower_product(x, 0.5)
        triangles.add_products(own, x)
        triangles.add_cross_products(cross, x, y)
    np.testing.assert_allclose(lower, np.tril(0.5 * x.T @ x), atol=1e-13)
    np.testing.assert_allclose(np.tril(own), np.tril(x.T @ x), atol=1e-13)
    np.testing.assert_allclose(cross, x.T @ y, atol=1e-13)
    assert len(every_product) == 3


SENT = {"linear_cka", "debiased_cka", "rbf_cka", "mutual_knn", "cknna", "rsa", "knn_accuracy"}


@pytest.mark.parametrize("name", METRICS.names(default=True))
def test_every_score_is_that_of_the_cpu(
    name: str, every_product: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, metric = make_related(ROWS), METRICS.get(name)

    def score(device: str) -> Any:
        forget()
        monkeypatch.setattr(Settings, "computing", device)
        return evaluate_pair(metric, pair, Settings(permutations=19))

    on_cpu = score(products.CPU)
    assert not every_product
    on_device = score(DEVICE)
    assert on_device.value == pytest.approx(on_cpu.value, rel=1e-10, abs=1e-12)
    for part in ("mean", "std", "p"):
        found, expected = (getattr(of.null, part, None) for of in (on_device, on_cpu))
        assert found == (None if expected is None else pytest.approx(expected, rel=1e-8, abs=1e-12))
    assert bool(every_product) or name not in SENT
