"""GGUF: a tiny file that is written here."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

import alignbench
from alignbench.errors import ModelError, WeightsMissingError
from alignbench.llms import resolve
from alignbench.tests import tiny_models as tiny
from alignbench.tests.tiny_gguf import write_gguf

hf: Any = transformers
needs_gguf = pytest.mark.skipif(
    importlib.util.find_spec("gguf") is None, reason="the gguf extra is not installed"
)


pytestmark = pytest.mark.usefixtures("one_torch_thread", "own_cache")


@needs_gguf
def test_a_gguf_file_gives_the_vectors_of_its_model(tmp_path: Path) -> None:
    folder = tiny.llama(tmp_path / "llama")
    handle: Any = resolve(f"gguf:{write_gguf(tmp_path / 'tiny.gguf', folder)}", l2=False)
    assert (handle.name, handle.info.family) == ("tiny", "llama")
    handle.load("cpu", "float32")
    reference: Any = resolve(str(folder), l2=False)
    reference.load("cpu", "float32")
    ids = [[1, 9, 30, 4], [1, 7]]
    tiny.close(handle.forward(ids), reference.forward(ids), 1e-5)
    assert handle.embed(tiny.TEXTS).shape == (5, 24)


@needs_gguf
def test_a_gguf_file_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = f"gguf:{write_gguf(tmp_path / 'tiny.gguf', tiny.llama(tmp_path / 'llama'))}"
    first: Any = resolve(spec)
    before = first.embed(tiny.TEXTS)
    monkeypatch.setattr("alignbench.llms.gguf.convert", lambda *_: pytest.fail("converted again"))
    again: Any = resolve(spec)
    np.testing.assert_array_equal(again.embed(tiny.TEXTS), before)
    made = [path for path in (tmp_path / "cache" / "converted").iterdir() if path.is_dir()]
    assert len(made) == 1
    assert (made[0] / "model.safetensors").is_file()


@pytest.mark.slow
def test_no_call_of_transformers_leaves_remote_code_open() -> None:
    """Left out, transformers asks on stdin where a folder brings code; a GGUF file may lie in any folder."""
    package = Path(alignbench.__file__).parent
    files = [file for part in ("weights", "encoders", "llms") for file in (package / part).glob("*.py")]
    calls = [
        (file.name, {keyword.arg: keyword.value for keyword in node.keywords})
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "from_pretrained"
    ]
    assert len(calls) >= 5
    for name, keywords in calls:
        assert ast.dump(keywords.get("trust_remote_code", ast.Constant(None))) == "Constant(value=False)", (
            name
        )


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGML" + b"\0" * 40)
    with pytest.raises(ModelError, match="not a GGUF file"):
        resolve(f"gguf:{path}")
    path.write_bytes(b"GG")
    with pytest.raises(ModelError, match="not a GGUF file"):
        resolve(f"gguf:{path}")


def test_a_gguf_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match="there is no GGUF file"):
        resolve(f"gguf:{tmp_path / 'x.gguf'}")
