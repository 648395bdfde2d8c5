"""What a newcomer's data looked like, and lost captions or gave them to another image without a word."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from alignbench.datasets import load_mixed
from alignbench.errors import DataError
from alignbench.tests.data_files import png
from alignbench.tests.test_datasets_archives import write_archive

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def images(*names: str) -> dict[str, bytes | str]:
    return {name: png((i, len(name), 7)) for i, name in enumerate(names)}


def test_a_table_that_is_not_understood_is_not_passed_over_for_its_images(tmp_path: Path) -> None:
    write(
        tmp_path, {**images("images/a.png", "images/b.png"), "c.csv": "shot,said\na.png,A dog.\nb.png,Tea.\n"}
    )
    with pytest.raises(DataError, match=r"c\.csv, a table with the columns 'shot', 'said'.*--align-columns"):
        load_mixed(None, root=tmp_path)
    assert not load_mixed(None, root=f"imagefolder:{tmp_path}").has_texts


def test_notes_beside_images_are_no_labels(tmp_path: Path) -> None:
    write(tmp_path, {**images("a/1.png", "b/2.png"), "README.txt": "Photos, taken by me.\n"})
    assert load_mixed(None, root=tmp_path).data_types == ("a", "b")


def test_two_images_that_one_text_could_mean_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {**images("1.jpg", "1.png", "2.png"), "1.txt": "Which?", "2.txt": "This one."})
    dataset = load_mixed(None, root=tmp_path)
    assert [sample.texts for sample in dataset.samples] == [("This one.",)]
    assert [row.reason for row in dataset.dropped] == [
        "1.txt could be its text or that of 1.png; rename one",
        "1.txt could be its text or that of 1.jpg; rename one",
    ]


def test_a_text_without_its_image_is_reported_and_capitals_are_endings_too(tmp_path: Path) -> None:
    write(tmp_path, {**images("1.JPG", "2.png"), "1.TXT": "One.", "2.txt": "Two.", "3.txt": "Three."})
    dataset = load_mixed(None, root=tmp_path)
    assert [sample.text for sample in dataset.samples] == ["One.", "Two."]
    [dropped] = dataset.dropped
    assert (dropped.where, dropped.reason) == ("3.txt", "no image of this name is beside it")


def test_splits_are_not_the_types_of_images(tmp_path: Path) -> None:
    write(tmp_path, images("train/a/1.png", "train/b/2.png", "val/a/3.png"))
    with pytest.raises(DataError, match=r"2 splits, train, val; name one of them"):
        load_mixed(None, root=tmp_path)
    assert load_mixed(None, root=tmp_path / "train").data_types == ("a", "b")
    write(tmp_path / "one", images("train/a/1.png", "train/b/2.png"))
    assert load_mixed(None, root=tmp_path / "one").data_types == ("a", "b")


def test_a_missing_type_or_text_as_pandas_writes_it_costs_its_row_alone(tmp_path: Path) -> None:
    table = "image,caption,type\n1.png,One.,x\n2.png,Two.,NaN\n3.png,nan,x\n4.png,None,x\n"
    write(tmp_path, {**images("1.png", "2.png", "3.png", "4.png"), "c.csv": table})
    dataset = load_mixed(None, root=tmp_path)
    assert [sample.text for sample in dataset.samples] == ["One.", "None"]
    assert [row.where for row in dataset.dropped] == ["c.csv:3", "c.csv:4"]


def test_an_archive_whose_samples_are_torn_apart_is_refused(tmp_path: Path) -> None:
    members = {f"{i}.png": png((i, 0, 0)) for i in range(3)} | {f"{i}.txt": b"a text" for i in range(3)}
    write_archive(tmp_path / "all.tar", members)
    with pytest.raises(DataError, match=r"have to follow each other in the archive \(tar --sort=name\)"):
        load_mixed(None, root=tmp_path)


def test_a_folder_that_can_not_be_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, images("a/1.png", "b/2.png"))
    scan = os.scandir

    def locked(path: str) -> object:
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", locked)
    dataset = load_mixed(None, root=tmp_path)
    assert len(dataset) == 1
    assert [row.reason for row in dataset.dropped] == ["the folder can't be read (Permission denied)"]
