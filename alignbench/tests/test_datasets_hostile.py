"""Data that nobody vouches for, through every reader: nothing outside is opened, bad rows are reported."""

from __future__ import annotations

import gc
import json
import os
import tarfile
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alignbench.config import load_config
from alignbench.datasets import load_mixed
from alignbench.datasets.reading import READERS, Layout, Place
from alignbench.datasets.records import MAX_LINE_BYTES
from alignbench.errors import AlignbenchError, DataError
from alignbench.tests.data_files import png
from alignbench.tests.data_hostile import (
    BY_NAME,
    IMAGES,
    LYING,
    READERS_WRITTEN,
    WITH_IMAGES,
    Entry,
    add,
    good,
    opened_files,
    put,
    webdataset,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from alignbench.datasets import Dataset

    Write = Callable[[Path, Sequence[Entry]], Path]

SECRET = "secret.png"
NAMES = {
    "parent": (f"../{SECRET}", "'..' in the path"),
    "inner parent": (f"x/../../{SECRET}", "'..' in the path"),
    "windows parent": (f"..\\{SECRET}", "'..' in the path"),
    "drive": (f"C:\\{SECRET}", "an absolute path"),
    "absolute": ("/etc/hostname", "an absolute path"),
    "file url": ("file:///etc/hostname", "an absolute path"),
    "quoted file url": ("file:///%2e%2e/etc/hostname", "path"),
    "url": ("https://example.org/a.png", "img2dataset"),
    "nul": ("a\0.png", "not a file name"),
    "long": ("x" * 5000, "no such file"),
    "link": ("link.png", "--align-follow-links"),
    "linked folder": (f"linked/{SECRET}", "--align-follow-links"),
    "folder": ("folder", "not a regular file"),
    "pipe": ("pipe", "not a regular file"),
    "not there": ("lost.png", "no such file"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with links out of it, and a picture outside that nobody may open."""
    (tmp_path / SECRET).write_bytes(png())
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def _lay_traps(folder: Path, root: Path) -> None:
    (folder / "link.png").symlink_to(root.parent / SECRET)
    (folder / "linked").symlink_to(root.parent)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")


def _images_of(root: Path, form: str) -> Path:
    if form != "tree":
        return root
    return root / load_config().data["chart"].images


def _load(path: Path, **layout: Any) -> Dataset:
    return load_mixed(None, root=path, layout=Layout(**layout))


def _refusal(path: Path) -> str:
    with pytest.raises(AlignbenchError) as caught:
        _load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_reader_is_tried() -> None:
    tried = {"datasets" if form == "saved" else form for form in READERS_WRITTEN}
    assert set(READERS) <= tried


@pytest.mark.parametrize("form", BY_NAME)
def test_names_lead_nowhere(form: str, root: Path) -> None:
    entries = good()
    put(root, entries)
    path = BY_NAME[form](root, [entries[0], *(Entry(name) for name, _ in NAMES.values()), *entries[1:]])
    _lay_traps(_images_of(root, form), root)
    with opened_files() as opened:
        data = _load(path, type_from="none")
    assert {text for sample in data.samples for text in sample.texts} == {"text 0", "text 1", "text 2"}
    assert len(data.dropped) == len(NAMES)
    for (name, reason), row in zip(NAMES.values(), data.dropped, strict=True):
        assert reason in row.reason, name
        assert "\n" not in str(row)
        assert any(character.isdigit() for character in row.where)  # a line or the number of a row
    for name in opened:
        assert SECRET not in name
        assert name != "/etc/hostname"


@pytest.mark.parametrize("form", BY_NAME)
def test_links_are_followed_only_if_asked_for(form: str, root: Path) -> None:
    entries = good(1)
    put(root, entries)
    path = BY_NAME[form](root, [*entries, Entry("link.png", text="outside")])
    _lay_traps(_images_of(root, form), root)
    assert len(_load(path).samples) == 1
    assert len(_load(path, follow_links=True).samples) == 2


@pytest.mark.parametrize("form", [form for form in BY_NAME if form != "tree"])
def test_a_name_in_two_places_is_refused(form: str, root: Path) -> None:
    entries = good()
    put(root, entries)
    put(root / "images", [Entry("good1.png", png((7, 7, 7)))])
    data = _load(BY_NAME[form](root, entries))
    (row,) = data.dropped
    assert "two files have this name" in row.reason
    assert len(data.samples) == 2


@pytest.mark.parametrize(("label", "disk"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("form", BY_NAME)
def test_unicode_forms_meet(form: str, label: str, disk: str, root: Path) -> None:
    forms = {way: unicodedata.normalize(way, "né 한.png") for way in ("NFC", "NFD")}
    put(root, [Entry(forms[disk], png())])
    path = BY_NAME[form](root, [Entry(forms[label])])
    (_images_of(root, form) / forms[disk]).write_bytes(png())
    assert len(_load(path).samples) == 1


@pytest.mark.parametrize("form", READERS_WRITTEN)
def test_what_is_no_image_is_reported(form: str, root: Path) -> None:
    broken = [Entry(f"{name}.png", content) for name, content in IMAGES.items()]
    entries = [*good(2), *broken]
    put(root, entries)
    data = _load(READERS_WRITTEN[form](root, entries))
    assert len(data.samples) == 2
    assert len(data.dropped) == len(broken)
    assert all("\n" not in str(row) for row in data.dropped)


@pytest.mark.parametrize("form", READERS_WRITTEN)
def test_a_header_that_lies_is_refused_when_the_image_is_decoded(form: str, root: Path) -> None:
    entries = [Entry("lying.png", LYING)]
    put(root, entries)
    (sample,) = _load(READERS_WRITTEN[form](root, entries)).samples
    with pytest.raises(DataError, match="pixels are not there"):
        sample.open_image()


@pytest.mark.parametrize("form", [form for form in READERS_WRITTEN if form != "imagefolder"])
def test_a_file_that_ends_anywhere_gives_one_line(form: str, root: Path) -> None:
    entries = good()
    put(root, entries)
    path = READERS_WRITTEN[form](root, entries)
    file = path if path.is_file() else next((one for one in path.glob("**/*.arrow")), None)
    if file is None:
        file = next(one for one in path.rglob("*") if one.suffix in {".jsonl", ".txt"})
    whole = file.read_bytes()
    for length in sorted({0, 1, *range(7, len(whole), max(1, len(whole) // 12)), len(whole) - 1}):
        file.write_bytes(whole[:length])
        try:
            data = _load(path)
        except AlignbenchError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert all(sample.texts for sample in data.samples)


@pytest.mark.parametrize("form", [form for form in READERS_WRITTEN if form not in {"saved", "imagefolder"}])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=5), st.integers(0, 6)), max_size=4))
def test_any_bytes_give_data_or_one_line(
    form: str, places: list[tuple[float, bytes, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    entries = good()
    put(root, entries)
    path = READERS_WRITTEN[form](root, entries)
    file = path if path.is_file() else next(one for one in path.rglob("*.jsonl"))
    content = file.read_bytes()
    for share, put_in, cut in places:
        at = int(share * len(content))
        content = content[:at] + put_in + content[at + cut :]
    file.write_bytes(content)
    try:
        _load(path)
    except AlignbenchError as error:
        assert "\n" not in str(error)  # noqa: PT017


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
            data = _load(path)
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
        data = _load(path)
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
        data = _load(path)
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
        assert f"2 columns are called '{name}'" in _refusal(root / "a.csv")

    def test_bytes_that_are_not_utf8_are_named(self, root: Path) -> None:
        put(root, good())
        (root / "a.csv").write_bytes(b"image,caption\ngood0.png,caf\xe9\ngood1.png,tea\n")
        data = _load(root / "a.csv")
        (row,) = data.dropped
        assert row.where == "a.csv:2"
        assert "not UTF-8: byte 0xe9" in row.reason
        assert len(data.samples) == 1

    def test_cells_too_many_too_few_and_nul(self, root: Path) -> None:
        put(root, good())
        text = "image,caption\ngood0.png\ngood1.png,a,b\n\ngo\0od.png,c\ngood2.png,d\n"
        (root / "a.csv").write_text(text, encoding="utf-8")
        data = _load(root / "a.csv")
        assert [row.where for row in data.dropped] == ["a.csv:2", "a.csv:3", "a.csv:5"]
        assert len(data.samples) == 1

    def test_a_hundred_thousand_columns(self, root: Path) -> None:
        (root / "a.csv").write_text(",".join(f"c{i}" for i in range(100_000)), encoding="utf-8")
        assert len(_refusal(root / "a.csv")) < 1000


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
        data = _load(root / "a.jsonl")
        (row,) = data.dropped
        assert row.where == "a.jsonl:2"
        assert reason in row.reason
        assert len(data.samples) == 2

    def test_karpathys_sentences_may_be_anything(self, root: Path) -> None:
        put(root, good())
        images = [{"file_name": f"good{i}.png", "id": i, "sentences": [{"raw": "t"}]} for i in range(2)]
        odd = {"file_name": "good2.png", "id": 2, "sentences": 5}
        (root / "a.json").write_text(json.dumps({"images": [*images, odd]}), encoding="utf-8")
        data = _load(root / "a.json")
        assert [row.reason for row in data.dropped] == ["its 'sentences' are not a list"]

    def test_annotations_that_are_no_list(self, root: Path) -> None:
        images = [{"file_name": "a.png", "sentences": []}]
        (root / "a.json").write_text(json.dumps({"images": images, "annotations": 5}), encoding="utf-8")
        assert "not a list" in _refusal(root / "a.json")


class TestSavedData:
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
            message = _refusal(path)
        assert "state.json" in message or "can't be loaded" in message
        assert not any("outside" in one or "hostname" in one for one in opened)

    def test_a_split_outside_is_refused(self, root: Path) -> None:
        (root / "dataset_dict.json").write_text('{"splits": ["../elsewhere"]}', encoding="utf-8")
        assert "which is not in its folder" in _refusal(root)


class TestMessages:
    @pytest.mark.parametrize("form", [form for form in BY_NAME if form not in {"saved", "tree"}])
    def test_no_image_is_there(self, form: str, root: Path) -> None:
        path = BY_NAME[form](root, [Entry(f"lost{i}.png") for i in range(40)])
        message = _refusal(path)
        assert "of its 40 rows, 40 name an image that is not there" in message
        assert "--align-image-root DIR" in message

    @pytest.mark.parametrize(
        ("name", "content", "reason"),
        [
            ("a.csv", b"", "a.csv, which is empty"),
            ("a.csv", "image,caption\n".encode("utf-16"), "UTF-16; expected UTF-8"),
            ("a.parquet", b"PAR1" + b"x" * 90 + b"\xff\xff\xff\x7fPAR1", "can't be read as parquet"),
            ("a.arrow", b"ARROW1\0\0" + b"x" * 90, "can't be read as arrow"),
            ("a.jsonl", b'{"image": "a.png", "cap', "a.jsonl:1: not JSON"),
            ("a.json", b'{"images": [\n{"id": 1}], "annotat', "a.json: not JSON: Unterminated string"),
            ("a.csv", b"picture,said\n1,2\n", "a table with the columns 'picture', 'said'"),
        ],
    )
    def test_what_is_there_and_why_it_is_not_read(
        self, name: str, content: bytes, reason: str, root: Path
    ) -> None:
        (root / name).write_bytes(content)
        assert reason in _refusal(root / name)
        assert reason in _refusal(root)

    def test_a_pipe_in_the_place_of_a_label_file_does_not_hang(self, root: Path) -> None:
        os.mkfifo(root / "labels.jsonl")
        os.mkfifo(root / "a.csv")
        for path in (root, root / "labels.jsonl", root / "a.csv"):
            assert _refusal(path)
        with pytest.raises(DataError, match="not a folder or a file"):
            load_mixed(None, root=f"table:{root / 'a.csv'}")


@pytest.mark.parametrize("form", WITH_IMAGES)
def test_texts_of_odd_kinds(form: str, root: Path) -> None:
    entries = [
        *good(1),
        Entry("blank.png", png((8, 8, 8)), " \u200b "),
        Entry("right.png", png((9, 9, 9)), "\u202ex"),
    ]
    put(root, entries)
    data = _load(WITH_IMAGES[form](root, entries))
    assert len(data.samples) + len(data.dropped) == 3
    assert all(text.strip("\u200b ") for sample in data.samples for text in sample.texts)
