"""Files that are there whole or not at all: atomic writes, and an append-only log of scores."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from alignbench.errors import DataError
from alignbench.files import UnfitFileError, append_line, read_regular, write_bytes
from alignbench.schema import complaint
from alignbench.types import Score

SCORES_LOG = "scores.jsonl"
REPORT = "report.html"
SCHEMA = Path(__file__).with_name("scores.schema.json")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with plain newlines, atomically."""
    write_bytes(path, text.encode("utf-8", errors="replace"))


def finite(value: Any) -> Any:
    """Return plain JSON data with every NaN and infinity as None: JSON has no word for them."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain_score(score: Score) -> dict[str, Any]:
    """Return a score as JSON data, all numbers finite.

    An interval with a side missing is none; deletions or repeats of which one is not a number can't be paired
    and are left out.
    """
    plain: dict[str, Any] = finite(score.to_dict())
    for name in ("deletions", "repeats"):
        if None in plain[name]:
            plain[name] = []
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

    Raises:
        UnwritableError: it can't be written.
    """
    append_line(Path(run_dir) / SCORES_LOG, dump(plain_score(score)).encode("utf-8", "replace"))


def checked_score(plain: Any) -> Score:
    """Return the score that plain JSON data describes.

    Raises:
        DataError: it is not what scores.schema.json asks for; with the first thing that is wrong.
    """
    if (wrong := complaint(plain, SCHEMA, "score")) is not None:
        raise DataError(wrong)
    return Score.from_dict(plain)


def read_scores(path: Path | str) -> list[Score]:
    """Return the scores of a log; a last line that a killed run left unfinished is passed over.

    Raises:
        DataError: another line is not a score; with its number.
    """
    path = Path(path)
    try:
        lines = read_regular(path).split(b"\n")
    except (OSError, UnfitFileError) as error:
        raise DataError(f"{path}: can't be read ({getattr(error, 'strerror', None) or error})") from error
    scores = []
    for i, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            scores.append(checked_score(json.loads(line)))
        except (ValueError, RecursionError, DataError) as error:
            if i == len(lines):
                break
            raise DataError(
                f"{path}, line {i}: expected a score as JSON, got {line[:60]!r} ({error})"
            ) from error
    return scores
