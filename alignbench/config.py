"""The configuration: packaged defaults, then a user's YAML file, then the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from alignbench.datatypes import check_type
from alignbench.errors import ConfigError, DataError
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL_NAME = "alignbench.yaml"
_SECTIONS = ("vision_encoders", "llms", "defaults", "data_root", "data")


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where one data type of a tree is, relative to the data root."""

    labels: str
    images: str


@dataclass(frozen=True, slots=True)
class Config:
    """The settings that hold where no option says otherwise.

    Args:
        encoders: name -> Hub repository (or local folder) of the known encoders.
        llms: the same for the LLMs.
        default_encoders: the encoders of a run that names none.
        vlm_encoders: those of them that a VLM is trained of.
        default_llms: the LLMs of a run that names none.
        compared_llms: those where LLMs are compared with each other.
        n_samples: samples per data type.
        data_root: the root of the user's data, if one is configured.
        data: data type -> its place in a tree.
        origin: which files and variables the values come from, to be said to the user.
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
    origin: tuple[str, ...]


def load_config(path: Path | None = None, *, folder: Path | None = None) -> Config:
    """Return the packaged defaults, with a YAML file and the environment laid over them.

    `VLM_DATA_ROOT` is not taken here: the dataset loader asks for it, to say that it came from there.

    Args:
        path: a YAML file that must exist; None takes alignbench.yaml where there is one.
        folder: where to look for alignbench.yaml; the current folder if None.

    Raises:
        ConfigError: the file is missing, is not YAML, or has a key that nobody reads.
    """
    merged = _read(Path(__file__).with_name("config.yaml"))
    origin = ["packaged defaults"]
    local = path if path is not None else (folder or Path.cwd()) / LOCAL_NAME
    if path is not None or local.is_file():
        _lay_over(merged, _read(local), where=str(local))
        origin.append(str(local))
    if output_dir := os.environ.get("VLM_OUTPUT_DIR"):
        merged["defaults"]["output_dir"] = output_dir
        origin.append("VLM_OUTPUT_DIR")
    try:
        return _checked(merged, tuple(origin))
    except ValueError as error:
        raise ConfigError(
            f"{local}: {error}; see the packaged config.yaml for the form of each key"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"can't read the configuration {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content or {}, dict):
        raise ConfigError(
            f"{path}: expected a mapping of {', '.join(_SECTIONS)}, got {type(content).__name__}"
        )
    return dict(content or {})


def _lay_over(base: dict[str, Any], over: Mapping[str, Any], where: str) -> None:
    for section, value in over.items():
        if section not in _SECTIONS:
            raise ConfigError(f"{where}: {unknown('section', str(section), dict.fromkeys(_SECTIONS))}")
        if isinstance(base.get(section), dict):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: {section} is a mapping, got {value!r}")
            if section == "defaults" and (bad := [key for key in value if key not in base[section]]):
                raise ConfigError(f"{where}: {unknown('default', str(bad[0]), base[section])}")
            base[section] = {**base[section], **value}
        elif section == "data_root" and isinstance(value, str):
            # A relative root is meant from the file that names it, wherever pytest is started.
            base[section] = str(Path(where).parent / Path(value).expanduser())
        else:
            base[section] = value


def _checked(merged: Mapping[str, Any], origin: tuple[str, ...]) -> Config:
    defaults = merged["defaults"]
    n_samples, seed = defaults["n_samples"], defaults["seed"]
    for name, number, least in (("n_samples", n_samples, 1), ("seed", seed, 0)):
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(f"{name}: expected an integer of at least {least}, got {number!r}")
    root = merged["data_root"]
    return Config(
        encoders=_sources("vision_encoders", merged),
        llms=_sources("llms", merged),
        default_encoders=_names("encoders", defaults),
        vlm_encoders=_names("encoders_vlm", defaults),
        default_llms=_names("llms", defaults),
        compared_llms=_names("llms_compared", defaults),
        device=str(defaults["device"]),
        output_dir=Path(defaults["output_dir"]),
        n_samples=n_samples,
        seed=seed,
        data_root=None if root is None else Path(root),
        data={str(k): _data_source(str(k), v) for k, v in merged["data"].items()},
        origin=origin,
    )


def _sources(section: str, merged: Mapping[str, Any]) -> dict[str, str]:
    for name, source in merged[section].items():
        if not isinstance(source, str) or not source:
            raise ValueError(f"{section}.{name}: expected a repository or a folder, got {source!r}")
    return {str(name): source for name, source in merged[section].items()}


def _data_source(name: str, entry: Any) -> DataSource:
    try:
        check_type(name)
    except DataError as error:
        raise ValueError(f"data: {error}") from error
    if not isinstance(entry, dict) or not all(
        isinstance(entry.get(key), str) for key in ("labels", "images")
    ):
        raise ValueError(f"data.{name}: expected labels and images, two paths, got {entry!r}")
    return DataSource(entry["labels"], entry["images"])


def _names(key: str, defaults: Mapping[str, Any]) -> tuple[str, ...]:
    value = defaults[key]
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError(f"defaults.{key}: expected a list of names, got {value!r}")
    return tuple(value)
