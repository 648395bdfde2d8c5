"""Finding a model's weights, knowing what they are, and loading them without a silent random tensor.

Shared by `alignbench.encoders` and `alignbench.llms`. Nothing here imports torch or transformers, but
`alignbench.weights.loading`.
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
