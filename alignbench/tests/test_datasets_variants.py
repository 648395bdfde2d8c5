"""Ways in which people write the usual layouts: other quotes, names of columns, places and patterns."""

from __future__ import annotations

import codecs
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.datasets import load_mixed
from alignbench.datasets.reading import Layout
from alignbench.errors import DataError, UnknownNameError
from alignbench.tests.data_files import png
from alignbench.tests.data_layouts import add, drawings, one_text, saved, sidecars, write_csv, write_parquet
from alignbench.tests.toys import RECORD, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.datasets import Dataset

NAMES = ("a.png", "b.png", "c.png")
TEXTS = ("One; two, three", 'A "quoted"\nline break', "가 나")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of three images."""
    for i, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(png((i, 99, 7)))
    return tmp_path


def load(spec: object, **layout: Any) -> Dataset:
    return load_mixed(None, root=str(spec), layout=Layout(**layout))


def pairs(dataset: Dataset) -> list[tuple[str, tuple[str, ...]]]:
    assert dataset.dropped == ()
    return [(getattr(sample.image, "name", ""), sample.texts) for sample in dataset.samples]


def rows(*header: str) -> list[Sequence[str]]:
    return [header, *zip(NAMES, TEXTS, strict=True)]


EXPECTED = [(name, (text,)) for name, text in zip(NAMES, TEXTS, strict=True)]


@pytest.mark.parametrize(
    "style",
    [
        pytest.param({"delimiter": ";"}, id="semicolon"),
        pytest.param({"delimiter": "|"}, id="bar"),
        pytest.param({"delimiter": "\t"}, id="tab in a .csv"),
        pytest.param({"encoding": "utf-8-sig"}, id="bom"),
        pytest.param({"lineterminator": "\r\n"}, id="crlf"),
        pytest.param({"quoting": 1}, id="all quoted"),
        pytest.param({"lineterminator": "\r"}, id="old mac"),
        pytest.param(
            {"quoting": 1, "delimiter": ";", "encoding": "utf-8-sig", "lineterminator": "\r\n"}, id="excel"
        ),
    ],
)
def test_csv_however_it_is_written(root: Path, style: dict[str, Any]) -> None:
    assert pairs(load(write_csv(root / "pairs.csv", rows("image", "caption"), **style))) == EXPECTED


@pytest.mark.parametrize(
    "header",
    [
        ("Image", "Caption"),
        ("IMAGE_PATH", " TEXT "),
        ("file_name", "text"),
        ("image_name", " comment"),
        ("filepath", "title"),
        ("img", "description"),
    ],
)
def test_columns_by_the_names_that_people_give_them(root: Path, header: tuple[str, str]) -> None:
    assert pairs(load(write_csv(root / "pairs.csv", rows(*header)))) == EXPECTED


def test_blank_lines_above_the_names_of_columns(root: Path) -> None:
    write_csv(root / "pairs.csv", rows("image", "caption"))
    (root / "pairs.csv").write_bytes(b"\n\r\n" + (root / "pairs.csv").read_bytes())
    assert pairs(load(root / "pairs.csv")) == EXPECTED


def test_a_quotation_mark_that_nobody_closes_is_reported_with_all_that_it_takes_in(root: Path) -> None:
    (root / "pairs.csv").write_text('image,caption\na.png,one\nb.png,"two\nc.png,three\n', encoding="utf-8")
    dataset = load(root / "pairs.csv")
    assert [sample.text for sample in dataset.samples] == ["one"]
    ((where, reason),) = [(row.where, row.reason) for row in dataset.dropped]
    assert where == "pairs.csv:3"
    assert reason == "not CSV: a quotation mark opens here and is never closed, up to line 4"


def test_a_quotation_mark_that_is_not_doubled_costs_its_own_row_alone(root: Path) -> None:
    (root / "pairs.csv").write_text('image,caption\na.png,"one" two\nb.png,"two"\n', encoding="utf-8")
    dataset = load(root / "pairs.csv")
    assert [sample.text for sample in dataset.samples] == ["two"]
    assert [(row.where, row.reason) for row in dataset.dropped] == [
        ("pairs.csv:2", "not CSV: a quotation mark within a quoted cell is not doubled: write it twice")
    ]


@pytest.mark.parametrize(
    "caption",
    ["a dog, a cat, and a bird", 'he says "hi"', '"hi", he says', "a;b;c;d", "a|b|c", "a, b"],
)
def test_a_table_of_names_and_captions_without_a_header(root: Path, caption: str) -> None:
    text = f"a.png#0\t{caption}\na.png#1\tanother\nb.png#0\tthird\n"
    (root / "tokens.txt").write_text(text, encoding="utf-8")
    found = {name: set(texts) for name, texts in pairs(load(root / "tokens.txt"))}
    assert found == {"a.png": {caption, "another"}, "b.png": {"third"}}


def test_a_csv_of_names_and_captions_without_a_header(root: Path) -> None:
    write_csv(root / "pairs.csv", rows("image", "caption")[1:])
    assert pairs(load(root / "pairs.csv")) == EXPECTED


def test_a_table_under_another_name_is_read_where_the_user_says_what_it_is(root: Path) -> None:
    write_csv(root / "captions.dat", rows("image", "caption"))
    with pytest.raises(DataError, match="no reader recognises it"):
        load(root / "captions.dat")
    assert pairs(load(f"table:{root / 'captions.dat'}")) == EXPECTED


def test_options_say_what_columns_are(root: Path) -> None:
    cells = [
        ("src", "img", "long", "short", "page"),
        *((f"s{i % 2}", n, f"long {n}", f"short {n}", "p") for i, n in enumerate(NAMES)),
    ]
    write_csv(root / "pairs.csv", cells)
    columns = {"image": ("img",), "text": ("long", "short"), "type": ("src",), "group": ("page",)}
    dataset = load(root / "pairs.csv", columns=columns)
    assert {name: set(texts) for name, texts in pairs(dataset)} == {
        name: {f"long {name}", f"short {name}"} for name in NAMES
    }
    assert dataset.labels == ("s0", "s1", "s0")
    assert dataset.n_groups == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "no column is known to be the image; there are 'photo', 'words': --align-columns image=COLUMN"),
        (
            {"image": ("foto",), "text": ("words",)},
            "--align-columns image=foto: unknown column 'foto'. Did you mean 'photo'",
        ),
        ({"image": ("photo",)}, "no column is known to be the text; there are 'photo', 'words'"),
    ],
)
def test_columns_that_nobody_can_know(root: Path, columns: dict[str, tuple[str, ...]], message: str) -> None:
    write_csv(root / "pairs.csv", rows("photo", "words"))
    with pytest.raises(DataError) as caught:
        load(f"table:{root / 'pairs.csv'}", columns=columns)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_columns_that_could_be_the_text(root: Path) -> None:
    write_csv(root / "pairs.csv", [("image", "caption", "text"), *((n, n, n) for n in NAMES)])
    with pytest.raises(
        DataError, match="'caption' and 'text' could be the text: --align-columns text=caption"
    ):
        load(root)
    assert len(load(root, columns={"text": ("text",)})) == len(NAMES)


@pytest.mark.slow
def test_splits_of_parquet_are_told_apart(tmp_path: Path) -> None:
    of = one_text(drawings())
    (tmp_path / "data").mkdir()
    for shard in range(2):
        write_parquet(tmp_path / "data" / f"train-{shard:05}-of-00002.parquet", of[shard * 5 : shard * 5 + 5])
    test = write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", of[30:])
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert "2 things in it could be meant" in message
    assert "test-00000-of-00001.parquet read as table" in message
    assert "train-00000-of-00002.parquet and 1 more read as table" in message
    assert f"name one of them, such as table:{test}" in message
    assert len(load(test)) == len(of[30:])
    train = load(tmp_path / "data" / "train-*.parquet", type_from="none")
    assert [sample.text for sample in train.samples] == [one.text for one in of[:10]]
    ranged = load(tmp_path / "data" / "train-{00000..00001}-of-00002.parquet", type_from="none")
    assert ranged.samples == train.samples


def test_a_missing_shard_of_a_range_is_an_error(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a-0.parquet", one_text(drawings())[:3])
    with pytest.raises(DataError, match=r"no such file: .*a-1\.parquet \(2 of 3 are missing\)"):
        load(tmp_path / "a-{0..2}.parquet")


def test_class_labels_of_hugging_face_have_their_names(tmp_path: Path) -> None:
    from datasets import load_from_disk

    of = one_text(drawings())
    data = load_from_disk(str(saved(tmp_path, of)))
    data.to_parquet(tmp_path / "labelled.parquet")
    for spec in (tmp_path / "saved", tmp_path / "labelled.parquet"):
        dataset = load(spec, columns={"type": ("label",)})
        assert dataset.labels == tuple(one.kind for one in of)


def test_a_row_without_a_class_is_told_apart_from_the_last_class(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        image=datasets.Value("binary"),
        text=datasets.Value("string"),
        type=datasets.ClassLabel(names=["x", "y"]),
    )
    cells = {"image": [png((i, 0, 0)) for i in range(3)], "text": ["1", "2", "3"], "type": [0, -1, 1]}
    data = datasets.Dataset.from_dict(cells, features=features)
    data.save_to_disk(str(tmp_path / "saved"))
    data.to_parquet(tmp_path / "labelled.parquet")
    for spec in (tmp_path / "saved", tmp_path / "labelled.parquet"):
        dataset = load(spec)
        assert dataset.labels == ("x", "y")
        assert [row.reason for row in dataset.dropped] == [
            "no data type: its image is in no folder, or its column is empty"
        ]


def test_several_saved_splits_are_an_error_that_names_them(tmp_path: Path) -> None:
    from datasets import DatasetDict, load_from_disk

    data = load_from_disk(str(saved(tmp_path, one_text(drawings()))))
    DatasetDict(train=data, test=data).save_to_disk(str(tmp_path / "splits"))
    with pytest.raises(DataError, match=r"2 splits, train, test; name the folder of one: .*train"):
        load(tmp_path / "splits")
    assert len(load(tmp_path / "splits" / "test")) == len(data)


@pytest.mark.parametrize("parts", [("train",), ("test", "train")])
def test_metadata_in_the_folder_of_a_split(root: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        (root / part).mkdir()
        for name in NAMES:
            (root / part / name).write_bytes((root / name).read_bytes())
        write_csv(root / part / "metadata.csv", rows("file_name", "text"))
    if len(parts) == 1:
        assert pairs(load(root)) == EXPECTED
    else:
        with pytest.raises(
            DataError, match=r"2 things in it could be meant: .*such as table:.*train.metadata\.csv"
        ):
            load(root)


def test_a_readme_beside_the_folder_of_labels_hides_nothing(root: Path) -> None:
    (root / "README.txt").write_text("These images, and their captions, are mine.", encoding="utf-8")
    images = [{"id": i, "file_name": name} for i, name in enumerate(NAMES)]
    annotations = [{"image_id": i, "caption": text} for i, text in enumerate(TEXTS)]
    (root / "annotations").mkdir()
    content = json.dumps({"images": images, "annotations": annotations})
    (root / "annotations" / "captions.json").write_text(content, encoding="utf-8")
    assert pairs(load(root)) == EXPECTED


def test_a_sidecar_is_no_table_whatever_its_words(tmp_path: Path) -> None:
    of = [
        one._replace(texts=("image, caption",)) if i == 3 else one
        for i, one in enumerate(one_text(drawings()))
    ]
    sidecars(tmp_path, of)
    assert [sample.text for sample in load(tmp_path, type_from="none").samples] == [one.text for one in of]


def test_a_byte_order_mark_in_a_sidecar(root: Path) -> None:
    for name, text in zip(NAMES, ("x", "y", "z"), strict=True):
        (root / name).with_suffix(".txt").write_bytes(codecs.BOM_UTF8 + text.encode())
    assert [sample.text for sample in load(root).samples] == ["x", "y", "z"]


def test_the_text_column_that_the_user_names_is_preferred_to_a_member_of_an_archive(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for i in range(3):
            add(archive, f"{i}.png", png((i, 1, 2)))
            add(archive, f"{i}.txt", f"alt text {i}".encode())
            add(archive, f"{i}.json", json.dumps({"long": f"long {i}", "group_id": "g"}).encode())
    assert [sample.text for sample in load(tmp_path).samples] == ["alt text 0", "alt text 1", "alt text 2"]
    named = load(tmp_path, columns={"text": ("long",)})
    assert [sample.text for sample in named.samples] == ["long 0", "long 1", "long 2"]
    assert named.n_groups == 1


def test_an_unknown_reader_in_front_of_a_path(root: Path) -> None:
    write_csv(root / "pairs.csv", rows("image", "caption"))
    with pytest.raises((DataError, UnknownNameError)) as caught:
        load(f"tabel:{root / 'pairs.csv'}")
    assert "\n" not in str(caught.value)


def test_the_options_of_a_run_say_what_columns_are(project: pytest.Pytester) -> None:
    of = one_text(drawings())[:10]
    for one in of:
        (project.path / one.name).write_bytes(one.content)
    write_csv(
        project.path / "mine.csv",
        [("img", "a", "b"), *((one.name, one.text, f"again: {one.text}") for one in of)],
    )
    project.makepyfile(test_some=RECORD)
    arguments = ("--align-data=mine.csv", "--n-samples=all", "-rA")
    wrong = run(project, *arguments)
    assert wrong.ret != 0
    wrong.stderr.fnmatch_lines(["*mine.csv*table with the columns 'img', 'a', 'b'*--align-columns*"])
    done = run(project, *arguments, "--align-columns=image=img,text=a+b")
    done.assert_outcomes(passed=4)
    said = " ".join(done.stdout.str().split())
    assert "10 samples in 10 groups (10 all) from mine.csv" in said
    assert "read as table: it has the columns image=img, text=a+b" in said


def test_another_encoding_is_called_so(root: Path) -> None:
    (root / "pairs.csv").write_bytes("image,caption\na.png,caf\xe9\nb.png,tea\n".encode("latin-1"))
    dataset = load(root / "pairs.csv")
    assert [sample.text for sample in dataset.samples] == ["tea"]
    reasons = [(row.where, row.reason) for row in dataset.dropped]
    assert reasons == [("pairs.csv:2", "a text is not UTF-8: byte 0xe9; save the file as UTF-8")]


def test_ids_that_pandas_made_fractions_are_whole_numbers(root: Path) -> None:
    records = [
        {"image": name, "text": name, "id": id}
        for name, id in zip(NAMES, (1.0, 2.0, float("nan")), strict=True)
    ]
    (root / "pairs.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    assert [sample.id for sample in load(root / "pairs.jsonl").samples] == ["1", "2", "c.png"]


def test_a_long_line_in_a_text_file_stops_nothing(root: Path) -> None:
    (root / "notes.txt").write_text("x" * 200_000, encoding="utf-8")
    write_csv(root / "pairs.csv", rows("image", "caption"))
    assert pairs(load(root)) == EXPECTED


def test_each_line_of_a_text_in_an_archive_is_a_wording_as_beside_an_image(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "x/0.PNG", png())
        add(archive, "x/0.TXT", b"first\r\n\nsecond\n")
    ((_, texts),) = pairs(load(tmp_path))
    assert set(texts) == {"first", "second"}


def test_a_label_file_that_nothing_is_taken_from_is_named(root: Path) -> None:
    write_csv(root / "pairs.csv", rows("address", "words"))
    for name in NAMES:
        (root / name).with_suffix(".txt").write_text("a text", encoding="utf-8")
    with pytest.raises(DataError, match=r"pairs\.csv, a table with the columns 'address', 'words'"):
        load(root)
    (root / "pairs.csv").rename(root / "notes.txt")
    assert "nothing is taken from notes.txt" in load(root).origin
