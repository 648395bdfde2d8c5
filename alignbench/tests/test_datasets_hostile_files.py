"""Label files and archives that nobody vouches for: each format's own ways to mislead."""

from __future__ import annotations

import gc
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from alignbench.config import load_config
from alignbench.datasets.reading import READERS, Layout, Place
from alignbench.datasets.records import MAX_LINE_BYTES
from alignbench.tests.data_files import png
from alignbench.tests.data_hostile import (
    READERS_WRITTEN,
    SECRET,
    Entry,
    add,
    beside_a_secret,
    good,
    load,
    opened_files,
    put,
    refusal,
    webdataset,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Write = Callable[[Path, Sequence[Entry]], Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return beside_a_secret(tmp_path)


class TestArchives:
    def test_members_that_lead_outside_are_reported(self, root: Path) -> None:
        path = webdataset(root, good(1))
        kinds = {
            "sym": tarfile.SYMTYPE,
            "hard": tarfile.LNKTYPE,
            "dev": tarfile.CHRTYPE,
            "p": tarfile.FIFOTYPE,
        }
        with tarfile.open(path, "a") as archive:
            for name in (f"../{SECRET}", "/etc/x.png", "a/../../b.png"):
                add(archive, name, png())
            for name, kind in kinds.items():
                add(archive, f"{name}.png", b"", type=kind, linkname=f"../{SECRET}")
            add(archive, "last.png", png((5, 5, 5)))
            add(archive, "last.txt", b"the last")
        with opened_files() as opened:
            data = load(path)
        assert len(data.samples) == 2
        assert len(data.dropped) == 7
        assert sum("links and devices" in row.reason for row in data.dropped) == len(kinds)
        assert not any(SECRET in name for name in opened)

    def test_a_member_twice_and_a_text_too_long_are_reported(self, root: Path) -> None:
        path = webdataset(root, good(1))
        with tarfile.open(path, "a") as archive:
            add(archive, "twice.png", png((1, 1, 1)))
            add(archive, "twice.png", png((2, 2, 2)))
            add(archive, "twice.txt", b"twice")
            add(archive, "long.png", png((3, 3, 3)))
            add(archive, "long.txt", b"x" * (MAX_LINE_BYTES + 1))
        data = load(path)
        reasons = [row.reason for row in data.dropped]
        assert reasons[0] == "the archive has two members of this name"
        assert reasons[1] == f"its .txt has {MAX_LINE_BYTES + 1:,} bytes; at most {MAX_LINE_BYTES:,} are read"
        assert len(data.samples) == 2

    def test_headers_about_headers_without_end(self, root: Path) -> None:
        path = webdataset(root, good(1))
        whole = path.read_bytes()
        end = whole.rindex(b"text 0") // 512 * 512 + 512
        longer = tarfile.TarInfo("././@LongLink")
        longer.type, longer.size = tarfile.GNUTYPE_LONGNAME, 2
        header = longer.tobuf(tarfile.GNU_FORMAT) + b"a\0".ljust(512, b"\0")
        path.write_bytes(whole[:end] + header * 3000 + b"\0" * 1024)
        data = load(path)
        assert len(data.samples) == 1
        assert "damaged" in data.dropped[0].reason

    @pytest.mark.slow
    def test_a_hundred_thousand_members_take_little_memory(self, root: Path) -> None:
        path = webdataset(root, good())
        other = tarfile.TarInfo("other.bin").tobuf(tarfile.USTAR_FORMAT)
        path.write_bytes(other * 100_000 + path.read_bytes())
        place, reading = Place(root, (path,)), Layout().reading(load_config(), None)
        rows = iter(READERS.get("webdataset").read(place, reading))
        first = next(rows)
        assert sum(isinstance(one, tarfile.TarInfo) for one in gc.get_objects()) < 100
        assert len([first, *rows]) == 3


class TestTables:
    @pytest.mark.parametrize("name", ["caption", "image"])
    def test_two_columns_of_one_name_are_refused(self, name: str, root: Path) -> None:
        put(root, good())
        (root / "a.csv").write_text(f"image,caption,{name}\ngood0.png,one,two\n", encoding="utf-8")
        assert f"2 columns are called '{name}'" in refusal(root / "a.csv")

    def test_bytes_that_are_not_utf8_are_named(self, root: Path) -> None:
        put(root, good())
        (root / "a.csv").write_bytes(b"image,caption\ngood0.png,caf\xe9\ngood1.png,tea\n")
        data = load(root / "a.csv")
        (row,) = data.dropped
        assert row.where == "a.csv:2"
        assert "not UTF-8: byte 0xe9" in row.reason
        assert len(data.samples) == 1

    def test_cells_too_many_too_few_and_nul(self, root: Path) -> None:
        put(root, good())
        text = "image,caption\ngood0.png\ngood1.png,a,b\n\ngo\0od.png,c\ngood2.png,d\n"
        (root / "a.csv").write_text(text, encoding="utf-8")
        data = load(root / "a.csv")
        assert [row.where for row in data.dropped] == ["a.csv:2", "a.csv:3", "a.csv:5"]
        assert len(data.samples) == 1

    def test_a_hundred_thousand_columns(self, root: Path) -> None:
        (root / "a.csv").write_text(",".join(f"c{i}" for i in range(100_000)), encoding="utf-8")
        assert len(refusal(root / "a.csv")) < 1000


class TestJson:
    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b'{"image": "good0.png", "image": "x.png", "caption": "c"}', "'image' occurs twice"),
            (b'{"image": "good0.png", "caption": ' + b"[" * 100_000, "not JSON"),
            (b'{"image": "good0.png", "caption": ' + b"9" * 5000 + b"}", "not JSON"),
            (b'{"image": "good0.png", "caption": 1e999}', "expected a text, got float"),
            (b'{"image": "good0.png", "caption": "\\ud800"}', "half a surrogate pair"),
            (b'{"image": "good0.png", "caption": "\xff"}', "not UTF-8"),
            (b"[1, 2]", "expected an object"),
        ],
    )
    def test_a_bad_line_is_reported_and_the_others_survive(
        self, line: bytes, reason: str, root: Path
    ) -> None:
        put(root, good())
        fine = b'{"image": "good1.png", "caption": "fine"}'
        (root / "a.jsonl").write_bytes(b"\n".join([fine, line, fine.replace(b"1", b"2")]))
        data = load(root / "a.jsonl")
        (row,) = data.dropped
        assert row.where == "a.jsonl:2"
        assert reason in row.reason
        assert len(data.samples) == 2

    def test_karpathys_sentences_may_be_anything(self, root: Path) -> None:
        put(root, good())
        images = [{"file_name": f"good{i}.png", "id": i, "sentences": [{"raw": "t"}]} for i in range(2)]
        odd = {"file_name": "good2.png", "id": 2, "sentences": 5}
        (root / "a.json").write_text(json.dumps({"images": [*images, odd]}), encoding="utf-8")
        data = load(root / "a.json")
        assert [row.reason for row in data.dropped] == ["its 'sentences' are not a list"]

    def test_annotations_that_are_no_list(self, root: Path) -> None:
        images = [{"file_name": "a.png", "sentences": []}]
        (root / "a.json").write_text(json.dumps({"images": images, "annotations": 5}), encoding="utf-8")
        assert "not a list" in refusal(root / "a.json")


class TestSavedData:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["../outside.arrow", "/etc/hostname", "link.arrow", 7, None])
    def test_the_description_may_not_name_files_outside(self, name: object, root: Path) -> None:
        put(root, good())
        path = READERS_WRITTEN["saved"](root, good())
        outside = root.parent / "outside.arrow"
        outside.write_bytes((root / "data.arrow").read_bytes())
        (root / "link.arrow").symlink_to(outside)
        state = json.loads((root / "state.json").read_bytes())
        state["_data_files"] = [{"filename": name}]
        (root / "state.json").write_text(json.dumps(state), encoding="utf-8")
        with opened_files() as opened:
            message = refusal(path)
        assert "state.json" in message or "can't be loaded" in message
        assert not any("outside" in one or "hostname" in one for one in opened)

    def test_a_split_outside_is_refused(self, root: Path) -> None:
        (root / "dataset_dict.json").write_text('{"splits": ["../elsewhere"]}', encoding="utf-8")
        assert "which is not in its folder" in refusal(root)
