from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from alignbench.config import SCHEMA, load_config, read_yaml
from alignbench.errors import ConfigError, UnknownNameError
from alignbench.paths import cache_home, exists, is_dir, is_file, user_path
from alignbench.registry import Registry, unknown
from alignbench.schema import complaint


def test_a_name_that_was_begun_is_the_one_that_begins_so() -> None:
    assert "Did you mean 'smollm2-135m'?" in unknown("LLM", "smollm2", {"smollm3": 1, "smollm2-135m": 2})


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
    assert config.sample_dir is None
    assert config.origin == ("packaged defaults", str(tmp_path / "alignbench.yaml"))


def test_the_samples_have_a_folder_beside_the_data_types(tmp_path: Path) -> None:
    (tmp_path / "alignbench.yaml").write_text(
        "data: {sample_dir: ours, receipt: {labels: a, images: b}}\n", encoding="utf-8"
    )
    config = load_config(folder=tmp_path)
    assert config.sample_dir == tmp_path / "ours"
    assert list(config.data) == [*load_config(folder=tmp_path / "none").data, "receipt"]
    (tmp_path / "alignbench.yaml").write_text("data: {sample_dir: null}\n", encoding="utf-8")
    assert load_config(folder=tmp_path).sample_dir is None


def test_the_environment_names_the_output_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLM_OUTPUT_DIR", "elsewhere")
    assert str(load_config(folder=tmp_path).output_dir) == "elsewhere"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("encoders: {}", "unknown key 'encoders'. Did you mean 'vision_encoders'"),
        ("defaults: {sed: 1}", "Did you mean 'seed'"),
        ("defaults: {seed: x}", "defaults.seed: expected a whole number, got 'x'"),
        ("defaults: {n_samples: 0}", "at least 1"),
        ("defaults: {llms: llama}", "defaults.llms: expected a list, got 'llama' (a list of names"),
        ("vision_encoders: {clip: }", "vision_encoders.clip"),
        ("data: {chart: {labels: a}}", "data.chart"),
        ("data: {sample_dir: {labels: a, images: b}}", "data.sample_dir: expected text or nothing (null)"),
        ("data: {sample_dir: ''}", "data.sample_dir"),
        ("data: {sample_dir: ~nouser/data}", "data.sample_dir: there is no home folder"),
        ("- a list", "expected a mapping"),
        ("{", "is not YAML"),
        ("llms: 3", "llms: expected a mapping, got 3"),
        ("data_root: 5", "data_root: expected text or nothing (null), got 5 (the folder of your data"),
        ("data_root: ~nouser/data", "data_root: there is no home folder for '~nouser/data'"),
        ('data_root: "a\\0b"', "holds a NUL character"),
        ('data_root: "\\ud800"', "data_root: '\\ud800' holds half a character"),
        ("defaults: {n_samples: 010}", "line 1: '010': write it as a decimal number"),
        ("defaults: {n_samples: 1:30}", "line 1: '1:30': write it as a decimal number"),
        ("? [a, b]\n: 1", "the key of several values is not a text"),
        ("defaults: {output_dir: '~nouser'}", "defaults.output_dir: there is no home folder"),
        ("defaults: {n_samples: 3.0}", "defaults.n_samples: expected a whole number, got 3.0"),
        ("defaults: {seed: .inf}", "defaults.seed: expected a whole number, got inf"),
        ("defaults: {encoders: [1]}", "defaults.encoders[0]: expected text, got 1"),
        ("defaults: {device: gpu}", "got 'gpu' (auto, cpu, mps, cuda or cuda:N)"),
        ("data: {chart: {labels: a, images: b, x: c}}", "data.chart: unknown key 'x'"),
        ("defaults: {seed: " + "9" * 5000 + "}", "is not YAML"),
        ("data_root: 2024-13-45", "is not YAML: month"),
        ("llms: {1: x}", "is not YAML: line 1: the key '1' is not a text"),
        ("llms: {a: x,\n a: y}", "is not YAML: line 2: the key 'a' is there twice"),
        ("llms: &all {a: x}\nvision_encoders: *all", "line 2: the alias *all is not accepted"),
        ("[" * 20_000, "nested too deeply"),
        ("x" * 1_000_001, "larger than 1,000,000 bytes"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "alignbench.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(folder=tmp_path)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert str(tmp_path / "alignbench.yaml") in str(error.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"data_root: caf\xe9"])
def test_a_file_that_is_not_utf8_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "alignbench.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match="is not UTF-8; save the file as UTF-8 text"):
        load_config(folder=tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="POSIX files")
def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alignbench.yaml")
    with pytest.raises(ConfigError, match="it is no regular file"):
        load_config(folder=tmp_path)
    with pytest.raises(ConfigError, match="there is no such file"):
        load_config(tmp_path / ("n" * 300))


def test_the_packaged_configuration_follows_its_own_schema() -> None:
    assert complaint(read_yaml(SCHEMA.with_name("config.yaml")), SCHEMA) is None


@pytest.mark.parametrize("text", ["~nouser/x", "a\0b", ""])
def test_a_path_that_cannot_be_is_one_line_with_its_place(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--align-data-root: "):
        user_path(text, "--align-data-root")


def test_looking_for_a_path_that_cannot_be_raises_nothing() -> None:
    for path in (Path("n" * 300), Path("a\0b"), Path("/dev/null/x")):
        assert not any(look(path) for look in (is_dir, is_file, exists))


def test_a_place_without_a_home_folder_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("ALIGNBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(ConfigError, match="ALIGNBENCH_CACHE"):
        cache_home()
    monkeypatch.setenv("ALIGNBENCH_CACHE", "~nouser/cache")
    with pytest.raises(ConfigError, match=r"^ALIGNBENCH_CACHE: there is no home folder"):
        cache_home()
