"""A draw of samples from rows in one pass: the n images of each type with the smallest seeded hashes.

The draw does not depend on the order of the rows, n samples are among those of any larger n, and memory grows
with n, not with the number of rows.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

from alignbench.datasets.dataset import DroppedRow, Sample, field_texts
from alignbench.datasets.finding import find_image, image_key
from alignbench.datasets.images import Packed
from alignbench.datasets.row import Row, clean_id, clean_text, printable
from alignbench.datatypes import ALL
from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from alignbench.datasets.dataset import TextField

MOST_TYPES = 1000
_SPARE = 16  # candidates beyond n, of which some may turn out unusable
_GROWTH = 4


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
    rows: Callable[[], Iterable[Row | DroppedRow]],
    *,
    n: int | None,
    types: Collection[str] | None,
    seed: int,
    text_field: TextField,
    follow_links: bool = False,
) -> Draw:
    """Draw n images of each type, with all rows about them.

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
    kinds: dict[str, _Kind] = {}
    dropped: dict[int, DroppedRow] = {}
    count = 0
    for position, row in enumerate(rows()):
        count += 1
        if isinstance(row, DroppedRow):
            dropped[position] = row
            continue
        kind = kinds.get(row.data_type)
        if kind is None:
            if len(kinds) == MOST_TYPES:
                raise DataError(
                    f"{row.where}: more than {MOST_TYPES:,} data types; "
                    "--align-type-from says where types come from, `none` gives all rows one type"
                )
            wanted = types is None or (row.data_type or ALL) in types
            kind = kinds[row.data_type] = _Kind(
                row.data_type, seed, None if n is None else n + _SPARE, wanted
            )
        kind.add(position, row)
    untyped = kinds.pop("", None) if len(kinds) > 1 else None
    check = _Check(text_field, follow_links)
    while pending := [kind for kind in kinds.values() if kind.wanted and kind.examine(n, check)]:
        for kind in pending:
            kind.begin_again()
        by_name = {kind.name: kind for kind in pending}
        for position, row in enumerate(rows()):
            if not isinstance(row, DroppedRow) and row.data_type in by_name:
                by_name[row.data_type].add(position, row)
    notes = []
    if untyped is not None:
        dropped |= untyped.without_type(check)
        notes.append(
            f"{untyped.seen} rows have no data type and are left out; "
            "--align-type-from none takes all rows as one type"
        )
    for kind in kinds.values():
        dropped |= kind.dropped
        notes += kind.notes(n)
    return Draw(
        {kind.name: kind.taken for kind in kinds.values()},
        [dropped[position] for position in sorted(dropped)],
        notes,
        count,
    )


