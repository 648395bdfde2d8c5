"""Layers: all in one pass, each cell what the metric says, and the best judged as the best of many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.embed import Embedder, EmbeddingStore, gives
from alignbench.encoders import resolve
from alignbench.errors import InputError, LayersMissingError, TooFewSamplesError
from alignbench.experiments.layers.grid import BEST, LAST, layer_grid, layer_scores
from alignbench.experiments.scoring import Settings
from alignbench.hidden import Layers
from alignbench.llms import resolve as resolve_llm
from alignbench.metrics import METRICS
from alignbench.metrics.layers import KERNELS, cell_products, layer_kernels
from alignbench.plots import FIGURES, FigureInputs
from alignbench.rows import unit_rows
from alignbench.stats import draw_permutations, one_per_group, rng_for
from alignbench.tests import tiny_models as tiny
from alignbench.tests.embed_fakes import FakeEncoder, FakeLLM, drawings
from alignbench.tests.toys import copy_benchmarks, run, scores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from alignbench.datasets import Dataset

HOW: dict[str, Any] = {"device": "cpu", "dtype": "float32"}


def few(n: int = 6) -> Dataset:
    return drawings(n)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["clip", "siglip", "dinov2", "internvit", "paligemma", "vit"])
def test_every_layer_of_an_encoder_is_what_asking_for_it_gives(
    family: str, folders: Callable[[str], Path], store: EmbeddingStore
) -> None:
    found = Embedder(store, **HOW).layers(resolve(str(folders(family))), few())
    assert found.poolings == (("mean",) if family in ("siglip", "paligemma") else ("cls", "mean"))
    assert found.values.shape == (6, 4, len(found.poolings), 32)
    for layer in range(4):
        for pooling in found.poolings:
            alone = resolve(str(folders(family)), layer=layer, pooling=pooling, l2=False)
            expected = Embedder(store, **HOW).images(alone, few()).values
            tiny.close(found.by(pooling)[:, layer], expected, 1e-5)
    assert found.output is not None
    for place, pooling in enumerate(found.poolings):
        end = Embedder(store, **HOW).images(resolve(str(folders(family)), pooling=pooling, l2=False), few())
        tiny.close(found.output[:, place], end.values, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma3_text", "internlm2"])
def test_every_layer_of_an_llm_is_what_asking_for_it_gives(
    family: str, folders: Callable[[str], Path], store: EmbeddingStore
) -> None:
    found = Embedder(store, **HOW).layers(resolve_llm(str(folders(family))), few())
    assert found.poolings == ("mean",)
    assert found.values.shape == (6, 4, 1, 24)
    for layer in (0, 1, 2, -1):
        alone = resolve_llm(str(folders(family)), layer=layer, l2=False)
        expected = Embedder(store, **HOW).texts(alone, few()).values
        tiny.close(found.by("mean")[:, layer], expected, 1e-5)


def test_layers_take_the_load_of_the_embeddings_and_are_kept(
    folders: Callable[[str], Path], store: EmbeddingStore
) -> None:
    loads: list[str] = []
    how: dict[str, Any] = {"store": store, "on_load": lambda model, _: loads.append(model), **HOW}
    Embedder(**how).images(resolve(f"eye={folders('dinov2')}"), few(), beside=["patches", "layers"])
    Embedder(**how).texts(resolve_llm(f"mouth={folders('llama')}"), few(), beside=["layers"])
    assert loads == ["eye", "mouth"]
    # A layer or pooling that is asked for plays no part in what all layers are kept under.
    Embedder(**how).layers(resolve(f"eye={folders('dinov2')}", layer=1, pooling="mean"), few())
    Embedder(**how).layers(resolve_llm(f"mouth={folders('llama')}"), few())
    assert loads == ["eye", "mouth"]


def test_what_gives_embeddings_only_says_so(store: EmbeddingStore) -> None:
    assert not gives(FakeEncoder(), "layers")
    with pytest.raises(LayersMissingError, match="fake: gives embeddings only"):
        Embedder(store).layers(FakeEncoder(), few())


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A convolutional network of timm, of a few thousand parameters, whose layers grow in width."""
    import timm
    from safetensors.torch import save_file

    model = tiny.scattered(timm.create_model("test_convnext", pretrained=False, num_classes=0))
    file = tmp_path_factory.mktemp("timm") / "w.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, file)
    return f"pyramid=timm:test_convnext@{file}"


