"""A draw of samples from rows in one pass: the n images of each type with the smallest seeded hashes.

The draw does not depend on the order of the rows, n samples are among those of any larger n, and memory grows
with n, not with the number of rows.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

from alignbench.datasets.dataset import SHOWN_TYPES, DroppedRow, Sample
from alignbench.datasets.finding import image_key
from alignbench.datasets.row import Draft, Row
from alignbench.datasets.samples import SampleCheck
from alignbench.datatypes import ALL
from alignbench.errors import DataError
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from alignbench.datasets.dataset import TextField
    from alignbench.datasets.images import Packed
    from alignbench.datasets.row import Rows

MOST_TYPES = 1000
_SPARE = 16  # candidates beyond n, of which some may turn out unusable
_GROWTH = 4
_LARGEST = b"\xff" * 8


@dataclass(frozen=True, slots=True)
class Draw:
    """What was drawn.

    Args:
        samples: type -> the samples of each image, in the order of the rows: a sample for each usable row.
            The first of an image's samples is the one drawn by the seed.
        dropped: the rows that could not be used, in their order.
        notes: further information for the user.
        rows: the number of rows.
    """

    samples: dict[str, list[list[Sample]]]
    dropped: list[DroppedRow]
    notes: list[str]
    rows: int


def draw_samples(
    rows: Rows,
    *,
    n: int | None,
    types: Collection[str] | None,
    seed: int,
    text_field: TextField,
    follow_links: bool = False,
) -> Draw:
    """Draw n images of each type, with all rows about them.

    Images without any text are drawn only if no row of the wanted types has a text.

    Args:
        rows: returns the rows from the first one on. They are read again only if so many of the candidates
            can't be used that fewer than n samples are left.
        n: the number of images of each type; None for all.
        types: the types to draw; None for all.
        seed: the seed.
        text_field: the text that an image is paired with.
        follow_links: whether links may lead out of the images' folders.

    Raises:
        DataError: the rows can't be read, or have too many types.
    """
    most = None if n is None else n + _SPARE
    candidates = _candidates(rows, most=most, types=types, seed=seed, text_field=text_field)
    kinds, silent, dropped = candidates.kinds, candidates.silent, candidates.dropped
    if with_texts := any(kind.wanted for kind in kinds.values()):
        kinds |= {name: kind.emptied() for name, kind in silent.items() if name and name not in kinds}
    else:
        kinds |= silent
    check = SampleCheck(text_field, follow_links, with_texts)
    untyped = kinds.pop("", None) if len(kinds) > 1 else None
    _examine(kinds, rows, n, check)
    if untyped is not None and not any(kind.taken for kind in kinds.values()):
        kinds[""] = untyped  # a stray row seemed to have a type
        untyped = None
        _examine(kinds, rows, n, check)
    notes = []
    if with_texts and (count := sum(kind.seen for kind in silent.values() if kind.wanted)):
        for kind in silent.values():
            dropped |= kind.left_out(check)
        notes.append(f"{plural(count, 'row')} without a text left out, because other rows have one")
    if untyped is not None:
        dropped |= untyped.left_out(check)
        notes.append(
            f"{plural(untyped.seen, 'row')} without a data type left out; "
            "--align-type-from none takes all rows as one type"
        )
    for kind in kinds.values():
        dropped |= kind.dropped
    notes += _notes(list(kinds.values()), n)
    return Draw(
        {kind.name: kind.taken for kind in kinds.values()},
        [dropped[position] for position in sorted(dropped)],
        notes,
        candidates.rows,
    )


@dataclass(slots=True)
class _Candidates:
    """What the first pass over the rows keeps: candidates by type, with and without texts."""

    kinds: dict[str, _Kind] = field(default_factory=dict)
    silent: dict[str, _Kind] = field(default_factory=dict)
    dropped: dict[int, DroppedRow] = field(default_factory=dict)
    rows: int = 0


def _candidates(
    rows: Rows, *, most: int | None, types: Collection[str] | None, seed: int, text_field: TextField
) -> _Candidates:
    kept = _Candidates()
    may_be_silent = text_field == "answer"  # whoever asks for questions wants texts
    for position, row in enumerate(rows()):
        kept.rows += 1
        if isinstance(row, DroppedRow):
            kept.dropped[position] = row
            continue
        by_name = kept.kinds
        if isinstance(row, Row):
            image, name = row.image, row.data_type
            if may_be_silent and not row.texts:
                by_name = kept.silent
        else:
            image, name = row[0], row[1]
        kind = by_name.get(name)
        if kind is None:
            if len(by_name) == MOST_TYPES:
                raise DataError(
                    f"row {position + 1}: more than {MOST_TYPES:,} data types, such as {name!r}; "
                    "--align-type-from says where types come from, `none` gives all rows one type"
                )
            kind = by_name[name] = _Kind(name, seed, most, types is None or (name or ALL) in types)
        kind.add(position, image, row)
    return kept


def _examine(kinds: Mapping[str, _Kind], rows: Rows, n: int | None, check: SampleCheck) -> None:
    """Check candidates until each type has n samples, reading the rows again if there are too few."""
    while pending := {name: kind for name, kind in kinds.items() if kind.examine(n, check)}:
        for kind in pending.values():
            kind.begin_again()
        for position, row in enumerate(rows()):
            if not isinstance(row, DroppedRow):
                image, name = (row.image, row.data_type) if isinstance(row, Row) else (row[0], row[1])
                if name in pending:
                    pending[name].add(position, image, row)


class _Kind:
    """The candidates of one data type: the images with the smallest hashes, and all rows about them.

    Args:
        name: the type.
        seed: the seed of the draw.
        most: the number of images that are kept; None for all.
        wanted: whether the type is drawn at all.
    """

    def __init__(self, name: str, seed: int, most: int | None, wanted: bool) -> None:
        self.name, self.seed, self.most, self.wanted = name, seed, most, wanted
        self.seen = 0
        self.taken: list[list[Sample]] = []
        self.dropped: dict[int, DroppedRow] = {}
        self._prefix = f"{seed}:{name}:".encode()
        self._rows: dict[bytes, list[tuple[int, Row | Draft]]] = {}
        self._heap: list[int] = []  # negative hashes: the largest one is in front
        self._largest = _LARGEST  # the largest hash that is kept, once there are enough
        self._after = b""  # the last hash that was examined
        self._overflowed = False

    def add(self, position: int, image: str | bytes | Packed | None, row: Row | Draft) -> None:
        """Keep a row if its image is among those with the smallest hashes."""
        self.seen += 1
        if not self.wanted:
            return
        if not image:  # such rows have no hash of their own, and there may be millions
            lost = _understood(row)
            reason = lost.reason if isinstance(lost, DroppedRow) else "no image"
            self.dropped[position] = DroppedRow(lost.where, reason)
            return
        key = blake2b(self._prefix + _identity(image), digest_size=8).digest()
        if key > self._largest:
            self._overflowed = True
            return
        of_image = self._rows.get(key)
        if of_image is not None:
            of_image.append((position, row))
        elif key > self._after:
            self._rows[key] = [(position, row)]
            if self.most is not None:
                self._make_room(key, self.most)

    def _make_room(self, key: bytes, most: int) -> None:
        """Count a new image, and forget the one with the largest hash if there are too many."""
        number = -int.from_bytes(key, "big")
        if len(self._heap) < most:
            heapq.heappush(self._heap, number)
        else:
            del self._rows[(-heapq.heappushpop(self._heap, number)).to_bytes(8, "big")]
            self._overflowed = True
        if len(self._heap) == most:
            self._largest = (-self._heap[0]).to_bytes(8, "big")

    def examine(self, n: int | None, check: SampleCheck) -> bool:
        """Check candidates until n are usable; return whether further ones have to be looked for."""
        for key in sorted(self._rows):
            if n is not None and len(self.taken) == n:
                return False
            self._after = key
            self.taken += self._usable(self._rows.pop(key), check)
            if n is not None:
                del self.taken[n:]
        return self._overflowed and n is not None and len(self.taken) < n

    def begin_again(self) -> None:
        """Forget the candidates, and look for more of them after the last one that was examined."""
        self.most = None if self.most is None else self.most * _GROWTH
        self._overflowed = False
        self._heap.clear()
        self._rows.clear()
        self._largest = _LARGEST

    def _usable(self, rows: list[tuple[int, Row | Draft]], check: SampleCheck) -> list[list[Sample]]:
        """Return the samples of each image; rows whose images have one name may have different images."""
        samples: dict[str, list[Sample]] = {}
        understood = [(position, _understood(row)) for position, row in rows]
        if len(rows) > 1:  # which row is the first must not depend on their order
            understood.sort(key=lambda at: (_content_hash(self.seed, at[1]), at[0]))
        for position, row in understood:
            try:
                if isinstance(row, DroppedRow):
                    raise DataError(row.reason)
                sample = check.sample(position, row, self.name or ALL)
                samples.setdefault(sample.image_digest, []).append(sample)
            except DataError as error:
                self.dropped[position] = DroppedRow(row.where, str(error))
        return list(samples.values())

    def emptied(self) -> _Kind:
        """Return the same type without any row."""
        return _Kind(self.name, self.seed, self.most, self.wanted)

    def left_out(self, check: SampleCheck) -> dict[int, DroppedRow]:
        """Return all candidates as rows that can't be used, for want of a type or for another reason."""
        dropped = dict(self.dropped)
        for position, unread in itertools.chain.from_iterable(self._rows.values()):
            row = _understood(unread)
            reason = "no data type: its image is in no folder, or its column is empty"
            try:
                if isinstance(row, DroppedRow):
                    raise DataError(row.reason)
                check.sample(position, row, ALL)
            except DataError as error:
                reason = str(error)
            dropped[position] = DroppedRow(row.where, reason)
        return dropped

    @property
    def further(self) -> int:
        """The number of further rows about the images that were taken."""
        return sum(len(samples) - 1 for samples in self.taken)

    def is_short(self, n: int | None) -> bool:
        """Return whether there are fewer samples than n."""
        return self.wanted and n is not None and len(self.taken) < n


