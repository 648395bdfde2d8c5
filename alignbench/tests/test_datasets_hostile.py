"""Data that nobody vouches for, through every reader: nothing outside is opened, bad rows are reported."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alignbench.config import load_config
from alignbench.datasets import load_mixed
from alignbench.datasets.reading import READERS
from alignbench.errors import AlignbenchError, DataError
from alignbench.tests.data_files import png
from alignbench.tests.data_hostile import (
    BY_NAME,
    IMAGES,
    LYING,
    READERS_WRITTEN,
    SECRET,
    WITH_IMAGES,
    Entry,
    beside_a_secret,
    good,
    load,
    opened_files,
    put,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Write = Callable[[Path, Sequence[Entry]], Path]

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
    return beside_a_secret(tmp_path)


def _lay_traps(folder: Path, root: Path) -> None:
    (folder / "link.png").symlink_to(root.parent / SECRET)
    (folder / "linked").symlink_to(root.parent)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")


def _images_of(root: Path, form: str) -> Path:
    if form != "tree":
        return root
    return root / load_config().data["chart"].images


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
        data = load(path, type_from="none")
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
    assert len(load(path).samples) == 1
    assert len(load(path, follow_links=True).samples) == 2


@pytest.mark.parametrize("form", [form for form in BY_NAME if form != "tree"])
def test_a_name_in_two_places_is_refused(form: str, root: Path) -> None:
    entries = good()
    put(root, entries)
    put(root / "images", [Entry("good1.png", png((7, 7, 7)))])
    data = load(BY_NAME[form](root, entries))
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
    assert len(load(path).samples) == 1


@pytest.mark.parametrize("form", READERS_WRITTEN)
def test_what_is_no_image_is_reported(form: str, root: Path) -> None:
    broken = [Entry(f"{name}.png", content) for name, content in IMAGES.items()]
    entries = [*good(2), *broken]
    put(root, entries)
    data = load(READERS_WRITTEN[form](root, entries))
    assert len(data.samples) == 2
    assert len(data.dropped) == len(broken)
    assert all("\n" not in str(row) for row in data.dropped)


@pytest.mark.parametrize("form", READERS_WRITTEN)
def test_a_header_that_lies_is_refused_when_the_image_is_decoded(form: str, root: Path) -> None:
    entries = [Entry("lying.png", LYING)]
    put(root, entries)
    (sample,) = load(READERS_WRITTEN[form](root, entries)).samples
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
            data = load(path)
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
        load(path)
    except AlignbenchError as error:
        assert "\n" not in str(error)  # noqa: PT017


class TestMessages:
    @pytest.mark.parametrize("form", [form for form in BY_NAME if form not in {"saved", "tree"}])
    def test_no_image_is_there(self, form: str, root: Path) -> None:
        path = BY_NAME[form](root, [Entry(f"lost{i}.png") for i in range(40)])
        message = refusal(path)
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
        assert reason in refusal(root / name)
        assert reason in refusal(root)

    def test_a_pipe_in_the_place_of_a_label_file_does_not_hang(self, root: Path) -> None:
        os.mkfifo(root / "labels.jsonl")
        os.mkfifo(root / "a.csv")
        for path in (root, root / "labels.jsonl", root / "a.csv"):
            assert refusal(path)
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
    data = load(WITH_IMAGES[form](root, entries))
    assert len(data.samples) + len(data.dropped) == 3
    assert all(text.strip("\u200b ") for sample in data.samples for text in sample.texts)
