"""The configuration: packaged defaults, then a user's YAML file, then the environment."""

from __future__ import annotations

import copy
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from alignbench.datatypes import check_type
from alignbench.errors import ConfigError, DataError
from alignbench.paths import exists, is_file, user_path
from alignbench.schema import complaint, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOCAL_NAME = "alignbench.yaml"
SAMPLE_DIR = "sample_dir"  # a key beside the data types
SCHEMA = Path(__file__).with_name("config.schema.json")
_LONGEST = 1_000_000
_TEXT = "tag:yaml.org,2002:str"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_OCTAL = re.compile(r"[-+]?0[0-9_]+")


@dataclass(frozen=True, slots=True)
class DataSource:
    """The place of one data type in a tree, relative to the data root."""

    labels: str
    images: str


@dataclass(frozen=True, slots=True)
class Config:
    """The settings that apply where no option says otherwise.

    Args:
        encoders: name -> Hub repository, local folder or package (`pip:`) of the known encoders.
        llms: name -> Hub repository, local folder or package (`pip:`) of the known LLMs.
        default_encoders: the encoders of a run that names none.
        vlm_encoders: the encoders from which a VLM is trained by default.
        default_llms: the LLMs of a run that names none.
        compared_llms: the LLMs of an experiment that compares LLMs.
        n_samples: samples per data type.
        data_root: the root of the user's data, if one is configured.
        data: data type -> its place in a tree.
        sample_dir: the root of the samples that are used when no data is named; None for the packaged ones.
        origin: the files and variables that the values come from, to be shown to the user.
    """

    encoders: Mapping[str, str]
    llms: Mapping[str, str]
    default_encoders: tuple[str, ...]
    vlm_encoders: tuple[str, ...]
    default_llms: tuple[str, ...]
    compared_llms: tuple[str, ...]
    device: str
    output_dir: Path
    n_samples: int
    seed: int
    data_root: Path | None
    data: Mapping[str, DataSource]
    sample_dir: Path | None
    origin: tuple[str, ...]


def load_config(path: Path | None = None, *, folder: Path | None = None) -> Config:
    """Return the packaged defaults, with a YAML file and the environment laid over them.

    `VLM_DATA_ROOT` is not read here: the dataset loader reads it, so that it can say where the root came
    from.

    Args:
        path: a YAML file that must exist; None for alignbench.yaml, if there is one.
        folder: the folder in which to look for alignbench.yaml; None for the current folder.

    Raises:
        ConfigError: the file is missing, is not YAML, or says what config.schema.json forbids.
    """
    merged = copy.deepcopy(_packaged())
    origin = ["packaged defaults"]
    local = path if path is not None else (folder or Path.cwd()) / LOCAL_NAME
    if path is not None or exists(local):
        over = read_yaml(local)
        if (wrong := complaint(over, SCHEMA)) is not None:
            raise ConfigError(f"{local}: {wrong}; the packaged config.yaml shows the form of each key")
        _checked_types((name for name in over.get("data", {}) if name != SAMPLE_DIR), local)
        _lay_over(merged, over, local)
        origin.append(str(local))
    defaults = merged["defaults"]
    if output_dir := os.environ.get("VLM_OUTPUT_DIR"):
        origin.append("VLM_OUTPUT_DIR")
        where = "VLM_OUTPUT_DIR"
    else:
        output_dir, where = defaults["output_dir"], f"{local}: defaults.output_dir"
    root = merged["data_root"]
    sample_dir = merged["data"].pop(SAMPLE_DIR)
    return Config(
        encoders=merged["vision_encoders"],
        llms=merged["llms"],
        default_encoders=tuple(defaults["encoders"]),
        vlm_encoders=tuple(defaults["encoders_vlm"]),
        default_llms=tuple(defaults["llms"]),
        compared_llms=tuple(defaults["llms_compared"]),
        device=defaults["device"],
        output_dir=user_path(output_dir, where),
        n_samples=defaults["n_samples"],
        seed=defaults["seed"],
        data_root=None if root is None else Path(root),
        data={name: DataSource(at["labels"], at["images"]) for name, at in merged["data"].items()},
        sample_dir=sample_dir,
        origin=tuple(origin),
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; an empty file gives an empty mapping.

    Aliases are refused, because a few lines of them can stand for more than fits into memory. Duplicate keys
    are refused, because YAML's parser would drop the first one silently.

    Raises:
        ConfigError: the file can't be read, is not YAML, or is not a mapping.
    """
    if not is_file(path):
        what = "it is no regular file" if exists(path) else "there is no such file"
        raise ConfigError(f"can't read the configuration {path}: {what}")
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST + 1).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"can't read the configuration {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text") from error
    if len(text) > _LONGEST:
        raise ConfigError(f"{path}: larger than {_LONGEST:,} bytes; that is no configuration")
    try:
        content = yaml.load(text, _Loader)
    except RecursionError as error:
        raise ConfigError(f"{path} is not YAML that can be read: it is nested too deeply") from error
    except Exception as error:  # the parser raises whatever a malformed date or number raises
        raise ConfigError(f"{path} is not YAML: {_reason(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping, got {shown(content)}")
    return content


@cache  # every spec of a model asks for it, and parsing takes 10 ms
def _packaged() -> dict[str, Any]:
    """Return the packaged defaults; whoever changes them takes a copy."""
    return read_yaml(Path(__file__).with_name("config.yaml"))


def _checked_types(names: Iterable[str], where: Path) -> None:
    for name in names:
        try:
            check_type(name)
        except DataError as error:
            raise ConfigError(f"{where}: data: {error}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


class _Loader(yaml.SafeLoader):
    """Accepts plain data only: no alias, no duplicate key, every key a text, numbers as people read them."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            problem = f"the alias *{event.anchor} is not accepted; write the value out"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != _TEXT:
                name = shown(key.value) if isinstance(key.value, str) else "of several values"
                problem = f"the key {name} is not a text; put it in quotes"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            if key.value in seen:
                problem = f"the key {key.value!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: Any) -> Any:
        # In YAML 1.1, 010 is 8 and 1:30 is 90.
        if node.tag in _NUMBERS and (":" in node.value or _OCTAL.fullmatch(node.value)):
            problem = f"{shown(node.value)}: write it as a decimal number, or in quotes if it is a text"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_scalar(node)


def _lay_over(base: dict[str, Any], over: Mapping[str, Any], where: Path) -> None:
    for section, value in over.items():
        if isinstance(base[section], dict):
            base[section] = {**base[section], **value}
            if section == "data" and value.get(SAMPLE_DIR) is not None:
                base[section][SAMPLE_DIR] = _beside(where, value[SAMPLE_DIR], f"data.{SAMPLE_DIR}")
        elif section == "data_root" and value is not None:
            base[section] = _beside(where, value, section)
        else:
            base[section] = value


def _beside(file: Path, place: str, key: str) -> Path:
    """Return a folder as a file means it: relative to the file, wherever pytest was started."""
    return file.parent / user_path(place, f"{file}: {key}")
