"""Pairs of images with keypoints: drawn ones, and folders in SPair-71k's layout, whole and broken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from alignbench.datasets.spair import read_spair
from alignbench.datasets.synthetic.recurring import SIDES, recurring_objects
from alignbench.datasets.synthetic.words import COLOURS
from alignbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (60, 40)


def annotation(category: str, source: str, target: str, **changes: Any) -> dict[str, Any]:
    """Return an annotation as SPair-71k has it, without the fields that nobody reads."""
    return {
        "src_imname": source,
        "trg_imname": target,
        "src_imsize": [*SIZE, 3],
        "trg_imsize": [*SIZE, 3],
        "src_bndbox": [1, 2, 51, 30],
        "trg_bndbox": [10, 5, 50, 35],
        "category": category,
        "src_kps": [[4, 8], [30, 20]],
        "trg_kps": [[12, 9], [40.5, 30]],
        **changes,
    }


def spair(root: Path, annotations: list[dict[str, Any]], split: str = "test") -> Path:
    """Write a folder in SPair-71k's layout with these annotations and the images that they name."""
    folder = root / "PairAnnotation" / split
    folder.mkdir(parents=True)
    for number, one in enumerate(annotations):
        name = f"{number:06}-{one['src_imname'][:-4]}-{one['trg_imname'][:-4]}_{one['category']}.json"
        (folder / name).write_text(json.dumps(one), encoding="utf-8")
        images = root / "JPEGImages" / str(one["category"])
        images.mkdir(parents=True, exist_ok=True)
        for image in (one["src_imname"], one["trg_imname"]):
            Image.new("RGB", SIZE, (90, 120, 30)).save(images / image)
    return root


def test_a_folder_in_the_layout_is_read_as_it_is(tmp_path: Path) -> None:
    pairs = [annotation("cat", "a.jpg", "b.jpg"), annotation("dog", "a.jpg", "c.jpg")]
    data = read_spair(spair(tmp_path, [*pairs, annotation("cat", "b.jpg", "c.jpg")]), None, 1)
    assert [sample.id for sample in data.images.samples] == [
        "cat/a.jpg", "cat/b.jpg", "cat/c.jpg", "dog/a.jpg", "dog/c.jpg"
    ]  # fmt: skip
    assert data.images.samples[3].image == tmp_path / "JPEGImages" / "dog" / "a.jpg"
    assert [(pair.category, pair.images) for pair in data.pairs] == [
        ("cat", (0, 1)), ("cat", (1, 2)), ("dog", (3, 4))
    ]  # fmt: skip
    assert set(data.sizes) == {SIZE}
    assert data.pairs[0].points.tolist() == [[4, 8], [30, 20]]
    assert data.pairs[0].truths.tolist() == [[12, 9], [40.5, 30]]
    assert data.pairs[0].side == 40
    assert data.units == ((0, 1), (1, 2), (3, 4))


def test_a_draw_has_as_many_pairs_of_each_category(tmp_path: Path) -> None:
    many = [annotation(kind, f"{i}.jpg", f"{i + 1}.jpg") for kind in ("cat", "dog") for i in range(6)]
    spair(tmp_path, many)
    two = read_spair(tmp_path, 2, 1)
    assert [pair.category for pair in two.pairs] == ["cat", "cat", "dog", "dog"]
    assert [pair.name for pair in read_spair(tmp_path, 2, 1).pairs] == [pair.name for pair in two.pairs]
    assert [pair.name for pair in read_spair(tmp_path, 2, 5).pairs] != [pair.name for pair in two.pairs]
    assert len(read_spair(tmp_path, None, 1).pairs) == len(read_spair(tmp_path, 99, 1).pairs) == 12