@dataclass(slots=True)
class _Kind:
    """The candidates of one data type: the images with the smallest hashes, and all rows about them."""

    name: str
    seed: int
    most: int | None
    wanted: bool
    seen: int = 0
    after: int = -1  # the last hash that was examined
    overflowed: bool = False
    heap: list[int] = field(default_factory=list)  # negative hashes: the largest one is in front
    rows: dict[int, list[tuple[int, Row]]] = field(default_factory=dict)
    taken: list[list[Sample]] = field(default_factory=list)
    dropped: dict[int, DroppedRow] = field(default_factory=dict)

    def add(self, position: int, row: Row) -> None:
        """Keep a row if its image is among those with the smallest hashes."""
        self.seen += 1
        if not self.wanted:
            return
        key = _hash(f"{self.seed}:{self.name}:".encode(), _identity(row.image))
        of_image = self.rows.get(key)
        if of_image is not None:
            of_image.append((position, row))
            return
        if key <= self.after:
            return
        if self.most is not None:
            if len(self.heap) < self.most:
                heapq.heappush(self.heap, -key)
            elif key < -self.heap[0]:
                del self.rows[-heapq.heapreplace(self.heap, -key)]
                self.overflowed = True
            else:
                self.overflowed = True
                return
        self.rows[key] = [(position, row)]

    def examine(self, n: int | None, check: _Check) -> bool:
        """Check candidates until n are usable; return whether further ones have to be looked for."""
        for key in sorted(self.rows):
            if n is not None and len(self.taken) == n:
                return False
            self.after = key
            samples = self._usable(self.rows.pop(key), check)
            if samples:
                self.taken.append(samples)
        return self.overflowed and n is not None and len(self.taken) < n

    def begin_again(self) -> None:
        """Forget the candidates, and look for more of them after the last one that was examined."""
        self.most = None if self.most is None else self.most * _GROWTH
        self.overflowed = False
        self.heap.clear()
        self.rows.clear()

    def _usable(self, rows: list[tuple[int, Row]], check: _Check) -> list[Sample]:
        samples = []
        if len(rows) > 1:  # which row is the first must not depend on their order
            seed = f"{self.seed}:".encode()
            rows = sorted(rows, key=lambda at: (_hash(seed, repr(at[1][2:8]).encode()), at[0]))
        for position, row in rows:
            try:
                samples.append(check.sample(position, row, self.name or ALL))
            except DataError as error:
                self.dropped[position] = DroppedRow(row.where, str(error))
        return samples

    def without_type(self, check: _Check) -> dict[int, DroppedRow]:
        """Return all candidates as rows that can't be used, for want of a type or for another reason."""
        dropped = {}
        for position, row in itertools.chain.from_iterable(self.rows.values()):
            reason = "no data type: its image is in no folder, or its column is empty"
            try:
                check.sample(position, row, ALL)
            except DataError as error:
                reason = str(error)
            dropped[position] = DroppedRow(row.where, reason)
        return dropped

    def notes(self, n: int | None) -> list[str]:
        """Return what a user should know: further rows about the same images, and fewer samples than n."""
        name = self.name or ALL
        notes: list[str] = []
        if further := sum(len(samples) - 1 for samples in self.taken):
            notes.append(f"{name}: {further} further rows about the same images; the seed draws one of each")
        if self.wanted and n is not None and len(self.taken) < n:
            notes.append(f"{name}: {len(self.taken)} samples; {n} were asked for and there are no more")
        return notes


@dataclass(frozen=True, slots=True)
class _Check:
    """Turns rows into samples, for all readers: the only place that looks for images and checks texts."""

    text_field: TextField
    follow_links: bool

    def sample(self, position: int, row: Row, data_type: str) -> Sample:
        """Return the sample of a row after checking its image.

        Raises:
            DataError: the row lacks the requested kind of text, or its image can't be used.
        """
        answers = tuple(dict.fromkeys(text for text in map(clean_text, row.texts) if text))
        question = clean_text(row.question)
        texts = field_texts(question, answers, self.text_field)
        if not texts and (row.texts or self.text_field != "answer"):
            what = "question or no answer" if self.text_field == "both" else self.text_field
            raise DataError(f"no {what} at or after its image")
        image, root = self._image(row)
        name = row.image if isinstance(row.image, str) else image.name if isinstance(image, Packed) else ""
        sample = Sample(
            id=clean_id(row.id) or printable(image_key(name)) or row.where,
            image=image,
            root=root,
            texts=texts,
            data_type=data_type,
            group=row.group,
            question=question,
            exchanges=row.exchanges,
            row=position,
        )
        sample.check()
        return sample

    def _image(self, row: Row) -> tuple[Path | bytes | Packed, Path | None]:
        if row.image is None or row.image == "":
            raise DataError("no image")
        if isinstance(row.image, str):
            return find_image(row.image, row.folders, follow_links=self.follow_links)
        return row.image, None


def with_unique_ids(samples: Sequence[Sample]) -> list[Sample]:
    """Make duplicate ids unique: by type, then by count.

    An id that only one sample has is never given to another sample, nor changed.
    """
    counts = Counter(sample.id for sample in samples)
    taken = {name for name, count in counts.items() if count == 1}
    unique = []
    for sample in samples:
        name = sample.id
        if counts[name] > 1:
            typed = f"{sample.data_type}/{name}"
            numbered = (f"{typed}#{again}" for again in itertools.count(2))
            name = next(other for other in itertools.chain([typed], numbered) if other not in taken)
            taken.add(name)
        unique.append(sample.but(id=name))
    return unique


def _identity(image: str | bytes | Packed | None) -> bytes:
    """Return what the rows about one image have in common: its name, or its content."""
    if isinstance(image, str):
        return image_key(image).encode("utf-8", "surrogatepass")
    if isinstance(image, Packed):
        return image.name.encode("utf-8", "surrogatepass")
    return b"" if image is None else blake2b(image).digest()


def _hash(seed: bytes, content: bytes) -> int:
    return int.from_bytes(blake2b(seed + content, digest_size=8).digest(), "big")
