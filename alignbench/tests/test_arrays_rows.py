"""Which rows of an array are the samples of a run, and data that is nothing but rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.datasets import load_mixed
from alignbench.datasets.arrays import read_groups, read_labels, rows_dataset, rows_of
from alignbench.errors import DataError, UnknownNameError
from alignbench.tests.data_files import charts_and_tables, line, make_root, png
from alignbench.tests.embed_fakes import drawings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def mixed_root(root: Path, kinds: str = "tctctctcct", broken: Sequence[int] = ()) -> Path:
    """A root whose label file mixes charts (c) and tables (t); line i is of image i."""
    names = [f"{'chart' if kind == 'c' else 'table'}/{i}.png" for i, kind in enumerate(kinds)]
    images = {name: png((i, 7, 9)) for i, name in enumerate(names) if i not in broken}
    return make_root(root, [line(name, f"text {i}", id=str(i)) for i, name in enumerate(names)], images)


def ids(dataset: Any) -> list[str]:
    return [sample.id for sample in dataset.samples]


def test_samples_stand_as_in_the_label_file_whatever_their_types(tmp_path: Path) -> None:
    dataset = load_mixed(None, root=mixed_root(tmp_path))
    assert ids(dataset) == [str(i) for i in range(10)]
    assert [sample.row for sample in dataset.samples] == list(range(10))
    assert dataset.rows == 10


def test_a_draw_keeps_the_files_order_and_each_samples_row(tmp_path: Path) -> None:
    dataset = load_mixed(2, root=mixed_root(tmp_path))
    rows = [sample.row for sample in dataset.samples]
    assert len(rows) == 4
    assert rows == sorted(rows, key=lambda row: row or 0)
    assert ids(dataset) == [str(row) for row in rows]


def test_as_many_rows_as_samples_are_the_samples(tmp_path: Path) -> None:
    dataset = load_mixed(2, root=mixed_root(tmp_path))
    assert rows_of(dataset, 4).tolist() == [0, 1, 2, 3]


def test_as_many_rows_as_lines_are_picked_by_line(tmp_path: Path) -> None:
    dataset = load_mixed(2, root=mixed_root(tmp_path))
    assert [str(row) for row in rows_of(dataset, 10)] == ids(dataset)


def test_as_many_rows_as_usable_lines_are_picked_among_those(tmp_path: Path) -> None:
    root = mixed_root(tmp_path, broken=[0, 5])
    usable = ids(load_mixed(None, root=root))
    assert len(usable) == 8
    dataset = load_mixed(2, root=root)
    assert [usable[row] for row in rows_of(dataset, 8)] == ids(dataset)
    assert [str(row) for row in rows_of(dataset, 10)] == ids(dataset)


def test_usable_lines_are_those_of_all_types_in_a_common_label_file(tmp_path: Path) -> None:
    root = mixed_root(tmp_path, broken=[0, 5])
    usable = ids(load_mixed(None, root=root))
    dataset = load_mixed(2, ["table"], root=root)
    assert [usable[row] for row in rows_of(dataset, 8)] == ids(dataset)


def test_lines_about_one_image_are_rows_of_their_own(tmp_path: Path) -> None:
    names = ["chart/a.png", "chart/b.png", "chart/a.png", "chart/c.png", "chart/none.png"]
    images = {name: png((i, 1, 1)) for i, name in enumerate(names[1:4])}
    root = make_root(tmp_path, [line(name, f"text {i}", id=str(i)) for i, name in enumerate(names)], images)
    dataset = load_mixed(2, root=root)
    assert [str(row) for row in rows_of(dataset, 4)] == ids(dataset)


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    root = mixed_root(tmp_path, "cccccc")
    labels = root / "labels.jsonl"
    labels.write_text("\n\n" + labels.read_text(encoding="utf-8").replace("\n", "\n\n"), encoding="utf-8")
    dataset = load_mixed(2, root=root)
    assert dataset.rows == 6
    assert [str(row) for row in rows_of(dataset, 6)] == ids(dataset)


def test_the_label_files_of_a_tree_follow_each_other(tmp_path: Path) -> None:
    from alignbench.config import load_config

    config = load_config()
    for name, start in (("chart", 0), ("table", 5)):
        source = config.data[name]
        for i in range(start, start + 5):
            image = tmp_path / source.images / f"{i}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(png((i, 3, 3)))
        labels = tmp_path / source.labels
        labels.parent.mkdir(parents=True, exist_ok=True)
        lines = [line(f"{i}.png", f"text {i}", id=str(i)) for i in range(start, start + 5)]
        labels.write_text("\n".join(lines), encoding="utf-8")
    dataset = load_mixed(2, root=tmp_path)
    assert dataset.rows == 10
    assert [str(row) for row in rows_of(dataset, 10)] == ids(dataset)
    tables = load_mixed(2, ["table"], root=tmp_path)
    assert tables.rows == 5
    assert [str(row + 5) for row in rows_of(tables, 5)] == ids(tables)


def test_a_type_of_a_common_label_file_still_counts_all_lines(tmp_path: Path) -> None:
    dataset = load_mixed(2, ["table"], root=mixed_root(tmp_path))
    assert [str(row) for row in rows_of(dataset, 10)] == ids(dataset)


@pytest.mark.parametrize("count", [1, 3, 5, 8, 11])
def test_another_number_of_rows_is_refused_with_those_that_would_do(tmp_path: Path, count: int) -> None:
    dataset = load_mixed(2, root=mixed_root(tmp_path, broken=[0]))
    with pytest.raises(DataError, match=f"{count} rows; expected 4, one .* or 10, one for each line"):
        rows_of(dataset, count)


def test_the_usable_lines_are_named_where_they_were_counted(tmp_path: Path) -> None:
    dataset = load_mixed(2, root=mixed_root(tmp_path, broken=[0, 1]))
    with pytest.raises(DataError, match="or 8, one for each usable line"):
        rows_of(dataset, 9)


def test_rows_in_an_order_that_could_be_two_are_refused(tmp_path: Path) -> None:
    dataset = load_mixed(None, ["table", "chart"], root=charts_and_tables(tmp_path))
    with pytest.raises(DataError, match="--data-types puts the run in another order"):
        rows_of(dataset, 12)
    in_order = load_mixed(None, ["chart", "table"], root=tmp_path)
    assert rows_of(in_order, 12).tolist() == list(range(12))


def test_data_without_an_order_takes_its_own_samples_only() -> None:
    assert rows_of(drawings(5), 5).tolist() == list(range(5))
    with pytest.raises(DataError, match="6 rows; expected 5, one for each sample of drawings@"):
        rows_of(drawings(5), 6)


def test_rows_alone_are_a_dataset() -> None:
    dataset = rows_dataset(5, "the rows of npy:v.npy")
    assert ids(dataset) == ["row-0", "row-1", "row-2", "row-3", "row-4"]
    assert {sample.data_type for sample in dataset.samples} == {"all"}
    assert len({sample.group for sample in dataset.samples}) == 5
    assert dataset.label.startswith("arrays@")
    assert not dataset.has_images
    assert drawings(2).has_images
    assert rows_of(dataset, 5).tolist() == list(range(5))


def test_the_digest_of_rows_is_that_of_their_number_and_types() -> None:
    dataset = rows_dataset(4, "a", labels=list("xyxy"))
    assert rows_dataset(4, "b", labels=list("xyxy")).digest == dataset.digest
    assert rows_dataset(4, "a", labels=list("xyyx")).digest != dataset.digest
    assert rows_dataset(5, "a", labels=list("xyxyx")).digest != dataset.digest


def test_rows_can_be_chosen_by_type_and_drawn() -> None:
    labels = ["x", "y"] * 10
    assert [s.row for s in rows_dataset(20, "a", labels=labels, types=["y"]).samples] == list(range(1, 20, 2))
    three, five = (rows_dataset(20, "a", labels=labels, n_per_type=n, seed=3) for n in (3, 5))
    assert len(three) == 6
    assert set(ids(three)) < set(ids(five))
    assert [sample.row for sample in three.samples] == rows_of(three, 20).tolist()
    assert ids(rows_dataset(20, "a", labels=labels, n_per_type=3, seed=4)) != ids(three)
    notes = rows_dataset(20, "a", labels=labels, n_per_type=30, notes=("mind this",)).notes
    assert [note.partition(";")[0] for note in notes] == ["mind this", "x: 10 samples", "y: 10 samples"]
    with pytest.raises(UnknownNameError, match="Known: x, y"):
        rows_dataset(20, "a", labels=labels, types=["z"])


@pytest.mark.parametrize(
    "content", [b"x\ny\nz", b"x\ny\nz\n", b"x\r\ny\r\nz\r\n", b"\xef\xbb\xbfx\n y \nz"], ids=repr
)
def test_labels_are_lines_of_text(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "l.txt").write_bytes(content)
    assert read_labels(tmp_path / "l.txt", 3) == ("x", "y", "z")


@pytest.mark.parametrize(
    "values",
    [["1", "2", "1"], np.array([1, 2, 1]), np.array([b"1", b"2", b"1"]), np.array([1, 2, 1], dtype="u1")],
)
def test_labels_are_texts_or_whole_numbers_of_a_npy_file(tmp_path: Path, values: Any) -> None:
    np.save(tmp_path / "l.npy", values)
    assert read_labels(tmp_path / "l.npy", 3) == ("1", "2", "1")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"x\ny\n", "2 labels; expected 3, one for each row"),
        (b"x\n\nz\n", "row 1: '' can't be a label"),
        (b"x\n\x1b[2J\nz\n", "row 1"),
        (b"x\na,b\nz\n", "'a,b' can't be the name of a data type"),
        (b"x\nall\nz\n", "'all' can't be the name of a data type: scores over all"),
        (b"\xff\xfe\x00\x01", "not UTF-8"),
        (None, "there is no such file"),
    ],
    ids=repr,
)
def test_labels_that_cant_be_are_one_line(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "l.txt").write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        read_labels(tmp_path / "l.txt", 3)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [np.ones(3), np.array([[1], [2], [3]]), np.array(["x", None, "y"], dtype=object)],
    ids=["numbers with a point", "a column", "objects"],
)
def test_labels_of_another_form_are_refused(tmp_path: Path, values: Any) -> None:
    np.save(tmp_path / "l.npy", values, allow_pickle=True)
    with pytest.raises(DataError, match=r"l\.npy: (expected texts or whole numbers|it holds Python objects)"):
        read_labels(tmp_path / "l.npy", 3)


def test_groups_may_be_called_anything_printable(tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text("a,b\nall\na,b\n", encoding="utf-8")
    groups = read_groups(tmp_path / "g.txt", 3)
    dataset = rows_dataset(3, "x", groups=groups)
    assert [sample.group for sample in dataset.samples] == ["a,b", "all", "a,b"]
    with pytest.raises(DataError, match="3 groups; expected 4"):
        read_groups(tmp_path / "g.txt", 4)


def test_a_sample_changed_in_another_field_keeps_its_row(tmp_path: Path) -> None:
    sample = load_mixed(1, root=mixed_root(tmp_path)).samples[0]
    assert sample.but(group="g").row == sample.row == replace(sample, id="x").row


@pytest.mark.parametrize("order", ["<", ">"])
def test_characters_that_do_not_exist_are_refused(order: str, tmp_path: Path) -> None:
    codes = np.array([97, 0x110000, 98], dtype=f"{order}u4")
    np.save(tmp_path / "l.npy", codes.view(f"{order}U1"))
    with pytest.raises(DataError, match="no Unicode character"):
        read_labels(tmp_path / "l.npy", 3)
    np.save(tmp_path / "l.npy", np.array(["a", "\U0010ffff", "b"], dtype=f"{order}U1"))
    with pytest.raises(DataError, match=r"row 1: .*printable"):
        read_labels(tmp_path / "l.npy", 3)


def test_bytes_that_are_not_text_are_refused_and_never_replaced(tmp_path: Path) -> None:
    np.save(tmp_path / "l.npy", np.array([b"a", b"\xff", b"\xfe"]))
    with pytest.raises(DataError, match=r"row 1: .*not UTF-8"):
        read_groups(tmp_path / "l.npy", 3)
    np.save(tmp_path / "l.npy", np.array(["도표".encode(), b"b", b"c"]))
    assert read_groups(tmp_path / "l.npy", 3) == ("도표", "b", "c")
