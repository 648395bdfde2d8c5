"""Embedding with models of real architectures: the same vectors as by hand, and none loaded twice."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench import encoders, llms
from alignbench.datasets import get_images_and_texts, load_mixed
from alignbench.embed import Embedder, EmbeddingStore
from alignbench.errors import AlignbenchWarning, WeightsMissingError
from alignbench.tests import tiny_models as tiny

if TYPE_CHECKING:
    from alignbench.datasets import Dataset
    from alignbench.types import Embeddings

REPOSITORY = str(Path(__file__).parents[2])
# The tiny tokenizers make many tokens of a text.
pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:.*tokens; the rest was not read"),
]


@pytest.fixture(scope="module")
def vision(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.siglip(tmp_path_factory.mktemp("siglip")))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.llama(tmp_path_factory.mktemp("llama")))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_mixed(7)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    return EmbeddingStore(tmp_path / "cache")


def cosines(a: Embeddings, b: Embeddings) -> Any:
    """Of unit rows."""
    return np.einsum("nd,nd->n", a.values.astype(float), b.values.astype(float))


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 8])
def test_images_get_the_vectors_that_the_encoder_gives_by_hand(
    vision: str, dataset: Dataset, store: EmbeddingStore, batch_size: int
) -> None:
    embeddings = Embedder(store, device="cpu", dtype="float32", batch_size=batch_size).images(
        encoders.resolve(vision), dataset
    )
    by_hand = encoders.resolve(vision)
    by_hand.load("cpu", "float32")
    images, _ = get_images_and_texts(dataset.samples)
    assert np.abs(embeddings.values - by_hand.embed(images)).max() < 2e-6
    assert embeddings.model.params["dtype"] == "float32"


@pytest.mark.parametrize("max_tokens", [64, 2048])
def test_texts_get_the_vectors_that_the_llm_gives_by_hand(
    text: str, dataset: Dataset, store: EmbeddingStore, max_tokens: int
) -> None:
    embeddings = Embedder(store, device="cpu", dtype="float32", max_tokens=max_tokens).texts(
        llms.resolve(text), dataset
    )
    by_hand = llms.resolve(text)
    by_hand.load("cpu", "float32")
    _, texts = get_images_and_texts(dataset.samples)
    assert np.abs(embeddings.values - by_hand.embed(texts)).max() < 2e-6


def test_texts_that_are_cut_are_counted_in_one_warning(text: str, store: EmbeddingStore) -> None:
    tokens = llms.resolve(text)
    tokens.load("cpu", "float32")
    by_length = {len(tokens.tokenize([" ".join(["chart"] * n)])[0]): n for n in (1, 3, 4, 9)}
    (shortest, *_), limit = sorted(by_length), sorted(by_length)[1]
    assert shortest < limit
    texts = [" ".join(["chart"] * n) for n in by_length.values()]
    reader = llms.resolve(f"mine={text}", max_length=limit)
    with pytest.warns(AlignbenchWarning) as caught:
        Embedder(store, device="cpu", dtype="float32").texts(reader, texts)
    said = [str(warning.message) for warning in caught if warning.category is AlignbenchWarning]
    # A text of exactly the limit is read whole.
    assert said == [f"mine: 2 of 4 texts have more than {limit} tokens; the rest was not read"]
    whole = llms.resolve(f"mine={text}", max_length=max(by_length))
    with warnings.catch_warnings():
        warnings.simplefilter("error", AlignbenchWarning)
        Embedder(store, device="cpu", dtype="float32").texts(whole, texts)


def embedded(model: Any, dataset: Dataset, store: EmbeddingStore, dtype: str) -> Any:
    embedder = Embedder(store, "cpu", dtype)
    return (embedder.images if model.info.side == "vision" else embedder.texts)(model, dataset)


@pytest.mark.slow
def test_bfloat16_agrees_with_float32_and_both_are_kept_apart(
    vision: str, text: str, dataset: Dataset, store: EmbeddingStore
) -> None:
    for model in (encoders.resolve(vision), llms.resolve(text)):
        exact, rough = (embedded(model, dataset, store, dtype) for dtype in ("float32", "bfloat16"))
        assert cosines(exact, rough).min() >= 0.999
        assert not np.array_equal(exact.values, rough.values)
        assert rough.model.params["dtype"] == "bfloat16-autocast"


@pytest.mark.slow
def test_the_untrained_control_agrees_with_float32(dataset: Dataset, store: EmbeddingStore) -> None:
    exact, automatic = (
        Embedder(store, device="cpu", dtype=dtype).images(encoders.resolve("random-vit"), dataset)
        for dtype in ("float32", "auto")
    )
    assert cosines(exact, automatic).min() >= 0.999
    assert automatic.model.params["dtype"] in ("float32", "bfloat16-autocast")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mini-clip", "mini-siglip", "mini-dinov2", "mini-llama", "mini-qwen"])
def test_embedded_models_agree_with_float32(name: str, dataset: Dataset, store: EmbeddingStore) -> None:
    model: Any = (llms if name in llms.LLMS else encoders).resolve(name)
    try:
        model.locate()
    except WeightsMissingError as error:  # a clone without the weights
        pytest.skip(str(error))
    exact, rough = (embedded(model, dataset, store, dtype) for dtype in ("float32", "bfloat16"))
    assert cosines(exact, rough).min() >= 0.999


@pytest.mark.slow
def test_what_shapes_a_vector_keeps_it_apart_and_unit_length_does_not(
    vision: str, dataset: Dataset, store: EmbeddingStore
) -> None:
    loads: list[str] = []

    def embed(**options: Any) -> Embeddings:
        encoder = encoders.resolve(vision, **options)
        return Embedder(store, dtype="float32", on_load=lambda name, _seconds: loads.append(name)).images(
            encoder, dataset
        )

    unit = embed()
    vectors = [unit, embed(fit="pad"), embed(pooling="mean"), embed(layer=1), embed(layer=2)]
    assert len(loads) == 5
    assert all(not np.allclose(a.values, b.values) for a in vectors for b in vectors if a is not b)
    raw = embed(l2=False)
    assert len(loads) == 5
    assert np.allclose(raw.values / np.linalg.norm(raw.values, axis=1, keepdims=True), unit.values, atol=1e-6)


WARM_RUN = """
import json, sys
from pathlib import Path
from alignbench import encoders, llms
from alignbench.datasets import load_mixed
from alignbench.embed import Embedder, EmbeddingStore
store, dataset = EmbeddingStore(Path(sys.argv[1])), load_mixed(7)
loads = []
options = {"store": store, "dtype": "float32", "device": "cpu", "on_load": lambda name, _: loads.append(name)}
embedder = Embedder(**options)
x = embedder.images(encoders.resolve(sys.argv[2]), dataset)
y = embedder.texts(llms.resolve(sys.argv[3]), dataset)
heavy = [name for name in ("torch", "transformers", "torchvision") if name in sys.modules]
print(json.dumps([loads, heavy, x.values.sum(axis=1).tolist(), y.values.sum(axis=1).tolist()]))
"""


@pytest.mark.slow
def test_a_warm_run_loads_no_model_and_does_not_even_import_torch(
    vision: str, text: str, dataset: Dataset, store: EmbeddingStore
) -> None:
    x = Embedder(store, device="cpu", dtype="float32").images(encoders.resolve(vision), dataset)
    y = Embedder(store, device="cpu", dtype="float32").texts(llms.resolve(text), dataset)
    command = [sys.executable, "-c", WARM_RUN, str(store.root), vision, text]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120)
    loads, heavy, x_sums, y_sums = json.loads(done.stdout)
    assert (loads, heavy) == ([], [])
    assert x_sums == pytest.approx(x.values.sum(axis=1).tolist(), abs=1e-6)
    assert y_sums == pytest.approx(y.values.sum(axis=1).tolist(), abs=1e-6)


@pytest.mark.slow
def test_new_weights_in_the_same_folder_are_other_weights(
    dataset: Dataset, store: EmbeddingStore, tmp_path: Path
) -> None:
    folder = tiny.siglip(tmp_path / "model")
    before = Embedder(store, dtype="float32").images(encoders.resolve(str(folder)), dataset)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 0x01
    weights.write_bytes(bytes(content))
    after = Embedder(store, dtype="float32").images(encoders.resolve(str(folder)), dataset)
    assert not np.array_equal(before.values, after.values)
