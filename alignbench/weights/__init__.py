"""Finding a model's weights, identifying them, and loading them without a silently random tensor.

`alignbench.encoders` and `alignbench.llms` share this room. Only `alignbench.weights.loading` and the modules
that use it import torch or transformers.
"""

from alignbench.weights.precision import Precision, resolve_device, resolve_precision
from alignbench.weights.source import FolderSource, HubSource, Location, NoSource, Source
from alignbench.weights.spec import Spec, parse_spec

__all__ = [
    "FolderSource",
    "HubSource",
    "Location",
    "NoSource",
    "Precision",
    "Source",
    "Spec",
    "parse_spec",
    "resolve_device",
    "resolve_precision",
]
