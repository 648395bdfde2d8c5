"""Checks of the values of single options; heavy modules are imported where they are needed."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Literal

from alignbench.errors import AlignbenchError, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.experiments.choose.budget import Budget
    from alignbench.findings.gate import Gate

Names = tuple[str, ...]
_LONGEST_NAME = 200  # file systems allow 255, of which the time stamp and a number need some


def no_reserved_type(names: Names, name: str) -> Names:
    """Return the names of data types if none of them is reserved."""
    from alignbench.datatypes import RESERVED

    for data_type in names:
        if data_type in RESERVED:
            raise ConfigError(
                f"{name}: {data_type!r} is reserved: {RESERVED[data_type]}; leave the option out to take all"
            )
    return names


def groups_file(text: str, name: str) -> Path | Literal["rows"]:
    """Return the path of the file of groups; or "rows", which makes equal rows one group."""
    from alignbench.datasets.copies import ROWS
    from alignbench.paths import user_path

    return user_path(text, name) if text != ROWS else "rows"


def columns(names: Names, name: str) -> Names:
    """Return what the columns of a table are, checked."""
    from alignbench.datasets.columns import parse_columns

    parse_columns(names, name)
    return names


def type_source(text: str, name: str) -> str:
    """Return where data types come from."""
    if text not in {"folder", "none"} and not re.fullmatch(r"column:.+", text):
        raise ConfigError(f"{name}: expected folder, none or column:NAME, got {text!r}")
    return text


def two_sided(metrics: Names, name: str) -> Names:
    """Return the metrics if all of them compare an encoder with an LLM."""
    from alignbench.metrics import METRICS

    two_sided = [metric for metric in METRICS if METRICS.get(metric).two_sided]
    if wrong := [metric for metric in metrics if metric not in two_sided]:
        raise ConfigError(
            f"{name}: {wrong[0]!r} looks at one side alone: it has no matrix of encoders and LLMs; those "
            f"that compare two: {', '.join(two_sided)}"
        )
    return metrics


def metric_of_race(metric: str, name: str) -> str:
    """Return the metric if encoders can be compared by it while samples are added."""
    from alignbench.metrics import METRICS

    def fits(known: str) -> bool:
        of = METRICS.get(known)
        return of.two_sided and of.pairing and of.interval is not None and not of.needs_labels

    if not fits(metric):
        raise ConfigError(
            f"{name}: {metric!r} can't decide a race, which takes a score of an encoder with an LLM that "
            f"sees the pairs and has an interval: {', '.join(filter(fits, METRICS))}"
        )
    return metric


def budget(text: str, name: str) -> Budget:
    """Return the budget that a text spells."""
    from alignbench.experiments.choose.budget import parse_budget

    return parse_budget(text, name)


def probability(value: float, name: str) -> float:
    """Return a number if it is above 0 and below 1."""
    if not 0 < value < 1:
        raise ConfigError(f"{name}: expected a number between 0 and 1, got {value}")
    return value


def table_of_encoders(path: Path, name: str) -> Path | str:
    """Return the name of a published table, or the path of a file with a table that can be judged."""
    from alignbench.experiments.validity.published import PUBLISHED, table_of
    from alignbench.paths import is_file

    if str(path) in PUBLISHED:
        return str(path)
    if not is_file(path):
        listed = ", ".join(PUBLISHED)
        raise ConfigError(f"{name}: {str(path)!r} is neither a published table ({listed}) nor a CSV file")
    try:
        table_of(path).blocks()
    except AlignbenchError as error:
        raise ConfigError(f"{name}: {error}") from error
    return path


def keypoint_folder(path: Path, name: str) -> Path:
    """Return the folder if it has pairs of images with keypoints."""
    from alignbench.datasets.spair import split_folder

    try:
        split_folder(path)
    except AlignbenchError as error:
        raise ConfigError(f"{name}: {error}") from error
    return path


def image_files(texts: Names, name: str) -> tuple[Path, ...]:
    """Return the paths of images if all of the files exist."""
    from alignbench.paths import is_file, user_path

    paths = tuple(user_path(text, name) for text in texts)
    if missing := [path for path in paths if not is_file(path)]:
        raise ConfigError(f"{name}: there is no file {str(missing[0])!r}")
    return paths


def nonempty_prompts(texts: Names, name: str) -> Names:
    """Return the prompts without repetitions if none is empty."""
    prompts = tuple(dict.fromkeys(text.strip() for text in texts))
    if not all(prompts):
        raise ConfigError(f"{name}: expected a text, got an empty one")
    return prompts


def gates(texts: Names, name: str) -> tuple[Gate, ...]:
    """Return the gates: which change of which metric is a regression."""
    from alignbench.findings.gate import parse_gates

    return parse_gates(",".join(texts), name)


def device_name(text: str, name: str) -> str:
    """Return the name of a device if it is one."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise ConfigError(f"{name}: expected auto, cpu, mps, cuda or cuda:N, got {text!r}")
    return text


def executor_name(text: str, name: str) -> str:
    """Return the name of an executor if what it needs is installed."""
    from importlib.util import find_spec

    if text == "ray" and find_spec("ray") is None:
        raise ConfigError(f'{name}: workers on a cluster need ray: pip install "alignbench[ray]"')
    return text


def folder_name(text: str, name: str) -> str:
    """Return a text if it can be part of a folder's name."""
    if not text.strip(".") or any(c in r'/\:*?"<>|' or ord(c) < 32 for c in text):
        raise ConfigError(f"{name}: {text!r} can't be part of a folder's name")
    if len(os.fsencode(text)) > _LONGEST_NAME:
        raise ConfigError(f"{name}: expected at most {_LONGEST_NAME} bytes, got {len(os.fsencode(text))}")
    return text