def test_a_split_is_the_test_split_or_the_one_that_is_named(tmp_path: Path) -> None:
    spair(tmp_path, [annotation("cat", "a.jpg", "b.jpg")], "val")
    spair(tmp_path, [annotation("cat", "c.jpg", "d.jpg")], "test")
    assert read_spair(tmp_path, None, 1).images.name == "spair-test"
    assert read_spair(tmp_path / "PairAnnotation" / "val", None, 1).images.name == "spair-val"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"src_kps": [[1, 2, 3]]}, r"src_kps: expected rows of 2 numbers, got \[\[1, 2, 3\]\]"),
        ({"src_kps": [[1, None], [2, 3]]}, "src_kps: expected rows of 2 numbers"),
        ({"trg_kps": "none"}, "trg_kps: expected rows of 2 numbers, got 'none'"),
        ({"trg_kps": [[1, 2]]}, "expected as many keypoints in the source as in the target, .* got 2 and 1"),
        ({"src_kps": [], "trg_kps": []}, "src_kps: expected rows of 2 numbers"),
        ({"trg_bndbox": [5, 5, 5, 5]}, "the box of the target's object has no size"),
        ({"trg_bndbox": None}, "trg_bndbox: expected rows of 4 numbers, got None"),
        ({"trg_kps": [[900, 2], [3, 4]]}, "a keypoint lies far outside cat/b.jpg, which has 60 x 40 pixels"),
        ({"src_imsize": [120, 80, 3]}, "for 120 x 80 pixels, but the image has 60 x 40"),
        ({"category": None}, "category: expected a name, got None"),
    ],
)
def test_what_can_not_be_used_is_named_with_its_file(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    spair(tmp_path, [annotation("cat", "a.jpg", "b.jpg")])
    [file] = (tmp_path / "PairAnnotation" / "test").iterdir()
    file.write_text(json.dumps(annotation("cat", "a.jpg", "b.jpg") | changes), encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        read_spair(tmp_path, None, 1)
    assert "test/000000-a-b_cat.json" in str(caught.value)


@pytest.mark.parametrize("name", ["../a.jpg", "..", "x/a.jpg", "x\\a.jpg", ""])
def test_a_name_leads_nowhere_else(name: str, tmp_path: Path) -> None:
    spair(tmp_path, [annotation("cat", "a.jpg", "b.jpg")])
    [file] = (tmp_path / "PairAnnotation" / "test").iterdir()
    file.write_text(json.dumps(annotation("cat", name, "b.jpg")), encoding="utf-8")
    with pytest.raises(DataError, match="src_imname: expected a name"):
        read_spair(tmp_path, None, 1)


def test_missing_files_and_other_layouts_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected SPair-71k's layout: PairAnnotation/test"):
        read_spair(tmp_path, None, 1)
    spair(tmp_path, [annotation("cat", "a.jpg", "b.jpg")])
    (tmp_path / "JPEGImages" / "cat" / "b.jpg").unlink()
    with pytest.raises(DataError, match=r"there is no image JPEGImages/cat/b\.jpg"):
        read_spair(tmp_path, None, 1)
    empty = tmp_path / "other"
    (empty / "PairAnnotation" / "test").mkdir(parents=True)
    with pytest.raises(DataError, match="no pairs of images with keypoints"):
        read_spair(empty, None, 1)


def test_drawn_keypoints_lie_on_parts_of_the_same_look_in_both_images() -> None:
    data = recurring_objects(4, 7)
    assert data.units == ((0,), (1,), (2,), (3,))
    for pair in data.pairs:
        pictures = [np.asarray(data.images.samples[row].open_image()) for row in pair.images]
        colours = [
            [tuple(picture[round(y), round(x)]) for x, y in points]
            for picture, points in zip(pictures, (pair.points, pair.truths), strict=True)
        ]
        assert len(pair.points) == 5
        for source, target in zip(*colours, strict=True):
            assert np.abs(np.subtract(source, target, dtype=float)).max() <= 12
            assert (
                min(np.abs(np.subtract(source, known, dtype=float)).max() for known in COLOURS.values()) <= 12
            )
        scale = np.ptp(pair.truths, axis=0) / np.ptp(pair.points, axis=0)
        assert scale[0] == pytest.approx(scale[1])
        assert 0.9 * SIDES[0] <= pair.side <= SIDES[1]


def test_a_drawn_pair_does_not_depend_on_how_many_there_are() -> None:
    few, more = recurring_objects(1, 7), recurring_objects(2, 7)
    assert few.images.samples[0].image == more.images.samples[0].image
    assert few.pairs[0].truths.tolist() == more.pairs[0].truths.tolist()
    assert recurring_objects(1, 8).pairs[0].truths.tolist() != few.pairs[0].truths.tolist()
