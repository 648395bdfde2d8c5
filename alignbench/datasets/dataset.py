"""Sample and Dataset: images with texts, a type, a group and a stable id."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Sample:
    """One image with what is said of it.

    Args:
        id: stable across runs and machines: never an index into a shuffled list.
        image: the encoded file: a path, or its bytes.
        texts: the wordings of the text that the image is paired with; at least one.
        data_type: "chart", "table", ...
        group: the unit of splits and permutations; "" until `with_groups` has looked at the whole set.
        question: what `texts` answer, where the data has it.
        exchanges: further (question, answer) pairs about the same image.
    """

    id: str
    image: Path | bytes
    texts: tuple[str, ...]
    data_type: str
    group: str = ""
    question: str = ""
    exchanges: tuple[tuple[str, str], ...] = ()

    def image_bytes(self) -> bytes:
        """Return the encoded image file."""
        return self.image if isinstance(self.image, bytes) else self.image.read_bytes()

    @cached_property
    def image_digest(self) -> str:
        """The sha256 of the encoded file: the image's identity for groups and for the cache."""
        return hashlib.sha256(self.image_bytes()).hexdigest()


@dataclass(frozen=True)
class Dropped:
    """A row that could not be used, where it stands, and why."""

    where: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """Samples of one origin.

    Args:
        name: short, as in tables.
        samples: with groups.
        origin: where it was found and by which rule, to be said to the user.
        dropped: the rows that could not be used.
    """

    name: str
    samples: tuple[Sample, ...]
    origin: str
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def digest(self) -> str:
        """The sha256 over ids, image bytes, texts and types, in order."""
        digest = hashlib.sha256()
        for sample in self.samples:
            for part in (sample.id, sample.image_digest, sample.data_type, *sample.texts):
                digest.update(part.encode() + b"\0")
        return digest.hexdigest()

    @property
    def label(self) -> str:
        """Name and short digest, as scores carry it: `sample_data@1a2b3c4d`."""
        return f"{self.name}@{self.digest[:8]}"

    @property
    def data_types(self) -> tuple[str, ...]:
        """The types present, in order of first appearance."""
        return tuple(dict.fromkeys(sample.data_type for sample in self.samples))


def normalised(text: str) -> str:
    """Return `text` as it counts for identity: NFKC, case-folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def with_groups(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return the samples with their groups: same image bytes, or a text in common, is the same group.

    The group's name is the smallest image digest in it, so it does not depend on the order of the samples.
    """
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for sample in samples:
        for text in sample.texts:
            a, b = root(sample.image_digest), root("text:" + normalised(text))
            parent[b] = a
    name: dict[str, str] = {}
    for sample in samples:
        key = root(sample.image_digest)
        name[key] = min(name.get(key, sample.image_digest), sample.image_digest)
    return tuple(replace(sample, group=name[root(sample.image_digest)]) for sample in samples)
