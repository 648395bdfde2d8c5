"""The tokenizer in a model's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.weights.files import check_leads_nowhere, check_regular, read_json
from alignbench.weights.guard import guarded
from alignbench.weights.loading import quiet, transformers_class

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.weights.processors import Tokenizer


def load_tokenizer(folder: Path, cls: str = "AutoTokenizer") -> Tokenizer:
    """Return the tokenizer in a folder.

    Raises:
        ModelError: there is none that transformers can read without code from the folder, or its
            configuration names files that are not digested.
    """
    settings = folder / "tokenizer_config.json"
    if settings.is_file():
        check_leads_nowhere(read_json(settings), settings.name, str(folder))
    with quiet(), guarded(str(folder), "no usable tokenizer", "save the tokenizer with the model"):
        tokenizer: Tokenizer = transformers_class(cls).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    return tokenizer


class SentencePieceTokenizer:
    """A `tokenizer.model`, read by SentencePiece itself: the beginning-of-text token, then the pieces.

    Args:
        file: the model.

    Raises:
        ModelError: the file is not a SentencePiece model.
    """

    pad_token_id: int | None = None

    def __init__(self, file: Path) -> None:
        from sentencepiece import SentencePieceProcessor

        check_regular(file)
        with guarded(str(file), "not a SentencePiece model"):
            self._pieces = SentencePieceProcessor(model_file=str(file))
        self.bos_token_id = int(self._pieces.bos_id())
        self.eos_token_id = int(self._pieces.eos_id())

    def __call__(
        self,
        texts: list[str],
        *,
        truncation: bool = False,
        max_length: int | None = None,
        add_special_tokens: bool = True,
    ) -> dict[str, list[list[int]]]:
        """Return the token ids of each text, at most `max_length` if `truncation`."""
        first = [self.bos_token_id] if add_special_tokens else []
        ids = [[*first, *self._pieces.encode(text)] for text in texts]
        return {"input_ids": [of[:max_length] for of in ids] if truncation else ids}

    def decode(self, ids: list[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text of token ids; special tokens have none."""
        return str(self._pieces.decode([int(token) for token in ids]))
