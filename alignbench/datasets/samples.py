"""Rows turned into samples: their images found and checked, their texts cleaned, their ids made unique."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.datasets.dataset import Sample, field_texts
from alignbench.datasets.finding import find_image, image_key
from alignbench.datasets.images import Packed
from alignbench.datasets.row import clean_id, clean_text, printable
from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.datasets.dataset import TextField
    from alignbench.datasets.row import Row


@dataclass(frozen=True, slots=True)
class SampleCheck:
    """Turns rows into samples, for all readers: the only place that looks for images and checks texts.

    Args:
        text_field: the text that an image is paired with.
        follow_links: whether links may lead out of the images' folders.
        need_texts: whether a row without a text can't be used.
    """

    text_field: TextField
    follow_links: bool
    need_texts: bool

    def sample(self, position: int, row: Row, data_type: str) -> Sample:
        """Return the sample of a row after checking its image.

        Raises:
            DataError: the row lacks the requested kind of text, or its image can't be used.
        """
        answers = tuple(dict.fromkeys(text for text in map(clean_text, row.texts) if text))
        question = clean_text(row.question)
        texts = field_texts(question, answers, self.text_field)
        if not row.texts and self.text_field == "answer":
            if self.need_texts:
                raise DataError("no text")
        elif not texts:
            what = "question or no answer" if self.text_field == "both" else self.text_field
            raise DataError(f"no {what} at or after its image")
        image, root = self._image(row)
        name = row.image if isinstance(row.image, str) else image.name if isinstance(image, Packed) else ""
        sample = Sample(
            id=clean_id(row.id) or printable(image_key(name)),
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
        return sample if sample.id else sample.but(id=f"image-{sample.image_digest[:12]}")

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