@pytest.mark.slow
def test_layers_of_several_widths_are_filled_up_and_each_is_what_asking_for_it_gives(
    pyramid: str, store: EmbeddingStore
) -> None:
    found = Embedder(store, **HOW).layers(resolve(pyramid), few())
    assert (found.poolings, found.first) == (("mean",), 1)  # there is no CLS
    widths = [24, 32, 48, 64]
    assert found.values.shape == (6, 4, 1, max(widths))
    for place, width in enumerate(widths):
        alone = Embedder(store, **HOW).images(resolve(pyramid, layer=place + 1, l2=False), few()).values
        assert alone.shape == (6, width)
        tiny.close(found.at(place, "mean"), alone, 1e-5)
        assert not found.by("mean")[:, place, width:].any()
    end = Embedder(store, **HOW).images(resolve(pyramid, pooling="mean", l2=False), few()).values
    last = found.end("mean")
    assert last is not None
    tiny.close(last, end, 1e-5)


@pytest.mark.slow
def test_cells_of_layers_that_differ_in_width_are_the_metric_of_the_two_layers(
    pyramid: str, store: EmbeddingStore
) -> None:
    encoder = resolve(pyramid)
    x = Embedder(store, **HOW).layers(encoder, few(12))
    y = np.random.default_rng(0).normal(size=(12, 2, 5)).astype(np.float32)
    mouth = Layers(FakeLLM("mouth").info, y[:, :, None], ("mean",), x.ids)
    found, arrays = layer_scores(
        encoder,
        FakeLLM("mouth"),
        lambda model: x if model is encoder else mouth,
        drawings(12),
        Settings(permutations=19),
    )
    assert arrays is not None

    rows = one_per_group(np.array([s.group for s in drawings(12).samples]), Settings().seed)
    for name in KERNELS:  # the fake LLM's vectors are taken as they are, the encoder's at unit length
        expected = [
            [
                METRICS.get(name)(
                    unit_rows(x.at(i, "mean").astype(np.float64))[rows], y[:, j].astype(np.float64)[rows]
                )
                for j in range(2)
            ]
            for i in range(4)
        ]
        np.testing.assert_allclose(arrays[name], expected, atol=1e-6)
    assert {score.variant: score.dims for score in found}[LAST] == (64, 5)


def test_an_encoder_that_is_known_to_give_no_layers_is_not_loaded_to_find_out(
    pyramid: str, store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm
    from timm.models.convnext import ConvNeXt

    assert timm.is_model("test_convnext")
    monkeypatch.delattr(ConvNeXt, "forward_intermediates")
    encoder = resolve(pyramid)
    monkeypatch.setattr(type(encoder), "load", lambda *_: pytest.fail("it was loaded"))
    for _ in range(2):
        with pytest.raises(LayersMissingError, match="pyramid: this architecture of timm gives no hidden"):
            Embedder(store, **HOW).layers(encoder, few())


def random_layers(n: int = 30, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3, 8)), rng.normal(size=(n, 4, 5))


@pytest.mark.parametrize("name", list(KERNELS))
def test_each_cell_is_the_metric_of_two_layers(name: str) -> None:
    x, y = random_layers()
    y[:, 2] += x[:, 1, :5]
    cells = cell_products(layer_kernels(x, name), layer_kernels(y, name))
    metric = METRICS.get(name)
    expected = [[metric(x[:, i], y[:, j]) for j in range(4)] for i in range(3)]
    np.testing.assert_allclose(cells, expected, atol=1e-12)


@pytest.mark.parametrize("name", list(KERNELS))
def test_the_null_re_pairs_all_cells_alike_and_takes_the_highest(name: str) -> None:
    x, y = random_layers(12)
    grid = layer_grid(x, y, name, seed=3, draws=19)
    metric = METRICS.get(name)
    for draw, p in enumerate(draw_permutations(12, 19, rng_for(3, "layers", name))[:3]):
        cells = [[metric(x[:, i], y[p, j]) for j in range(4)] for i in range(3)]
        assert grid.maxima[draw] == pytest.approx(np.max(cells), abs=1e-12)
        assert grid.last[draw] == pytest.approx(cells[-1][-1], abs=1e-12)


def given(x: NDArray[np.float64], y: NDArray[np.float64]) -> Any:
    ids = tuple(f"{i}" for i in range(len(x)))
    eye, mouth = FakeEncoder("eye").info, FakeLLM("mouth").info
    sides = {
        "vision": Layers(eye, x.astype(np.float32)[:, :, None], ("mean",), ids),
        "text": Layers(mouth, y.astype(np.float32)[:, :, None], ("mean",), ids),
    }
    return lambda model: sides[model.info.side]