def _notes(kinds: Sequence[_Kind], n: int | None) -> list[str]:
    """Return what a user should know: further rows about the same images, and fewer samples than n.

    Many types have a line together.
    """
    again = {kind.name or ALL: kind.further for kind in kinds if kind.further}
    short = {kind.name or ALL: len(kind.taken) for kind in kinds if kind.is_short(n)}
    further = "further rows about the same images; the seed draws one of each"
    asked = f"{n} were asked for and there are no more"
    notes = []
    if len(again) > SHOWN_TYPES:
        notes.append(f"{len(again)} types: {sum(again.values())} {further}")
    else:
        notes += [f"{name}: {count} {further}" for name, count in again.items()]
    if len(short) > SHOWN_TYPES:
        counts = f"{min(short.values())} to {max(short.values())} samples each"
        notes.append(f"{len(short)} types: {counts}; {asked}")
    else:
        notes += [f"{name}: {count} samples; {asked}" for name, count in short.items()]
    return notes


def _understood(row: Row | Draft) -> Row | DroppedRow:
    """Return the row of a draft, or why there is none."""
    return row if isinstance(row, Row) else row[2](row[3])


def _identity(image: str | bytes | Packed) -> bytes:
    """Return what the rows about one image have in common: its name, or its content."""
    if isinstance(image, str):
        return image_key(image).encode("utf-8", "surrogatepass")
    if isinstance(image, bytes):
        return image
    return image.name.encode("utf-8", "surrogatepass")


def _content_hash(seed: int, row: Row | DroppedRow) -> bytes:
    """Return a hash of what a row says, so that the seed orders the rows about an image."""
    said = row[2:8] if isinstance(row, Row) else (row.where, row.reason)
    return blake2b(f"{seed}:{said!r}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
