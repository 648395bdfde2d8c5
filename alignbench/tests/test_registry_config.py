from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.config import load_config
from alignbench.errors import ConfigError, UnknownNameError
from alignbench.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    registry: Registry[int] = Registry("number")
    registry.add("three", 3)
    with pytest.raises(UnknownNameError, match=r"unknown number 'tree'. Did you mean 'three'\? Known: three"):
        registry.get("tree")


def test_a_name_is_taken_once() -> None:
    registry: Registry[int] = Registry("number")
    registry.add("three", 3)
    registry.add("three", 3)
    with pytest.raises(ConfigError, match="registered already"):
        registry.add("three", 4)


def test_a_lazy_entry_is_imported_when_it_is_asked_for() -> None:
    registry: Registry[Any] = Registry("function")
    registry.add("join", "posixpath:join")
    assert registry.names() == ["join"]
    assert callable(registry.get("join"))


def test_a_module_may_register_what_its_entry_point_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry: Registry[Any] = Registry("thing")
    (tmp_path / "lazy_thing.py").write_text("import sys\nsys.lazy_registry.add('thing', 7)\nthing = 8\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "lazy_registry", registry, raising=False)
    registry.add("thing", "lazy_thing:thing")
    assert registry.get("thing") == 7


@pytest.mark.parametrize("path", ["no_such_module_at_all:x", "posixpath:no_such_attribute"])
def test_a_broken_lazy_entry_is_one_line(path: str) -> None:
    registry: Registry[Any] = Registry("encoder")
    registry.add("theirs", path)
    with pytest.raises(ConfigError, match=r"encoder 'theirs': can't import"):
        registry.get("theirs")


def test_a_users_file_lies_over_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "alignbench.yaml").write_text(
        "vision_encoders: {ours: org/ours}\ndefaults: {seed: 7}\ndata_root: data\n", encoding="utf-8"
    )
    config = load_config(folder=tmp_path)
    assert config.encoders["ours"] == "org/ours"
    assert config.encoders["clip"] == "openai/clip-vit-base-patch32"
    assert config.seed == 7
    assert config.data_root == tmp_path / "data"
    assert config.origin == ("packaged defaults", str(tmp_path / "alignbench.yaml"))


def test_the_environment_names_the_output_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLM_OUTPUT_DIR", "elsewhere")
    assert str(load_config(folder=tmp_path).output_dir) == "elsewhere"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("encoders: {}", "unknown section 'encoders'. Did you mean 'vision_encoders'"),
        ("defaults: {sed: 1}", "Did you mean 'seed'"),
        ("defaults: {seed: x}", "seed: expected an integer"),
        ("defaults: {n_samples: 0}", "at least 1"),
        ("defaults: {llms: llama}", "expected a list of names"),
        ("vision_encoders: {clip: }", "vision_encoders.clip"),
        ("data: {chart: {labels: a}}", "data.chart"),
        ("- a list", "expected a mapping"),
        ("{", "is not YAML"),
        ("llms: 3", "llms is a mapping"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "alignbench.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(folder=tmp_path)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert str(tmp_path / "alignbench.yaml") in str(error.value)
