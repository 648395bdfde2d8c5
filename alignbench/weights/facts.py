"""What is known of a model without loading or downloading it: width, parameters, bytes and licence."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from alignbench.files import UnfitFileError, read_regular
from alignbench.weights.config_tensors import side_of
from alignbench.weights.headers import safetensors_header
from alignbench.weights.places import is_head

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE: Final = Path(__file__).with_name("published.json")
"""Repository -> its facts. `python -m alignbench.measure facts` counts widths and parameters anew; bytes and
licences were looked up, and `from` says where."""

_HEADS = ("lm_head.", "output.")  # the second is InternLM2's
_CARD = "README.md"
_LARGEST_CARD = 1_000_000
_FRONT = re.compile(r"\A---\n(.*?)^---", re.DOTALL | re.MULTILINE)
_LICENCE = re.compile(r"^license: *([\w.-]+) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a model; None is unknown.

    Args:
        width: the hidden width of the vision tower or of the LLM.
        parameters: the number of parameters of that tower or LLM, without other towers and heads.
        size: the bytes of the weight files, which may hold more than the tower or LLM.
        licence: the licence as the model's card names it.
    """

    width: int | None = None
    parameters: int | None = None
    size: int | None = None
    licence: str | None = None


def published(repository: str) -> Facts:
    """Return what is known of a repository of the Hub."""
    known = _published().get(repository, {})
    return Facts(*(known.get(name) for name in ("width", "parameters", "download", "licence")))


def facts_of_files(
    files: tuple[Path, ...], config: Mapping[str, Any], side: Literal["vision", "text"]
) -> Facts:
    """Return what configuration, headers and card of a model on this machine say; no weight is read.

    Args:
        files: its weight files.
        config: the content of its config.json.
        side: the side that is meant.

    Raises:
        ModelError: a file is not what its name says.
    """
    plain = all(path.suffix == ".safetensors" for path in files)
    headers = [safetensors_header(path) for path in files if plain]
    shapes = {name: tuple(entry["shape"]) for header in headers for name, entry in header.items()}
    own = side_of(config, shapes, side)
    counted = [math.prod(shape) for name, shape in own.tensors.items() if not _predicts(name)]
    features = config.get("num_features")  # timm's word for the width
    return Facts(
        own.said("width") or (features if type(features) is int else None),
        sum(counted) or None,
        sum(path.stat().st_size for path in files) or None,
        _licence(files[0].parent) if files else None,
    )


def _predicts(name: str) -> bool:
    return name.startswith(_HEADS) or is_head(name)


def _licence(folder: Path) -> str | None:
    try:
        card = read_regular(folder / _CARD, _LARGEST_CARD).decode(errors="replace")
    except (OSError, UnfitFileError):
        return None
    front = _FRONT.match(card)
    found = _LICENCE.search(front[1]) if front else None
    return found[1] if found else None


@cache
def _published() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return table
