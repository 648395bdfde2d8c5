"""Small data sets in the form of each reader, written from any names, contents and texts of images."""

from __future__ import annotations

import base64
import csv
import io
import json
import sys
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from PIL import Image

from alignbench.datasets import Layout, load_mixed
from alignbench.errors import AlignbenchError
from alignbench.tests.data_files import encoded, png, png_that_claims

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from alignbench.datasets import Dataset

SECRET = "secret.png"


class Entry(NamedTuple):
    """A row: its image's name, the image's content (None if there is no such file), and its text."""

    name: str
    content: bytes | None = None
    text: str = "a text"


def good(count: int = 3) -> list[Entry]:
    return [Entry(f"good{i}.png", png((40 * i, 9, 9)), f"text {i}") for i in range(count)]


def still_and_moving() -> bytes:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    return encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:])


IMAGES: dict[str, bytes] = {
    "empty": b"",
    "html": b"<!DOCTYPE html><title>404</title>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "truncated": png((1, 2, 3), (64, 64))[:-20],
    "bomb": png_that_claims(60_000, 60_000),
    "strip": png_that_claims(50_000, 1),
    "animation": still_and_moving(),
    "short_jpeg": encoded(Image.new("RGB", (64, 64), "green"), "JPEG")[:200],
}
"""What no reader may take for an image."""

LYING = png_that_claims(512, 512)
"""An image whose header promises pixels that are not there, which only decoding it shows."""


def put(folder: Path, entries: Sequence[Entry]) -> None:
    """Write the images whose names are plain."""
    for one in entries:
        if one.content is not None:
            path = folder / one.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(one.content)


def _turns(one: Entry, role: str, said: str, user: str, answers: str) -> list[dict[str, str]]:
    return [{role: user, said: "<image>what?"}, {role: answers, said: one.text}]


def messages(folder: Path, entries: Sequence[Entry]) -> Path:
    rows = [
        {"messages": _turns(one, "role", "content", "user", "assistant"), "images": [one.name]}
        for one in entries
    ]
    return _lines(folder / "a.jsonl", rows)


def llava(folder: Path, entries: Sequence[Entry]) -> Path:
    rows = [
        {"image": one.name, "conversations": _turns(one, "from", "value", "human", "gpt")} for one in entries
    ]
    return _text(folder / "a.json", json.dumps(rows))


def coco(folder: Path, entries: Sequence[Entry]) -> Path:
    images = [{"id": i, "file_name": one.name} for i, one in enumerate(entries)]
    captions = [{"image_id": i, "caption": one.text} for i, one in enumerate(entries)]
    return _text(folder / "a.json", json.dumps({"images": images, "annotations": captions}))


def table(folder: Path, entries: Sequence[Entry]) -> Path:
    stream = io.StringIO()
    csv.writer(stream).writerows([("image", "caption"), *((one.name, one.text) for one in entries)])
    return _text(folder / "a.csv", stream.getvalue())


def table_jsonl(folder: Path, entries: Sequence[Entry]) -> Path:
    return _lines(folder / "a.jsonl", [{"image": one.name, "caption": one.text} for one in entries])


def table_parquet(folder: Path, entries: Sequence[Entry]) -> Path:
    import pyarrow
    from pyarrow import parquet

    rows = {"image": [one.name for one in entries], "caption": [one.text for one in entries]}
    parquet.write_table(pyarrow.table(rows), folder / "a.parquet")
    return folder / "a.parquet"


