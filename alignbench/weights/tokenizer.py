"""The tokenizer in a model's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError
from alignbench.weights.loading import one_line, quiet, transformers_class

if TYPE_CHECKING:
    from pathlib import Path


def load_tokenizer(folder: Path, cls: str = "AutoTokenizer") -> Any:
    """Return the tokenizer in a folder.

    Raises:
        ModelError: there is none that transformers can read without code from the folder.
    """
    with quiet():
        try:
            return transformers_class(cls).from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
            raise ModelError(
                f"{folder}: no usable tokenizer ({one_line(error)}); save the tokenizer with the model"
            ) from error
