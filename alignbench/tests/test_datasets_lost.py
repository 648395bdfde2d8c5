"""Data that could be lost, or paired with the wrong text, without a word."""

from __future__ import annotations

import io
import itertools
import json
import random
import tarfile
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.config import load_config
from alignbench.datasets import load_mixed
from alignbench.datasets.dataset import DroppedRow
from alignbench.datasets.finding import image_key
from alignbench.datasets.readers.archive import WEBDATASET
from alignbench.datasets.reading import Layout, Place
from alignbench.datasets.row import Row
from alignbench.errors import DataError
from alignbench.tests.data_files import png
from alignbench.tests.test_datasets_archives import write_archive

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.datasets import Dataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of four images."""
    for i, name in enumerate("abcd"):
        (tmp_path / f"{name}.png").write_bytes(png((i, 99, 7)))
    return tmp_path


def pairs(dataset: Dataset) -> list[tuple[str, tuple[str, ...]]]:
    return [(getattr(sample.image, "name", ""), sample.texts) for sample in dataset.samples]


def coco(root: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Dataset:
    (root / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return load_mixed(None, root=root / "captions.json")


def test_captions_of_two_images_with_one_id_go_to_neither(root: Path) -> None:
    images = [{"id": number, "file_name": f"{name}.png"} for number, name in ((1, "a"), (1, "b"), (2, "c"))]
    annotations = [{"image_id": number, "caption": f"of {number}"} for number in (1, 1, 2)]
    dataset = coco(root, images, annotations)
    assert pairs(dataset) == [("c.png", ("of 2",))]
    assert [row.where for row in dataset.dropped] == ["captions.json: image 1", "captions.json: image 2"]
    assert {row.reason for row in dataset.dropped} == {
        "its id 1 is that of another image, too: whose captions are meant is not known"
    }


def test_an_image_that_is_listed_twice_keeps_its_captions(root: Path) -> None:
    dataset = coco(root, [{"id": 1, "file_name": "a.png"}] * 2, [{"image_id": 1, "caption": "of 1"}])
    assert pairs(dataset) == [("a.png", ("of 1",))]


@pytest.mark.parametrize("nobody", [{}, {"image_id": None}])
def test_an_image_without_an_id_has_no_captions(root: Path, nobody: dict[str, Any]) -> None:
    images: list[dict[str, Any]] = [{"id": 1, "file_name": "a.png"}, {"file_name": "b.png"}]
    dataset = coco(root, images, [{"image_id": 1, "caption": "of 1"}, {**nobody, "caption": "of nobody"}])
    assert pairs(dataset) == [("a.png", ("of 1",))]
    assert [row.where for row in dataset.dropped] == ["captions.json: image 2", "captions.json: annotation 2"]


@pytest.mark.parametrize("damage", ["a byte of a header", "half a header"])
def test_a_header_that_is_damaged_in_the_middle_of_an_archive_is_reported(
    tmp_path: Path, damage: str
) -> None:
    members = {
        f"{name}.{kind}": png((i, 5, 5)) if kind == "png" else f"text {i}".encode()
        for i, name in enumerate("abc")
        for kind in ("png", "txt")
    }
    path = tmp_path / "shard.tar"
    write_archive(path, members)
    content = bytearray(path.read_bytes())
    at = content.index(b"b.png\0")
    if damage == "half a header":
        del content[at + 256 :]
    else:
        content[at + 100] ^= 1
    path.write_bytes(content)
    dataset = load_mixed(None, root=path)
    assert [sample.texts for sample in dataset.samples] == [("text 0",)]
    assert [row.where for row in dataset.dropped] == ["shard.tar"]
    assert "damaged or cut off" in dataset.dropped[0].reason


def test_a_sparse_member_is_refused(tmp_path: Path) -> None:
    content = png((4, 4, 4))
    stored = f"1\n0\n{len(content)}\n".encode().ljust(512, b"\0") + content
    member = tarfile.TarInfo("a.png")
    member.size = len(stored)
    member.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "a.png",
        "GNU.sparse.realsize": str(len(content) + 600),
    }
    text = tarfile.TarInfo("b.txt")
    text.size = 512
    with tarfile.open(tmp_path / "shard.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(stored))
        archive.addfile(text, io.BytesIO(b"x" * 512))
    with pytest.raises(DataError, match="a sparse file"):
        load_mixed(None, root=tmp_path / "shard.tar")


@pytest.mark.parametrize("size", [-1, -512, -1024])
def test_a_member_of_a_negative_size_ends_the_archive(tmp_path: Path, size: int) -> None:
    members = {"a.png": png(), "a.txt": b"text", "b.png": png((1, 1, 1)), "b.txt": b"more"}
    path = tmp_path / "shard.tar"
    write_archive(path, members)
    content = bytearray(path.read_bytes())
    at = content.index(b"b.png\0")
    lying = tarfile.TarInfo("b.png")
    lying.size = size
    content[at : at + 512] = lying.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(content)
    rows = list(
        itertools.islice(WEBDATASET.read(Place(tmp_path, (path,)), Layout().reading(load_config(), None)), 9)
    )
    assert len(rows) == 2
    assert isinstance(rows[0], Row)
    assert isinstance(rows[1], DroppedRow)
    assert "damaged or cut off" in rows[1].reason


def test_an_archive_without_an_end_mark_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "shard.tar"
    write_archive(path, {"a.png": png(), "a.txt": b"text"})
    path.write_bytes(path.read_bytes().rstrip(b"\0").ljust(4 * 512, b"\0")[: 4 * 512])
    assert load_mixed(None, root=path).dropped == ()


@pytest.mark.parametrize("more", ["[]", '[{"image": "c.png", "text": "of c"}]', "x", " " * 2**21 + "{}"])
def test_what_follows_an_array_is_reported(root: Path, more: str) -> None:
    first = json.dumps([{"image": f"{name}.png", "text": f"of {name}"} for name in "ab"])
    (root / "pairs.json").write_text(f"{first}\n{more}\n")
    dataset = load_mixed(None, root=root / "pairs.json")
    assert len(dataset) == 2
    assert [row.where for row in dataset.dropped] == ["pairs.json: after row 2"]


def test_white_space_may_follow_an_array(root: Path) -> None:
    (root / "pairs.json").write_text('[{"image": "a.png", "text": "of a"}]' + " \r\n" * 2**20)
    assert load_mixed(None, root=root / "pairs.json").dropped == ()


def test_the_text_that_is_drawn_does_not_depend_on_the_order_of_rows_without_names(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"image": png((i, 3, 3)), "captions": [f"{word} of {i}" for word in "xyz"]} for i in range(12)]
    found = []
    for i in range(3):
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / f"{i}.parquet")
        dataset = load_mixed(6, root=tmp_path / f"{i}.parquet")
        found.append({(sample.id, sample.image_digest, sample.text) for sample in dataset.samples})
        random.Random(i).shuffle(rows)
    assert found[0] == found[1] == found[2]


def test_the_text_that_is_drawn_does_not_depend_on_other_images_with_the_same_id(root: Path) -> None:
    lines = [
        json.dumps(
            {"id": "same", "image": f"{name}.png", "captions": [f"{word} of {name}" for word in "uvwxyz"]}
        )
        for name in "abcd"
    ]
    (root / "pairs.jsonl").write_text("\n".join(lines))
    texts = [
        {sample.image_digest: sample.text for sample in load_mixed(n, root=root / "pairs.jsonl").samples}
        for n in (1, 2, 3, 4)
    ]
    assert all(few.items() <= texts[-1].items() for few in texts)


def test_a_name_has_one_key_on_all_file_systems() -> None:
    keys = {image_key(unicodedata.normalize(form, "Übung/가.png")) for form in ("NFC", "NFD")}
    assert len(keys) == 1


@pytest.mark.parametrize("header", ['image,"cap"tion', 'image,"caption'])
def test_names_of_columns_that_are_not_csv_are_an_error_of_one_line(root: Path, header: str) -> None:
    (root / "pairs.csv").write_text(f"{header}\na.png,of a\n")
    with pytest.raises(DataError, match=r"^pairs\.csv: the names of its columns: not CSV: a quotation mark "):
        load_mixed(None, root=f"table:{root / 'pairs.csv'}")


def test_a_range_is_counted_before_it_is_written_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a range of 100,000,000 files; at most 10,000 are read"):
        load_mixed(None, root=tmp_path / "shard-{00000000..99999999}.tar")
