"""Files that are there whole or not at all: atomic writes, and an append-only log of scores."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.errors import DataError
from alignbench.types import Score

if TYPE_CHECKING:
    from collections.abc import Callable

SCORES_LOG = "scores.jsonl"


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

    Whoever reads `path`, also after a power cut, finds the old file or the new one, never half of one.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        os.close(handle)
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)  # noqa: PTH105 - the word for it
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    # mkstemp makes files that only their owner reads; a report is for everybody who may read its folder
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with plain newlines, atomically."""
    write_atomic(path, lambda temporary: _fill(temporary, text))


def _fill(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n", errors="replace")


def finite(value: Any) -> Any:
    """Return plain JSON data with every NaN and infinity as None: JSON has no word for them."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain_score(score: Score) -> dict[str, Any]:
    """Return a score as JSON data, all numbers finite.

    An interval with a side missing is none; deletions of which one is not a number can't be paired and are
    left out.
    """
    plain: dict[str, Any] = finite(score.to_dict())
    if None in plain["deletions"]:
        plain["deletions"] = []
    interval = plain["interval"]
    if interval is not None and None in (interval["low"], interval["high"]):
        plain["interval"] = None
    return plain


def sound(score: Score) -> Score:
    """Return the score as its file has it: no figure or table shows what the file does not."""
    return Score.from_dict(plain_score(score))


def dump(data: Any, indent: int | None = None) -> str:
    """Return JSON text; a NaN that got this far is an error, not a token that no parser knows."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=indent)


def append_score(run_dir: Path | str, score: Score) -> None:
    """Append one score to the run's log, `scores.jsonl`, and have it on the disk before returning.

    A line that a killed run left unfinished is cut off first.
    """
    path = Path(run_dir) / SCORES_LOG
    path.parent.mkdir(parents=True, exist_ok=True)
    line = dump(plain_score(score)).encode("utf-8", "replace") + b"\n"
    with path.open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_scores(path: Path | str) -> list[Score]:
    """Return the scores of a log; a last line that a killed run left unfinished is passed over.

    Raises:
        DataError: another line is not a score; with its number.
    """
    path = Path(path)
    lines = path.read_bytes().split(b"\n")
    scores = []
    for i, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            scores.append(Score.from_dict(json.loads(line)))
        except (ValueError, TypeError, AttributeError) as error:
            if i == len(lines):
                break
            raise DataError(
                f"{path}, line {i}: expected a score as JSON, got {line[:60]!r} ({error})"
            ) from error
    return scores