def saved(folder: Path, entries: Sequence[Entry]) -> Path:
    """What `save_to_disk` writes, with names of images, written without the library."""
    import pyarrow

    rows = {"image": [one.name for one in entries], "caption": [one.text for one in entries]}
    written = pyarrow.table(rows)
    with pyarrow.ipc.new_stream(str(folder / "data.arrow"), written.schema) as stream:
        stream.write_table(written)
    state: dict[str, Any] = {
        "_data_files": [{"filename": "data.arrow"}],
        "_fingerprint": "0",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    text = {"dtype": "string", "_type": "Value"}
    _text(folder / "state.json", json.dumps(state))
    _text(folder / "dataset_info.json", json.dumps({"features": {"image": text, "caption": text}}))
    return folder


def tree(folder: Path, entries: Sequence[Entry]) -> Path:
    """A tree whose images lie where the usual configuration has them."""
    from alignbench.config import load_config

    at = load_config().data["chart"]
    labels = folder / at.labels
    labels.parent.mkdir(parents=True, exist_ok=True)
    (folder / at.images).mkdir(parents=True, exist_ok=True)
    messages(labels.parent, entries).rename(labels)
    for one in entries:
        if one.content is not None and (folder / one.name).exists():
            (folder / at.images / one.name).write_bytes(one.content)
    return folder


def imagefolder(folder: Path, entries: Sequence[Entry]) -> Path:
    for one in entries:
        if one.content is not None:
            (folder / one.name).with_suffix(".txt").write_text(one.text, encoding="utf-8")
    return folder


def webdataset(folder: Path, entries: Sequence[Entry]) -> Path:
    """An archive; an image's text is a member of the same name."""
    path = folder / "a.tar"
    with tarfile.open(path, "w") as archive:
        for one in entries:
            stem = one.name.rpartition(".")[0]
            add(archive, one.name, png() if one.content is None else one.content)
            add(archive, f"{stem}.txt", one.text.encode())
    return path


def bytes_parquet(folder: Path, entries: Sequence[Entry]) -> Path:
    import pyarrow
    from pyarrow import parquet

    cells = [{"bytes": one.content, "path": one.name} for one in entries]
    rows = {"image": cells, "caption": [one.text for one in entries]}
    parquet.write_table(pyarrow.table(rows), folder / "a.parquet")
    return folder / "a.parquet"


def base64_uri(folder: Path, entries: Sequence[Entry]) -> Path:
    uris = [f"data:image/png;base64,{base64.b64encode(one.content or b'').decode()}" for one in entries]
    return _lines(
        folder / "a.jsonl",
        [{"image": uri, "caption": one.text} for uri, one in zip(uris, entries, strict=True)],
    )


BY_NAME: dict[str, Callable[[Path, Sequence[Entry]], Path]] = {
    of.__name__: of for of in (messages, llava, coco, table, table_jsonl, table_parquet, saved, tree)
}
"""The forms in which an image is named; the name may be anything."""

WITH_IMAGES = {of.__name__: of for of in (imagefolder, webdataset, bytes_parquet, base64_uri)}
"""The forms in which an image lies beside its text."""

READERS_WRITTEN = {**BY_NAME, **WITH_IMAGES}


def add(archive: tarfile.TarFile, name: str, content: bytes, **fields: Any) -> None:
    """Add a member to an archive; `fields` are those of `TarInfo`."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(content))


def _lines(file: Path, rows: Sequence[Any]) -> Path:
    return _text(file, "".join(json.dumps(row) + "\n" for row in rows))


def _text(file: Path, text: str) -> Path:
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    return file


_RECORDERS: list[list[str]] = []
_HOOKED: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _RECORDERS and isinstance(arguments[0], str | bytes):
        name = arguments[0]
        for opened in _RECORDERS:
            opened.append(name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Yield a list that the interpreter fills with the name of every file that is opened."""
    if not _HOOKED:
        sys.addaudithook(_hook)  # a hook can't be removed: there is only one
        _HOOKED.append(True)
    opened: list[str] = []
    _RECORDERS.append(opened)
    try:
        yield opened
    finally:
        _RECORDERS.remove(opened)


def beside_a_secret(folder: Path) -> Path:
    """Return a new folder in `folder`, beside a picture that nobody may open."""
    (folder / SECRET).write_bytes(png())
    root = folder / "root"
    root.mkdir()
    return root


def load(path: Path, **layout: Any) -> Dataset:
    """Return all of the data, read in this layout."""
    return load_mixed(None, root=path, layout=Layout(**layout))


def refusal(path: Path) -> str:
    """Return the one line with which data are refused."""
    with pytest.raises(AlignbenchError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)
