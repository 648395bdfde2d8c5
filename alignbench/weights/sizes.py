"""The size of a model, from its configuration and the headers of its weights, before a load."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from alignbench.weights.config_tensors import side_of
from alignbench.weights.digest import parameter_count
from alignbench.weights.headers import safetensors_header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from alignbench.weights.source import Location

# A classifier reads the encoder's output: its width is that of the embedding.
_CLASSIFIER = re.compile(r"(?:^|\.)(?:classifier|head|fc|head\.fc)\.weight$")
_BYTES_A_PARAMETER = 2  # of weights that have yet to be downloaded


@dataclass(frozen=True, slots=True)
class ModelSize:
    """What the cost of using a model depends on.

    Args:
        parameters: how many numbers its weights hold.
        width: the approximate width of its embeddings; None if it is unknown.
    """

    parameters: int
    width: int | None = None


def size_of(
    located: Location, config: Mapping[str, Any] | None, kind: Literal["vision", "text"]
) -> ModelSize:
    """Return the size of a model whose files have been located.

    Args:
        located: their location; for files that have yet to be downloaded, only the bytes are known.
        config: its configuration; None if there is none.
        kind: the side that is used.

    Raises:
        ModelError: a file is not what its name says.
    """
    parameters = parameter_count(located.weights) or located.download // _BYTES_A_PARAMETER
    said = side_of(config, {}, kind).said("width") if config else None
    return ModelSize(parameters, said or _width_read(located.weights))


def _width_read(files: Sequence[Path]) -> int | None:
    """Return the input width of a classifier, or the width of the widest convolution if there is none."""
    shapes = {
        name: entry["shape"]
        for path in files
        if path.suffix == ".safetensors"
        for name, entry in safetensors_header(path).items()
    }
    for name, shape in shapes.items():
        if len(shape) >= 2 and _CLASSIFIER.search(name):
            return int(shape[1])
    return max((int(shape[0]) for shape in shapes.values() if len(shape) == 4), default=None)
