"""Sample and Dataset: images with texts, each with a type, a group and a stable id."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from alignbench.columns import is_missing
from alignbench.datasets.images import Packed, check_image, describe, open_image, read_image_file
from alignbench.datatypes import check_unmixed
from alignbench.errors import DataError, InputError
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from PIL.Image import Image

TextField = Literal["answer", "question", "both"]
Wordings = Literal["draw", "all"]
SHOWN_TYPES = 20
NO_TEXTS = "the data has no texts"
_ONLY_A_ROW = "a row of arrays has no image and no text; name the data (--align-data-root, --align-dataset)"


@dataclass(frozen=True)
class Sample:
    """One image with its texts.

    Args:
        id: stable across runs and machines, never an index into a shuffled list.
        image: the encoded file: a path, its bytes, or the part of a file that holds it. None if the sample is
            a row of arrays that were computed elsewhere: then its content is unknown, and `texts` is empty.
        texts: the wordings of the text that the image is paired with; the first one is embedded. Empty if no
            sample of the data has a text.
        data_type: "chart", "table", ...
        group: the unit of splits and permutations; "" until `with_groups` has processed the whole set.
        question: the question that `texts` answer, if the data has one.
        exchanges: further (question, answer) pairs about the same image.
        row: its position in the data, from 0: its line among those of the label file; None if the data has no
            such order.
        root: the folder that contains the image's file: no link below it is followed when the file is read.
            None follows links.
        first_digest: the sha256 of the encoded image when it was first read; "" until then. Copies of the
            sample keep it, so that none of them accepts another image as its own.
    """

    id: str
    image: Path | bytes | Packed | None
    texts: tuple[str, ...]
    data_type: str
    group: str = ""
    question: str = ""
    exchanges: tuple[tuple[str, str], ...] = ()
    row: int | None = None
    root: Path | None = field(default=None, repr=False, compare=False)
    first_digest: str = field(default="", repr=False, compare=False)

    @property
    def text(self) -> str:
        """The wording that represents this image.

        Raises:
            DataError: it has no text.
        """
        if not self.texts:
            raise DataError(f"sample {self.id!r}: {_ONLY_A_ROW if self.image is None else NO_TEXTS}")
        return self.texts[0]

    def image_bytes(self) -> bytes:
        """Return the encoded image. All access to a sample's image starts here.

        Raises:
            DataError: it can't be read, has changed since it was first read, or does not exist.
        """
        if self.image is None:
            raise DataError(f"sample {self.id!r}: {_ONLY_A_ROW}")
        data = read_image_file(self.image, root=self.root)
        if data is self.image and self.first_digest:
            return data
        digest = hashlib.sha256(data).hexdigest()
        if not self.first_digest:
            object.__setattr__(self, "first_digest", digest)
        if digest != self.first_digest:
            raise DataError(
                f"image {describe(self.image)}: it has changed since the data was read; run again"
            )
        return data

    def open_image(self) -> Image:
        """Return the decoded image: upright, opaque, 8-bit RGB.

        Raises:
            DataError: see `image_bytes`; or it can't be decoded.
        """
        data = self.image_bytes()
        return open_image(data, name=self._image_name)

    @property
    def image_digest(self) -> str:
        """The sha256 of the encoded file, its identity for groups and cache; "" if there is none."""
        if self.image is not None and not self.first_digest:
            self.image_bytes()
        return self.first_digest

    def check(self) -> None:
        """Read the image once: check it, and store its digest.

        Raises:
            DataError: it can't be used.
        """
        data = self.image_bytes()
        check_image(data, name=self._image_name)

    @property
    def _image_name(self) -> str:
        return "" if self.image is None else describe(self.image)

    def but(
        self, *, id: str | None = None, texts: tuple[str, ...] | None = None, group: str | None = None
    ) -> Sample:
        """Return the sample with these fields changed."""
        return replace(
            self,
            id=self.id if id is None else id,
            texts=self.texts if texts is None else texts,
            group=self.group if group is None else group,
        )


@dataclass(frozen=True)
class DroppedRow:
    """A row that could not be used, its place, and the reason."""

    where: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Samples of one origin.

    Args:
        name: a short name for tables.
        samples: the samples, with groups.
        origin: where the data was found and by which rule, to be shown to the user.
        dropped: the rows that could not be used.
        notes: further information for the user: fewer samples than requested, missing files, ...
        rows: the number of rows of the data, used or not; `Sample.row` counts among them.
        usable_rows: returns the usable ones among them; it may have to check every image.

    Raises:
        DataError: a sample has no type or no group (None, NaN); two samples have the same id; some samples
            have texts and some do not; or a data type is the reserved word "all", which stands for unknown
            types, and another sample's type is not.
    """

    name: str
    samples: tuple[Sample, ...]
    origin: str
    dropped: tuple[DroppedRow, ...] = ()
    notes: tuple[str, ...] = field(default=())
    rows: int | None = None
    usable_rows: Callable[[], Sequence[int]] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for sample in self.samples:
            for what, name in (("data_type", sample.data_type), ("group", sample.group)):
                if is_missing(name):
                    raise DataError(
                        f"{self.name}: sample {sample.id!r}: {what} is {name!r}: "
                        "it has none; give it one, or leave the sample out"
                    )
        ids = Counter(sample.id for sample in self.samples)
        if len(ids) < len(self.samples):
            name, count = ids.most_common(1)[0]
            raise DataError(
                f"dataset {self.name}: {count} samples have the id {name!r}; embeddings and pictures go by it"
            )
        silent = [sample.id for sample in self.samples if not sample.texts]
        if 0 < len(silent) < len(self.samples):
            raise DataError(
                f"dataset {self.name}: {len(silent)} of {len(self.samples)} samples have no text, such as "
                f"{silent[0]!r}; leave them out, or the texts of all"
            )
        try:
            check_unmixed(self.data_types)
        except DataError as error:
            raise DataError(f"dataset {self.name}: {error}") from error

    @property
    def has_images(self) -> bool:
        """Whether there is anything to embed: not if the samples are rows of arrays."""
        return all(sample.image is not None for sample in self.samples)

    @property
    def has_texts(self) -> bool:
        """Whether there is anything for an LLM to embed: not if the samples are images or rows of arrays."""
        return all(sample.texts for sample in self.samples)

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and that there are images without texts, if so."""
        if self.has_texts or not self.has_images:
            return self.notes
        return (*self.notes, f"{NO_TEXTS}: what needs an LLM to embed them is skipped")

    def of_rows(self, rows: Iterable[int]) -> Dataset:
        """Return the data with the samples at these places alone, in this order."""
        return replace(self, samples=tuple(self.samples[row] for row in rows))

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def digest(self) -> str:
        """The sha256 over ids, image bytes, types and texts, in order."""
        digest = hashlib.sha256()
        for sample in self.samples:
            row = (sample.id, sample.image_digest, sample.data_type, sample.texts)
            digest.update(json.dumps(row).encode() + b"\n")
        return digest.hexdigest()

    @property
    def label(self) -> str:
        """Name and short digest, as scores carry it: `sample_data@1a2b3c4d`."""
        return f"{self.name}@{self.digest[:8]}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The type of each sample."""
        return tuple(sample.data_type for sample in self.samples)

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each sample."""
        return tuple(sample.group for sample in self.samples)

    @property
    def n_groups(self) -> int:
        """The number of groups."""
        return len(set(self.groups))

    @property
    def data_types(self) -> tuple[str, ...]:
        """The types present, in order of first appearance."""
        return tuple(dict.fromkeys(self.labels))

    @property
    def kinds(self) -> str:
        """How many samples there are of each type, in one line: `3 chart, 2 table`."""
        counts = Counter(self.labels)
        if len(counts) > SHOWN_TYPES:
            return f"{len(counts)} types of {min(counts.values())} to {max(counts.values())} samples"
        return ", ".join(f"{count} {kind}" for kind, count in counts.items())

    def describe(self, examples: int = 3) -> list[str]:
        """Return lines that tell a user what was taken, from where, and what was not.

        Args:
            examples: how many dropped rows are shown with their reasons.
        """
        lines = [
            f"{self.label}: {len(self)} samples in {self.n_groups} groups ({self.kinds}) from {self.origin}",
            *self.remarks,
        ]
        if self.dropped:
            lines.append(f"{len(self.dropped)} rows could not be used:")
            lines += [f"  {row.where}: {row.reason}" for row in self.dropped[:examples]]
        if len(self.dropped) > examples:
            lines.append(f"  and {len(self.dropped) - examples} more")
        return lines


def normalised(text: str) -> str:
    """Return `text` in the form that identity is based on: NFKC, case-folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def with_groups(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return the samples with groups: the same image bytes, or a text in common, make the same group.

    Samples to which the data itself gives the same group stay together, too. A group is named after its
    smallest image digest, so the name does not depend on the order of the samples.
    """
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for sample in samples:
        links = ["text:" + normalised(text) for text in sample.texts]
        if sample.group:
            links.append("group:" + sample.group)
        for link in links:
            parent[root(link)] = root(sample.image_digest)
    name: dict[str, str] = {}
    for sample in samples:
        key = root(sample.image_digest)
        name[key] = min(name.get(key, sample.image_digest), sample.image_digest)
    return tuple(sample.but(group=name[root(sample.image_digest)]) for sample in samples)


def drawn_wordings(samples: Iterable[Sample], seed: int) -> tuple[Sample, ...]:
    """Return the samples with one of their wordings, drawn by `seed` and the sample's id, as the first one.

    The draw of a sample does not depend on the other samples.
    """
    return tuple(sample.but(texts=_rotated(sample, seed)) for sample in samples)


def all_wordings(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """Return a sample for every wording (`chart_01~0`, `chart_01~1`, ...), all in their image's group."""
    return tuple(
        sample if len(sample.texts) < 2 else sample.but(id=f"{sample.id}~{i}", texts=(text,))
        for sample in samples
        for i, text in enumerate(sample.texts or ("",))
    )


def field_texts(question: str, answers: Sequence[str], text_field: TextField) -> tuple[str, ...]:
    """Return the texts that the image is paired with: the answers, the question, or both in sequence.

    Raises:
        InputError: an unknown `text_field`.
    """
    if text_field == "answer":
        return tuple(answers)
    if text_field == "question":
        return (question,) if question else ()
    if text_field == "both":
        return tuple(f"{question}\n{answer}" for answer in answers) if question else ()
    raise InputError(unknown("text field", text_field, dict.fromkeys(get_args(TextField))))


def get_images_and_texts(samples: Iterable[Sample]) -> tuple[list[Image], list[str]]:
    """Return the decoded RGB images and the texts of the samples, in order.

    Raises:
        DataError: an image can't be decoded, or there are no texts.
    """
    samples = tuple(samples)
    return [sample.open_image() for sample in samples], [sample.text for sample in samples]


def first_wording(sample: Sample, seed: int) -> int:
    """Return the position of the wording of a sample that `seed` draws; 0 if it has none."""
    if len(sample.texts) < 2:
        return 0
    key = int.from_bytes(hashlib.sha256(f"{seed}:{sample.id}".encode()).digest()[:8], "little")
    return int(np.random.default_rng(key).integers(len(sample.texts)))


def _rotated(sample: Sample, seed: int) -> tuple[str, ...]:
    first = first_wording(sample, seed)
    return (*sample.texts[first:], *sample.texts[:first])
