"""The files of a run that hold its scores: writing them atomically, and reading them back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from alignbench.errors import DataError
from alignbench.files import UnfitFileError, append_line, read_regular, write_bytes
from alignbench.findings.scorefile import answers_of, is_score_file, unfolded
from alignbench.paths import exists, is_file
from alignbench.schema import complaint, shown
from alignbench.types import Score

SCHEMA_VERSION = 1
SCORES = "scores.json"
SCORES_LOG = "scores.jsonl"
ARTIFACTS = "artifacts"
REPORT = "report.html"
PUBLISHED = "published"
SCHEMA = Path(__file__).with_name("scores.schema.json")


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically as UTF-8, with newlines as they are."""
    write_bytes(path, text.encode("utf-8", errors="replace"))


def finite(value: Any) -> Any:
    """Return plain JSON data with None for every NaN and infinity, which JSON cannot express."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain_score(score: Score) -> dict[str, Any]:
    """Return a score as JSON data in which all numbers are finite.

    An interval that lacks an end is left out; so are deletions and repeats if one of them is not a number,
    because they cannot be paired.
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
    """Return the score as its file has it, so that figures and tables show nothing else."""
    return Score.from_dict(plain_score(score))


def dump(data: Any, indent: int | None = None) -> str:
    """Return JSON text; a NaN is an error, because parsers would not know its token."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=indent)


def append_score(run_dir: Path | str, score: Score) -> None:
    """Append one score to the run's log, `scores.jsonl`; it is on the disk when this returns.

    A line that a killed run left unfinished is removed first.

    Raises:
        UnwritableError: the log can't be written.
    """
    append_line(Path(run_dir) / SCORES_LOG, dump(plain_score(score)).encode("utf-8", "replace"))


def checked_score(plain: Any) -> Score:
    """Return the score that plain JSON data describes.

    Raises:
        DataError: the data violates scores.schema.json; the message has the first violation.
    """
    if (wrong := complaint(plain, SCHEMA, "score")) is not None:
        raise DataError(wrong)
    return Score.from_dict(plain)


def read_scores(path: Path | str) -> list[Score]:
    """Return the scores of a log; a last line that a killed run left unfinished is ignored.

    Raises:
        DataError: the log can't be read, or another line is not a score; the message has its number.
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
    """Return the run's description and its scores; the description of a killed run is empty.

    Args:
        run_dir: the run's folder, or the path of its scores.json; or a file of scores alone (`scorefile`).

    Raises:
        DataError: there is no run, it is damaged, or its format has another version.
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
        answers: dict[str, Any] = {}
        if is_score_file(data):
            data, answers = unfolded(data), answers_of(data)
        if not isinstance(data, dict) or "schema_version" not in data:
            raise DataError(f"it holds no scores of alignbench, but {shown(data)}")
        version = data["schema_version"]
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except UnfitFileError as error:
        raise DataError(f"{path}: can't be read ({error})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: it is damaged or cut off ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror or error})") from error
    if version != SCHEMA_VERSION:
        older = isinstance(version, int) and version < SCHEMA_VERSION
        raise DataError(
            f"{path}: expected schema_version {SCHEMA_VERSION}, got {shown(version)}; "
            + ("repeat the run" if older else "use a newer alignbench")
        )
    run, scores = data.get("run"), data.get("scores")
    if not (isinstance(run, dict) and isinstance(scores, list)):
        keys = ", ".join(map(shown, list(data)[:9]))
        raise DataError(f"{path}: expected a run and its scores, found {keys}")
    if (wrong := complaint(run, SCHEMA, "run")) is not None:
        raise DataError(f"{path}: the run's description: {wrong}; repeat the run")
    return run | answers, [_read_score(path, number, score) for number, score in enumerate(scores, start=1)]


def published_files(run_dir: Path | str) -> list[Path]:
    """Return the files of others' results that a run keeps beside its own, sorted by name."""
    return sorted((Path(run_dir) / PUBLISHED).glob("*.json"))


def is_baseline(path: Path) -> bool:
    """Return whether a readable file of scores alone is there."""
    try:
        return is_score_file(json.loads(read_regular(path)))
    except (OSError, ValueError, RecursionError):
        return False


def _read_score(path: Path, number: int, plain: Any) -> Score:
    try:
        return checked_score(plain)
    except DataError as error:
        raise DataError(f"{path}: score {number} is not valid ({error}); repeat the run") from error
