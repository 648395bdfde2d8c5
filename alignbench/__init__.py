"""alignbench: which vision encoder fits this LLM, and how sure can you be?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alignbench.aligned import assert_aligned
    from alignbench.arrays import ArrayScores, score_arrays
    from alignbench.embed import extract_multi_encoder

__version__ = "0.1.0"
__all__ = ["ArrayScores", "__version__", "assert_aligned", "extract_multi_encoder", "score_arrays"]


def __getattr__(name: str) -> object:
    # Imported when it is asked for: every pytest run of an environment imports this package for its options.
    if name in {"ArrayScores", "score_arrays"}:
        from alignbench import arrays

        return getattr(arrays, name)
    if name == "assert_aligned":
        from alignbench.aligned import assert_aligned

        return assert_aligned
    if name == "extract_multi_encoder":
        from alignbench.embed import extract_multi_encoder

        return extract_multi_encoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
