"""Files that are there whole or not at all: atomic writes, and an append-only log of scores."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from alignbench.errors import DataError
from alignbench.files import UnfitFileError, append_line, read_regular, write_bytes
from alignbench.paths import exists, is_file
from alignbench.schema import complaint, shown
from alignbench.types import Score

SCHEMA_VERSION = 1
SCORES = "scores.json"
SCORES_LOG = "scores.jsonl"
ARTIFACTS = "artifacts"
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


def read_run(run_dir: Path | str) -> tuple[dict[str, Any], list[Score]]:
    """Return the run's description and its scores; of a killed run an empty one and what it had scored.

    Args:
        run_dir: its folder, or its scores.json wherever that was kept.

    Raises:
        DataError: there is no run, it is damaged, or it is of another version of the format.
    """
    place = Path(run_dir)
    path = place if is_file(place) else place / SCORES
    if not exists(path):
        log = place / SCORES_LOG
        if not exists(log):
            raise DataError(f"{run_dir}: expected a run's {SCORES} or {SCORES_LOG}, found neither")
        return {}, read_scores(log)
    try:
        data = json.loads(read_regular(path))
        version = data["schema_version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: expected a run as JSON with a schema_version ({error})") from error
    if version != SCHEMA_VERSION:
        older = isinstance(version, int) and version < SCHEMA_VERSION
        raise DataError(
            f"{path}: expected schema_version {SCHEMA_VERSION}, got {shown(version)}; "
            + ("make the run anew" if older else "use a newer alignbench")
        )
    run, scores = data.get("run"), data.get("scores")
    if not (isinstance(run, dict) and isinstance(scores, list)):
        found = ", ".join(map(shown, list(data)[:9]))
        raise DataError(f"{path}: expected a run and its scores, found {found}")
    if (wrong := complaint(run, SCHEMA, "run")) is not None:
        raise DataError(f"{path}: the run's description: {wrong}; make the run anew")
    return run, [_read_score(path, number, score) for number, score in enumerate(scores, start=1)]


def _read_score(path: Path, number: int, plain: Any) -> Score:
    try:
        return checked_score(plain)
    except DataError as error:
        raise DataError(f"{path}: score {number} is none ({error}); make the run anew") from error
