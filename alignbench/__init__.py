"""alignbench: which vision encoder fits this LLM, and how sure can you be?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alignbench.aligned import assert_aligned
    from alignbench.arrays import ArrayScores, score_arrays
    from alignbench.choosing import Choice, choose
    from alignbench.embed import extract_multi_encoder
    from alignbench.findings import Findings
    from alignbench.options import OPTIONS, Option
    from alignbench.session.result import Result
    from alignbench.session.session import Session

__version__ = "0.2.0"
__all__ = [
    "OPTIONS",
    "ArrayScores",
    "Choice",
    "Findings",
    "Option",
    "Result",
    "Session",
    "__version__",
    "assert_aligned",
    "choose",
    "extract_multi_encoder",
    "score_arrays",
]
_MODULES = {
    "OPTIONS": "options",
    "ArrayScores": "arrays",
    "Choice": "choosing",
    "Findings": "findings",
    "Option": "options",
    "Result": "session.result",
    "Session": "session.session",
    "assert_aligned": "aligned",
    "choose": "choosing",
    "extract_multi_encoder": "embed",
    "score_arrays": "arrays",
}


def __getattr__(name: str) -> object:
    # Imported on first use, because every pytest run in the environment imports this package for its options.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"alignbench.{_MODULES[name]}"), name)
