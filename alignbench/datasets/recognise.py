"""Which reader reads what a user points at, and why; or what was found instead, and what to do."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, replace
from glob import glob, has_magic
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import alignbench.datasets.readers  # noqa: F401 (fills the registry)
from alignbench.datasets.formats import SUFFIXES
from alignbench.datasets.reading import READERS, Place, Reader, Reading
from alignbench.datasets.records import trouble_of
from alignbench.datasets.row import shown
from alignbench.errors import DataError
from alignbench.paths import exists, is_dir, is_file

if TYPE_CHECKING:
    from collections.abc import Iterator

HUB = "hf"
_SHARDED = frozenset({".tar", ".parquet", ".arrow"})
_LABELS = frozenset({".json", ".jsonl", ".csv", ".tsv", ".txt"})
_JSON = frozenset({".json", ".jsonl"})
_BELOW = ("annotations", "data")
_SPLITS = ("train", "val", "validation", "dev", "test")
_SHARD = re.compile(r"[-_]?\d+(-of-\d+)?$")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_FILES = 10_000


@dataclass(frozen=True)
class Match:
    """A reader that reads a place, and why."""

    reader: Reader
    place: Place
    why: str

    def __str__(self) -> str:
        if not self.place.files:
            return self.described()
        folder = self.place.folder.name
        inside = f"{folder}/" if folder in (*_BELOW, *_SPLITS) else ""
        return f"{inside}{self.place.name} {self.described()}"

    def described(self, path: Path | None = None) -> str:
        """Return how it is read and why, for a message that has named `path` already."""
        name = f"{self.place.name} " if path is not None and self.place.files not in ((), (path,)) else ""
        return f"{name}read as {self.reader.name}: it has {self.why}"


def recognise(path: Path, reading: Reading, *, reader: str | None = None, origin: str = "") -> Match:
    """Return the reader of a path, and what of the path it reads.

    A folder that a reader knows as a whole is preferred to the label files in it, and these to images without
    any.

    Args:
        path: a file, a folder, or a pattern of files: with `*`, or with a range like `{000..099}`.
        reading: how to read it.
        reader: the name of the reader, if the user has chosen it.
        origin: what to call the path in messages; by default the path.

    Raises:
        DataError: no reader recognises anything there, or several do; the message says what was found, and
            which option decides.
        UnknownNameError: there is no such reader.
    """
    origin = origin or str(path)
    chosen = None if reader is None else READERS.get(reader)
    readers = [READERS.get(name) for name in READERS] if chosen is None else [chosen]
    files = _expanded(path)
    if files:
        place = Place(files[0].parent, files)
        matches = _matches(place, readers, reading)
        if not matches and chosen is not None:
            return Match(chosen, place, "been named so by the user")
        return _only(matches, path, origin, (place,))
    if not is_dir(path):
        raise DataError(f"data {origin}: {'not a folder or a file' if exists(path) else _not_there(path)}")
    whole = _matches(Place(path), [one for one in readers if not one.fallback], reading)
    if whole:
        return _only(whole, path, origin, ())
    places: tuple[Place, ...] = ()
    for among in _label_files(path):
        places += among
        inside = [match for place in among for match in _matches(place, readers, reading)]
        if inside:
            return _only(inside, path, origin, among)
    fallback = _matches(Place(_only_split(path, origin)), [one for one in readers if one.fallback], reading)
    if not fallback and chosen is not None and not places:
        return Match(chosen, Place(path), "been named so by the user")
    if len(fallback) == 1 and places:
        unread = "; ".join(_nearest(place) for place in places[:3])
        if chosen is None and any(file.suffix.lower() != ".txt" for place in places for file in place.files):
            raise DataError(
                f"data {origin}: it has images, and {unread}: no reader knows what that says of them. "
                "--align-columns image=COLUMN,text=COLUMN says what the columns of a table are, and "
                f"{fallback[0].reader.name}:{path} takes the images without it"
            )
        return replace(fallback[0], why=f"{fallback[0].why}; nothing is taken from {unread}")
    return _only(fallback, path, origin, places)


def _only_split(path: Path, origin: str) -> Path:
    """Return the folder of images: the one split that a folder consists of, or the folder itself.

    Raises:
        DataError: it consists of several splits.
    """
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    splits = [entry for entry in entries if is_dir(entry) and entry.name in _SPLITS]
    if not splits or any(
        is_dir(entry) or entry.suffix.lower() in SUFFIXES for entry in entries if entry not in splits
    ):
        return path
    if len(splits) > 1:
        names = ", ".join(sorted(entry.name for entry in splits))
        raise DataError(
            f"data {origin}: {len(splits)} splits, {names}; name one of them, such as {splits[0]}"
        )
    return splits[0]


def split_spec(spec: str) -> tuple[str | None, str]:
    """Return the reader that a spec names (`table:data.txt`), if any, and the rest.

    Raises:
        DataError: it is an address of the web.
        UnknownNameError: it names no reader, and the rest is there.
    """
    if re.match(r"\w+://", spec):
        raise DataError(f"data {spec}: a URL; download it first, or name a data set of the Hub: hf:org/name")
    name, colon, rest = spec.partition(":")
    if len(name) > 1 and name != HUB and rest and exists(rest):
        READERS.get(name)
    return (name, rest) if colon and rest and (name == HUB or name in READERS) else (None, spec)


def _matches(place: Place, readers: list[Reader], reading: Reading) -> list[Match]:
    found = ((reader, reader.recognise(place, reading)) for reader in readers)
    return [Match(reader, place, why) for reader, why in found if why is not None]


def _only(matches: list[Match], path: Path, origin: str, places: tuple[Place, ...]) -> Match:
    if len(matches) == 1:
        return matches[0]
    if matches:
        listed = "; ".join(map(str, matches[:3]))
        first = matches[0]
        at = first.place.files[0] if first.place.files else first.place.folder
        raise DataError(
            f"data {origin}: {len(matches)} things in it could be meant: {listed}; "
            f"name one of them, such as {first.reader.name}:{at}"
        )
    nearest = [_nearest(place) for place in places[:3]] or _contents(path)
    known = ", ".join(READERS)
    raise DataError(
        f"data {origin}: no reader recognises it; it holds {'; '.join(nearest) or 'nothing'}. "
        f"--align-columns image=COLUMN,text=COLUMN says what the columns of a table are, and READER:{path} "
        f"chooses a reader ({known})"
    )


def _label_files(folder: Path) -> Iterator[tuple[Place, ...]]:
    """Yield the label files of a folder, then those of the folders in it where people keep them."""
    yield _labels_in(folder)
    for name in _BELOW:
        yield _labels_in(folder / name)
    # Of several splits, the user has to name one.
    yield tuple(place for name in _SPLITS for place in _labels_in(folder / name))


def _labels_in(folder: Path) -> tuple[Place, ...]:
    files = _visible(folder)
    images = {file.stem for file in files if file.suffix.lower() in SUFFIXES}
    groups: dict[str, list[Path]] = {}
    for file in files:
        suffix = file.suffix.lower()
        if suffix in _SHARDED:
            groups.setdefault(_SHARD.sub("", file.stem) + suffix, []).append(file)
        elif suffix in _LABELS and file.stem not in images:  # the text of one image
            groups[file.name] = [file]
    return tuple(Place(folder, tuple(files)) for files in groups.values())


def _visible(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [entry for entry in entries if not entry.name.startswith(".") and is_file(entry)]


def _expanded(path: Path) -> tuple[Path, ...]:
    """Return the files that a path or a pattern names, in order."""
    if is_file(path):
        return (path,)
    patterns = [str(path)]
    if _RANGE.search(str(path)):
        parts = _RANGE.split(str(path))
        bounds = list(zip(parts[1::3], parts[2::3], strict=True))
        count = math.prod(max(0, int(last) - int(first) + 1) for first, last in bounds)
        if count > _MOST_FILES:
            raise DataError(f"{path}: a range of {count:,} files; at most {_MOST_FILES:,} are read")
        ranges = ([f"{i:0{len(first)}}" for i in range(int(first), int(last) + 1)] for first, last in bounds)
        patterns = [_joined(parts[::3], numbers) for numbers in product(*ranges)]
        missing = [name for name in patterns if not is_file(name)]
        if missing:
            raise DataError(
                f"data {path}: no such file: {missing[0]} ({len(missing)} of {count} are missing)"
            )
    elif has_magic(str(path)) and not exists(path):
        patterns = sorted(glob(str(path)))  # noqa: PTH207 (the folder may be a pattern, too)
    return tuple(Path(name) for name in patterns if is_file(name))


def _joined(texts: list[str], numbers: tuple[str, ...]) -> str:
    return "".join(text + number for text, number in zip(texts, (*numbers, ""), strict=True))


def _nearest(place: Place) -> str:
    """Return what a label file looks like, although no reader recognises it."""
    from alignbench.datasets.readers.table import read_columns

    file = place.files[0]
    try:
        if file.stat().st_size == 0:
            return f"{place.name}, which is empty"
        columns = read_columns(place)
    except OSError as error:
        return f"{place.name}, which can't be read ({error.strerror})"
    except DataError as error:
        return str(error)
    if file.suffix.lower() in _JSON and (trouble := trouble_of(file)):
        return trouble
    if columns:
        return f"{place.name}, a table with the columns {', '.join(map(shown, columns[:8]))}"
    return place.name


def _contents(path: Path) -> list[str]:
    if not is_dir(path):
        return [path.name]
    try:
        return sorted(entry.name for entry in path.iterdir())[:3]
    except OSError as error:
        return [f"what can't be listed ({error.strerror})"]


def _not_there(path: Path) -> str:
    """Return that nothing is there, with the nearest names beside it."""
    beside = [entry.name for entry in path.parent.iterdir()] if is_dir(path.parent) else []
    close = difflib.get_close_matches(path.name, beside, n=3, cutoff=0.6)
    return "no such folder or file" + (f"; there is {', '.join(close)}" if close else "")
