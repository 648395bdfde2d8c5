"""The index of weights in parts: one parser, and what it names is what is loaded and digested."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from alignbench.encoders import resolve
from alignbench.errors import ModelError, WeightsMissingError
from alignbench.llms import resolve as resolve_llm
from alignbench.tests import tiny_models as tiny
from alignbench.weights import hub

if TYPE_CHECKING:
    from pathlib import Path

INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def in_parts(folder: Path) -> Path:
    """Turn a checkpoint of one file into one of two."""
    tensors = load_file(folder / "model.safetensors")
    weight_map = {key: (FIRST, SECOND)[i % 2] for i, key in enumerate(sorted(tensors))}
    for file in (FIRST, SECOND):
        mine = {key: tensors[key] for key, of in weight_map.items() if of == file}
        save_file(mine, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}), encoding="utf-8")
    return folder


def rewrite(folder: Path, name: Any) -> None:
    """Let the index say that the first part is another file."""
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    changed = {key: name if file == FIRST else file for key, file in index["weight_map"].items()}
    (folder / INDEX).write_text(json.dumps({**index, "weight_map": changed}), encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        f"../{FIRST}",
        f"parts/{FIRST}",
        f"parts\\{FIRST}",
        "../../../../etc/passwd",
        "/etc/passwd",
        f"C:{FIRST}",
        "pytorch_model.bin",
        ".safetensors",
        "..safetensors",
        f"{FIRST}\n",
        "",
        "model",
        None,
        7,
        ["a.safetensors"],
    ],
)
def test_an_index_that_names_anything_but_weights_beside_it_is_refused(name: Any, tmp_path: Path) -> None:
    folder = in_parts(tiny.llama(tmp_path / "model"))
    # All that is named is there and could be loaded.
    (folder / "parts").mkdir()
    for place in (folder / "parts", tmp_path, folder):
        shutil.copy(folder / FIRST, place / FIRST) if place != folder else None
    torch.save(load_file(folder / FIRST), folder / "pytorch_model.bin")
    rewrite(folder, name)
    with pytest.raises(ModelError, match=r"model\.safetensors\.index\.json says .* it is refused"):
        resolve_llm(str(folder)).locate()


@pytest.mark.parametrize("index", [{}, {"weight_map": []}, {"weight_map": {}}, {"weight_map": None}])
def test_an_index_without_a_map_is_refused(index: dict[str, Any], tmp_path: Path) -> None:
    folder = in_parts(tiny.llama(tmp_path / "model"))
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelError, match="has no weight_map"):
        resolve_llm(str(folder)).locate()


def test_weights_in_parts_have_the_digest_of_their_content(tmp_path: Path) -> None:
    folder = in_parts(tiny.llama(tmp_path / "model"))
    before: Any = resolve_llm(str(folder), l2=False)
    vectors, revision = before.embed(tiny.TEXTS), before.info.revision
    tensors = load_file(folder / SECOND)
    save_file(
        {key: tensor * 1.5 for key, tensor in tensors.items()}, folder / SECOND, metadata={"format": "pt"}
    )
    after: Any = resolve_llm(str(folder), l2=False)
    assert after.locate().revision != revision
    assert np.abs(after.embed(tiny.TEXTS) - vectors).max() > 1e-3


def test_parts_that_are_links_load_as_in_the_hubs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = in_parts(tiny.llama(tmp_path / "model"))
    whole: Any = resolve_llm(str(plain), l2=False)
    root = tmp_path / "hub" / "models--org--name"
    snapshot, blobs = root / "snapshots" / "abc", root / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc", encoding="utf-8")
    for i, file in enumerate(sorted(plain.iterdir())):
        shutil.copy(file, blobs / f"{i:064x}")  # a blob has no ending that says what it is
        (snapshot / file.name).symlink_to(os.path.relpath(blobs / f"{i:064x}", snapshot))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    linked: Any = resolve_llm("hf:org/name", l2=False)
    np.testing.assert_array_equal(linked.embed(tiny.TEXTS), whole.embed(tiny.TEXTS))
    (blobs / f"{sorted(file.name for file in plain.iterdir()).index(SECOND):064x}").unlink()
    monkeypatch.setattr(hub, "unreachable", lambda: "HF_HUB_OFFLINE is set")
    with pytest.raises(WeightsMissingError):
        resolve_llm("hf:org/name").locate()


def test_an_unsafe_index_in_the_cache_is_named_where_the_hub_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "hub" / "models--org--name" / "snapshots" / "main"
    rewrite(in_parts(tiny.llama(snapshot)), "../x.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "unreachable", lambda: "HF_HUB_OFFLINE is set")
    with pytest.raises(WeightsMissingError, match=r"index\.json says .*x\.safetensors"):
        resolve_llm("hf:org/name").locate()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_in_the_place_of_a_part_is_not_waited_for(tmp_path: Path) -> None:
    folder = in_parts(tiny.llama(tmp_path / "model"))
    (folder / SECOND).unlink()
    os.mkfifo(folder / SECOND)
    with pytest.raises(ModelError, match=f"{SECOND}.*FIFO where a regular file"):
        resolve_llm(str(folder)).locate()


def test_parts_of_a_pickle_are_pickles_beside_it(tmp_path: Path) -> None:
    folder = tiny.as_pickle(tiny.dinov2(tmp_path / "model"))
    (folder / "part.bin").write_bytes((folder / "pytorch_model.bin").read_bytes())
    (folder / "pytorch_model.bin").unlink()
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"layernorm.bias": "part.bin"}}), encoding="utf-8")
    assert tiny.load(folder, allow_pickle=True).embed(tiny.images()).shape[0] == 5
    index.write_text(json.dumps({"weight_map": {"layernorm.bias": "../part.bin"}}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin\.index\.json says .* a \.bin file beside it"):
        resolve(str(folder), allow_pickle=True).locate()


def test_one_file_is_loaded_and_digested_where_an_index_lies_beside_it(tmp_path: Path) -> None:
    parts, whole = in_parts(tiny.llama(tmp_path / "parts")), tiny.llama(tmp_path / "whole")
    both = shutil.copytree(parts, tmp_path / "both")
    tensors = load_file(whole / "model.safetensors")
    save_file({k: t * 1.5 for k, t in tensors.items()}, both / "model.safetensors", metadata={"format": "pt"})
    handle: Any = resolve_llm(str(both), l2=False)
    assert [path.name for path in handle.locate().weights] == ["model.safetensors"]
    unlike = resolve_llm(str(parts), l2=False).embed(tiny.TEXTS)
    assert np.abs(handle.embed(tiny.TEXTS) - unlike).max() > 1e-3