def scored(x: Any, y: Any, n: int = 30, draws: int = 199) -> tuple[list[Any], Any]:
    found, arrays = layer_scores(
        FakeEncoder("eye"), FakeLLM("mouth"), given(x, y), drawings(n), Settings(permutations=draws)
    )
    return found, arrays


def test_a_planted_cell_is_found_with_its_layers_and_a_small_p() -> None:
    x, y = random_layers()
    y[:, 1] = x[:, 2, :5]
    found, arrays = scored(x, y)
    assert [(s.metric, s.variant) for s in found] == [
        (f"layers_{name}", variant) for name in KERNELS for variant in (BEST, LAST)
    ]
    for score in (found[0], found[2]):
        assert (score.params["encoder_layer"], score.params["llm_layer"]) == (2, 1)
        assert score.null.p == pytest.approx(1 / 200)
        assert score.interval is None  # the highest of many: an interval of one cell would be too high
    assert (found[1].params["encoder_layer"], found[1].params["llm_layer"]) == (2, 3)
    assert arrays["debiased_cka"].shape == (3, 4)
    assert arrays["debiased_cka_limit"] < found[0].value


@pytest.mark.slow
def test_the_best_of_unrelated_layers_is_rarely_called_significant() -> None:
    rejected, naive = 0, 0
    for seed in range(40):
        x, y = random_layers(20, seed)
        found, _ = scored(x, y, n=20, draws=99)
        rejected += found[0].null.p <= 0.05
        naive += found[0].value > 1.645 * found[1].null.std
    assert rejected <= 6  # 40 x 5% = 2
    assert naive >= 15  # what a test of the best cell by itself would have found


def test_a_layer_without_variance_is_an_empty_cell() -> None:
    x, y = random_layers()
    x[:, 0] = 1.0  # CLS before the first layer
    found, arrays = scored(x, y)
    assert np.isnan(arrays["debiased_cka"][0]).all()
    assert np.isfinite(arrays["debiased_cka"][1:]).all()
    assert np.isfinite(found[0].null.mean)


def test_nothing_to_compare_is_not_applicable_with_the_reason() -> None:
    x, y = random_layers(3)
    found, arrays = scored(x, y, n=3)
    assert arrays is None
    assert [s.status for s in found] == ["not_applicable"] * 2
    assert "at least 4 rows" in found[0].reason
    with pytest.raises(TooFewSamplesError):
        layer_kernels(x, "debiased_cka")
    with pytest.raises(InputError, match="no pooling 'cls'"):
        given(x, y)(FakeEncoder()).by("cls")


def test_a_run_scores_the_same_in_workers_and_says_who_has_no_layers(
    folders: Callable[[str], Path], project: pytest.Pytester
) -> None:
    copy_benchmarks(project, "test_layers.py")
    ours = (
        f"--encoders=eye={folders('clip')},toy-a",
        f"--llms=mouth={folders('llama')}",
        "--n-samples=8",
        "--align-permutations=99",
    )
    assert run(project, "benchmarks", *ours, "-p", "no:xdist").ret == 0
    serial = scores(project)
    assert run(project, "benchmarks", *ours, "-n", "2").ret == 0
    again = scores(project)
    assert serial.keys() == again.keys()
    for key, score in serial.items():
        if key[2] == "toy-a":
            assert "gives embeddings only, no hidden layers" in score["reason"]
        else:
            assert again[key]["value"] == pytest.approx(score["value"], abs=1e-12)
            assert again[key]["null"] == score["null"]


def test_the_figure_has_a_panel_a_pair_and_metric_with_the_best_framed() -> None:
    x, y = random_layers()
    y[:, 1] = x[:, 2, :5]
    _, arrays = scored(x, y)
    figure: Any = FIGURES.get("layer_grid")(FigureInputs(artifacts={"layers": [arrays]}))
    panels = [ax for ax in figure.axes if ax.images]
    assert len(panels) == 2
    for ax in panels:
        frame = ax.patches[0]
        assert (frame.get_x(), frame.get_y()) == (0.5, 1.5)
    assert [ax.images[0].get_clim()[0] for ax in panels] == pytest.approx([0, 9 / 29])
    assert all(ax.images[0].get_clim()[1] == np.nanmax(ax.images[0].get_array()) for ax in panels)
    assert "Huh" not in figure._supxlabel.get_text()
    dots = panels[0].lines[0]
    assert len(dots.get_xdata()) == (arrays["debiased_cka"] <= arrays["debiased_cka_limit"]).sum()
    assert FIGURES.get("layer_grid")(FigureInputs()) is None
