"""`npy:file.npy` as a model: what is read of a file, what is refused, and what is said of it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.datasets import Sample
from alignbench.embed import Embedder, EmbeddingStore, runs
from alignbench.encoders import resolve
from alignbench.errors import AlignbenchError, ConfigError, ModelError, WeightsMissingError
from alignbench.llms import resolve as resolve_llm
from alignbench.tests.embed_fakes import FakeEncoder, drawings, shards
from alignbench.weights.spec import parse_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

N = 12


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def matrix(n: int = N, d: int = 5, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def saved(values: Any, name: str = "v.npy") -> str:
    np.save(name, values)
    return f"npy:{name}"


def header(text: str) -> bytes:
    padded = text.encode() + b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


@pytest.mark.parametrize(
    ("text", "alias", "target"),
    [
        ("npy:v.npy", "v", "v.npy"),
        ("npy:emb/step=3/v.npy", "v", "emb/step=3/v.npy"),
        ("mine=npy:my file.npy", "mine", "my file.npy"),
        ("npy:my file.npy", "my-file", "my file.npy"),
    ],
)
def test_a_spec_of_arrays(text: str, alias: str, target: str) -> None:
    spec = parse_spec(text, "encoder", [])
    assert (spec.alias, spec.kind, spec.target, spec.detail) == (alias, "npy", target, None)


def test_a_spec_without_a_file_is_told_the_forms() -> None:
    with pytest.raises(ConfigError, match=r"npy:file\.npy"):
        parse_spec("npy:", "encoder", [])


def test_what_a_score_says_of_arrays(tmp_path: Path) -> None:
    (tmp_path / "emb").mkdir()
    info = resolve(f"mine={saved(matrix(), 'emb/v.npy')}").info
    assert (info.name, info.side, info.family, info.weights) == ("mine", "vision", "other", "arrays")
    assert info.source == "npy:emb/v.npy"
    assert info.params == {"dtype": "float32", "l2": True}
    assert resolve_llm("npy:emb/v.npy").info.side == "text"


def test_the_source_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    saved(matrix(), "elsewhere/v.npy")
    os.chdir("here")
    assert resolve(f"npy:{tmp_path}/elsewhere/v.npy").info.source == "npy:v.npy"
    assert resolve("npy:../elsewhere/v.npy").info.source == "npy:v.npy"


def test_the_revision_tells_contents_apart() -> None:
    first = resolve(saved(matrix())).info.revision
    assert resolve(saved(matrix(), "copy.npy")).info.revision == first
    assert resolve(saved(matrix(seed=1), "other.npy")).info.revision != first


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8", "<i8", "|u1", "|b1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_any_real_dtype_become_float32(dtype: str, order: Any) -> None:
    values = np.asarray(np.abs(matrix() * 10) + 1, dtype=dtype, order=order)
    model = resolve(saved(values), l2=False)
    found = Embedder(EmbeddingStore(None)).images(model, drawings(N))
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.values, values.astype(np.float32))
    assert found.ids == tuple(sample.id for sample in drawings(N).samples)


def test_rows_are_brought_to_unit_length_once(store: EmbeddingStore) -> None:
    unit = Embedder(store).images(resolve(saved(matrix())), drawings(N)).values
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    again = Embedder(store).images(resolve(saved(unit)), drawings(N)).values
    np.testing.assert_array_equal(again, unit)


def test_the_same_vectors_as_the_model_that_they_are_of(store: EmbeddingStore) -> None:
    data = drawings(N)
    model = Embedder(store).images(FakeEncoder(l2=True), data).values
    raw = Embedder(store).images(FakeEncoder(l2=False), data).values
    for vectors in (model, raw):
        arrays = Embedder(store).images(resolve(saved(vectors)), data).values
        np.testing.assert_array_equal(arrays, model)


def test_nothing_of_arrays_is_cached(store: EmbeddingStore) -> None:
    model = resolve(saved(matrix()))
    Embedder(store).images(model, drawings(N))
    Embedder(store).texts(resolve_llm("npy:v.npy"), drawings(N))
    assert Embedder(store).count_missing(model, drawings(N)) == 0
    assert shards(store) == []


def test_arrays_have_no_patches_and_nothing_to_run(store: EmbeddingStore) -> None:
    model = resolve(saved(matrix()))
    assert not runs(model)
    assert runs(FakeEncoder())
    with pytest.raises(ModelError, match="no patch"):
        Embedder(store).patches(model, drawings(N))
    with pytest.raises(ModelError, match="no model to be run"):
        model.embed([])
    with pytest.raises(ModelError, match="not of other texts"):
        Embedder(store).texts(resolve_llm("npy:v.npy"), ["a text"])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"pooling": "mean"}, "--align-pooling"),
        ({"layer": 1}, "--align-layer"),
        ({"fit": "pad"}, "--align-fit"),
    ],
)
def test_an_option_that_nothing_would_follow_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=f"v: an array takes no {says}"):
        resolve(saved(matrix()), **settings)


def test_an_llm_option_is_refused_likewise() -> None:
    with pytest.raises(ModelError, match="--align-llm-layer"):
        resolve_llm(saved(matrix()), layer=3)


def test_l2_is_honoured(store: EmbeddingStore) -> None:
    found = Embedder(store).images(resolve(saved(matrix()), l2=False), drawings(N))
    np.testing.assert_array_equal(found.values, matrix())
    assert found.model.params["l2"] is False


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "objects": (
        lambda path: np.save(path, np.array([[1, None]], dtype=object), allow_pickle=True),
        "never read",
    ),
    "pickle": (lambda path: path.write_bytes(pickle.dumps([1, 2])), "not a .npy file"),
    "text": (lambda path: path.write_text("1 2 3"), "not a .npy file"),
    "nothing": (lambda path: path.write_bytes(b""), "not a .npy file"),
    "vector": (lambda path: np.save(path, np.ones(5)), r"expected a matrix .* shape \(5,\)"),
    "patches": (lambda path: np.save(path, np.ones((2, 3, 4))), r"expected a matrix .* shape \(2, 3, 4\)"),
    "number": (lambda path: np.save(path, np.float32(1)), r"expected a matrix"),
    "no row": (lambda path: np.save(path, np.ones((0, 4))), r"expected a matrix .* shape \(0, 4\)"),
    "no column": (lambda path: np.save(path, np.ones((4, 0))), r"expected a matrix .* shape \(4, 0\)"),
    "complex": (lambda path: np.save(path, np.ones((2, 2)) * 1j), "real numbers, got complex128"),
    "words": (lambda path: np.save(path, np.array([["a"]])), "real numbers, got <U1"),
    "records": (lambda path: np.save(path, np.zeros((2, 2), dtype=[("a", "f4")])), "real numbers"),
    "cut off": (
        lambda path: path.write_bytes(
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (9, 9), }") + b"1234"
        ),
        "cut-off",
    ),
    "larger than the world": (
        lambda path: path.write_bytes(
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 768), }") + b"1234"
        ),
        "cut-off",
    ),
    "less than nothing": (
        lambda path: path.write_bytes(
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 8), }") + b"x" * 999
        ),
        "broken",
    ),
    "a program": (lambda path: path.write_bytes(header("__import__('os').mkdir('owned')")), "broken"),
    "a cave": (lambda path: path.write_bytes(header("(" * 5000)), "broken"),
    "folder": (lambda path: path.mkdir(), "not a regular file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_matrix_is_one_clean_line(kind: str, tmp_path: Path) -> None:
    make, says = BAD[kind]
    make(tmp_path / "bad.npy")
    with pytest.raises(ModelError, match=says) as caught:
        resolve("mine=npy:bad.npy")
    assert str(caught.value).startswith("mine: npy:bad.npy: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "owned").exists()


def test_an_archive_is_told_what_to_be() -> None:
    np.savez("v.npz", a=matrix())
    with pytest.raises(ModelError, match=r"archive \(\.npz\); expected one array"):
        resolve("npy:v.npz")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes with a name")
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(ModelError, match="not a regular file"):
        resolve("npy:pipe.npy")


def test_a_missing_file_is_named_as_it_was_given() -> None:
    with pytest.raises(WeightsMissingError, match=r"v: there is no file emb/v\.npy"):
        resolve("npy:emb/v.npy")


def test_a_path_without_npy_before_it_is_told_so() -> None:
    saved(matrix())
    with pytest.raises(WeightsMissingError, match=r"for arrays, write npy:v\.npy"):
        resolve("./v.npy")


@pytest.mark.parametrize(
    ("value", "says"), [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (1e300, "beyond float32")]
)
def test_a_row_that_is_not_finite_is_named(value: float, says: str, store: EmbeddingStore) -> None:
    values = matrix().astype(np.float64)
    values[[3, 7]] = value
    with pytest.raises(ModelError, match=rf"2 of 12 rows .* row 3, counted from 0 \(sample 's3'\): {says}"):
        Embedder(store).images(resolve(saved(values)), drawings(N))


@pytest.mark.parametrize("l2", [True, False])
@pytest.mark.parametrize("factor", [1e-60, 1e-40, 1e-320])
def test_rows_that_float32_has_no_digits_for_are_named(
    factor: float, l2: bool, store: EmbeddingStore
) -> None:
    values = matrix().astype(np.float64)
    values[[3, 7]] *= factor
    with pytest.raises(ModelError, match=r"2 of 12 rows are below float32, the first is row 3"):
        Embedder(store).images(resolve(saved(values), l2=l2), drawings(N))


def test_a_row_of_zeros_has_no_direction(store: EmbeddingStore) -> None:
    values = matrix()
    values[4] = 0
    model = saved(values)
    with pytest.raises(ModelError, match="'s4' is zero"):
        Embedder(store).images(resolve(model), drawings(N))
    Embedder(store).images(resolve(model, l2=False), drawings(N))


def test_a_file_that_changes_under_a_run_is_noticed(store: EmbeddingStore) -> None:
    model = resolve(saved(matrix()))
    saved(matrix(seed=1))
    os.utime("v.npy", ns=(1, 1))  # the clock of a file system may be too coarse to show it
    with pytest.raises(ModelError, match="has changed since the run began"):
        Embedder(store).images(model, drawings(N))


def test_a_sample_without_image_says_so() -> None:
    sample = Sample("row-3", None, (), "all")
    for ask in (sample.image_bytes, lambda: sample.text, sample.open_image, sample.check):
        with pytest.raises(AlignbenchError, match="sample 'row-3': a row of arrays has no image"):
            ask()


@pytest.mark.slow
def test_arrays_import_nothing_heavy(tmp_path: Path) -> None:
    saved(matrix())
    code = (
        "import sys; from alignbench.encoders import resolve; from alignbench.embed import *;"
        "from alignbench.datasets.arrays import rows_dataset;"
        f"Embedder(EmbeddingStore(None)).images(resolve('npy:v.npy'), rows_dataset({N}, 'x'));"
        "print([m for m in ('torch', 'transformers', 'sklearn') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
