"""Files for tests of datasets and embeddings: small images, label lines, roots."""

from __future__ import annotations

import io
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

from PIL import Image

from alignbench.datasets import load_mixed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from alignbench.datasets import Dataset


def png(color: tuple[int, ...] = (10, 20, 30), size: tuple[int, int] = (12, 8), mode: str = "RGB") -> bytes:
    return encoded(Image.new(mode, size, color))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A valid PNG header over almost no data: what a decompression bomb looks like before it is decoded."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + png_chunk(b"IEND", b"")
    )


def png_with(kind: bytes, content: bytes) -> bytes:
    """A PNG with a further chunk after its header."""
    plain = png()
    return plain[:33] + png_chunk(kind, content) + plain[33:]


def line(
    image: str | None,
    answer: str | None = "an answer",
    *,
    question: str = "what is it?",
    id: str | None = None,
    wordings: Sequence[str] = (),
    more: Iterable[tuple[str, str]] = (),
) -> str:
    """A line of the `messages` format."""
    asked: list[dict[str, Any]] = [{"type": "text", "text": question}]
    if image is not None:
        asked.append({"type": "image", "image": image})
    messages: list[dict[str, Any]] = [{"role": "user", "content": asked}]
    if answer is not None:
        messages.append(_said("assistant", answer))
    for further_question, further_answer in more:
        messages += [_said("user", further_question), _said("assistant", further_answer)]
    content: dict[str, Any] = {"messages": messages}
    if id is not None:
        content["id"] = id
    if wordings:
        content["wordings"] = list(wordings)
    return json.dumps(content, ensure_ascii=False)


def make_root(root: Path, lines: Sequence[str | bytes], images: dict[str, bytes]) -> Path:
    """Write labels.jsonl and images/ under `root`."""
    for name, content in images.items():
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "images").mkdir(parents=True, exist_ok=True)
    raw = [of if isinstance(of, bytes) else of.encode() for of in lines]
    (root / "labels.jsonl").write_bytes(b"\n".join(raw) + b"\n")
    return root


def charts_and_tables(root: Path, n: int = 6) -> Path:
    """A root of `n` charts and `n` tables, all different, with three wordings each."""
    names = [f"{kind}/{kind}_{i:02}.png" for kind in ("chart", "table") for i in range(n)]
    images = {name: png((i, 255 - i, 7)) for i, name in enumerate(names)}
    lines = [
        line(
            name,
            f"first of {name}",
            id=name.rpartition("/")[2].removesuffix(".png"),
            wordings=[f"second of {name}", f"third of {name}"],
        )
        for name in names
    ]
    return make_root(root, lines, images)


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


GOOD = line("chart/good.png", "a good one", id="good")
IMAGES = {"chart/good.png": png((1, 2, 3)), "chart/other.png": png((3, 2, 1))}


def load_with(
    tmp_path: Path, *lines: str | bytes, images: dict[str, bytes] = IMAGES, **options: Any
) -> Dataset:
    return load_mixed(None, root=make_root(tmp_path, lines, images), **options)


def the_reason(dataset: Dataset) -> str:
    """Why the one row that was dropped was dropped; the good one must have come through."""
    assert [sample.id for sample in dataset.samples] == ["good"]
    (dropped,) = dataset.dropped
    return dropped.reason
