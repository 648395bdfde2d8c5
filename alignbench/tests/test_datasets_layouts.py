"""The same drawings in the 18 layouts that people have: the same samples, types, draws and scores."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import alignbench as ab
from alignbench.datasets import Dataset, Sample, load_mixed
from alignbench.datasets.dataset import with_groups
from alignbench.datasets.reading import Layout
from alignbench.tests import data_layouts
from alignbench.tests.data_layouts import COUNT, LAYOUTS, SEVERAL, TREE_TYPES, Drawing, drawings, one_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

ALL = list(LAYOUTS)
# Layouts in which a drawing is a file of the same name; llava and sharegpt4v, llama_factory and karpathy name
# it with a folder, the others hold its bytes.
SAME_NAMES = (
    *("messages", "openai", "coco", "flickr_captions", "flickr_tokens", "csv_table", "metadata"),
    *("sidecars", "webdataset", "tree"),
)
SHUFFLED = ("messages", "csv_table", "flickr_captions", "parquet", "saved", "webdataset", "llava", "coco")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What to point at in each layout, with one text an image."""
    made = {}
    for name, write in LAYOUTS.items():
        made[name] = write(tmp_path_factory.mktemp("layouts") / name, one_text(drawings()))
    return made


@pytest.fixture(scope="module")
def scores() -> list[Any]:
    """The scores of the drawings that were in no file."""
    samples = [
        Sample(id=one.stem, image=one.content, texts=(one.text,), data_type="all", group="")
        for one in drawings()
    ]
    return scores_of(Dataset(name="drawings", samples=with_groups(samples), origin="memory"))


def scores_of(data: Dataset | str, **options: Any) -> list[Any]:
    """All scores of an experiment on a data set, but for the name of the data set."""
    models: dict[str, Any] = {"encoders": "mini-clip", "llms": "mini-llama", "permutations": 19}
    session = ab.Session(data=data, **models, **options)
    return [replace(score, dataset="") for score in session.run("cka").scores]


def options(name: str, at: Path, type_from: str | None = "none") -> dict[str, Any]:
    """The options without which a layout can't be read."""
    root = at / "Flicker8k_Dataset" if name == "flickr_tokens" else None
    return {"type_from": type_from, "image_root": root}


def load(
    name: str, at: Path, n: int | None = None, type_from: str | None = "none", **further: Any
) -> Dataset:
    return load_mixed(n, root=str(at), layout=Layout(**options(name, at, type_from)), **further)


def in_layout(name: str, folder: Path, of: Sequence[Drawing]) -> Path:
    at: Path = LAYOUTS[name](folder, of)
    return at


def content(dataset: Dataset) -> list[tuple[str, tuple[str, ...]]]:
    return [(sample.image_digest, sample.texts) for sample in dataset.samples]


def expected(of: Iterable[Drawing]) -> list[tuple[str, tuple[str, ...]]]:
    return [(hashlib.sha256(one.content).hexdigest(), one.texts) for one in of]


def texts_of(dataset: Dataset) -> dict[str, set[str]]:
    """Image digest -> its texts."""
    found: dict[str, set[str]] = {}
    for sample in dataset.samples:
        found.setdefault(sample.image_digest, set()).update(sample.texts)
    return found


def test_there_are_eighteen_layouts_of_forty_drawings_that_all_differ() -> None:
    assert len(LAYOUTS) == 18
    assert len({one.content for one in drawings()}) == len({one.text for one in drawings()}) == COUNT == 40


@pytest.mark.parametrize("name", ALL)
def test_a_layout_gives_every_image_with_its_text_in_order(name: str, written: dict[str, Path]) -> None:
    dataset = load(name, written[name])
    assert content(dataset) == expected(one_text(drawings()))
    assert dataset.dropped == ()
    assert dataset.rows == COUNT
    assert dataset.n_groups == COUNT
    assert dataset.data_types == ("all",)
    assert len({sample.id for sample in dataset.samples}) == COUNT


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_scores_are_the_same_to_the_last_bit(name: str, written: dict[str, Path], scores: list[Any]) -> None:
    found = scores_of(str(written[name]), n_samples="all", **options(name, written[name]))
    assert {score.n for score in found} == {COUNT}
    assert found == scores


@pytest.mark.parametrize(
    ("name", "types", "type_from"),
    [
        ("csv_table", None, None),
        ("tsv_base64", None, None),
        ("class_folders", None, None),
        ("parquet", None, None),
        ("webdataset", None, None),
        ("saved", None, "column:label"),
        ("parquet", None, "column:type"),
        ("tree", TREE_TYPES, None),
        ("class_folders", None, "folder"),
        ("llava", ["00000"], "folder"),
        ("sharegpt4v", ["coco"], "folder"),
        ("karpathy", ["val2014"], "folder"),
        ("llava", ["all"], None),
        ("sharegpt4v", ["all"], None),
        ("karpathy", ["all"], None),
        ("coco", ["all"], None),
        ("sidecars", ["all"], None),
    ],
)
def test_types_are_what_the_layout_says(
    name: str, types: Sequence[str] | None, type_from: str | None, written: dict[str, Path]
) -> None:
    dataset = load(name, written[name], type_from=type_from)
    if types is None:
        assert dataset.labels == tuple(one.kind for one in drawings())
    else:
        assert dataset.labels == tuple(types[i * len(types) // COUNT] for i in range(COUNT))


def test_the_first_folder_of_an_image_is_its_type_in_messages(tmp_path: Path) -> None:
    of = [one._replace(name=f"{one.kind}/{one.name}") for one in one_text(drawings())]
    dataset = load("messages", in_layout("messages", tmp_path, of), type_from=None)
    assert dataset.labels == tuple(one.kind for one in of)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_draw_takes_the_same_images_wherever_they_have_the_same_names(
    seed: int, written: dict[str, Path]
) -> None:
    draws = {name: content(load(name, written[name], 10, seed=seed)) for name in SAME_NAMES}
    assert len(draws["messages"]) == 10
    assert draws == dict.fromkeys(SAME_NAMES, draws["messages"])


@pytest.mark.parametrize("name", ["tsv_base64", "parquet", "saved"])
def test_a_draw_by_content_is_ten_of_the_forty(name: str, written: dict[str, Path]) -> None:
    drawn = content(load(name, written[name], 10))
    assert len(drawn) == 10
    assert set(drawn) < set(expected(one_text(drawings())))


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", SHUFFLED)
def test_a_draw_does_not_depend_on_the_order_of_the_rows(tmp_path: Path, name: str, several: bool) -> None:
    of = list(drawings() if several and name in SEVERAL else one_text(drawings()))
    drawn = texts_of(load(name, in_layout(name, tmp_path / "in order", of), 10))
    for seed in range(3):
        shuffled = random.Random(seed).sample(of, len(of))
        assert texts_of(load(name, in_layout(name, tmp_path / str(seed), shuffled), 10)) == drawn


@pytest.mark.parametrize("name", SEVERAL)
def test_all_texts_of_an_image_are_found(tmp_path: Path, name: str) -> None:
    at = in_layout(name, tmp_path, drawings())
    dataset = load(name, at)
    assert len(dataset) == COUNT
    assert texts_of(dataset) == {digest: set(texts) for digest, texts in expected(drawings())}
    assert dataset.dropped == ()


@pytest.mark.parametrize("name", SEVERAL)
def test_each_wording_can_be_a_sample_of_its_own_in_its_image_s_group(tmp_path: Path, name: str) -> None:
    dataset = load(name, in_layout(name, tmp_path, drawings()), wordings="all")
    assert sorted(content(dataset)) == sorted(
        (digest, (text,)) for digest, texts in expected(drawings()) for text in texts
    )
    assert dataset.n_groups == COUNT
    groups: dict[str, set[str]] = {}
    for sample in dataset.samples:
        groups.setdefault(sample.image_digest, set()).add(sample.group)
    assert {len(names) for names in groups.values()} == {1}


def test_numbered_columns_are_wordings(tmp_path: Path) -> None:
    data_layouts.sidecars(tmp_path / "images", drawings())
    rows = [("image", "caption_0", "caption_1"), *((one.name, *one.texts) for one in drawings())]
    dataset = load("csv", data_layouts.write_csv(tmp_path / "pairs.csv", rows))
    assert texts_of(dataset) == {digest: set(texts) for digest, texts in expected(drawings())}


def test_images_of_one_name_in_two_archives_are_two_images(tmp_path: Path) -> None:
    first, second = one_text(drawings())[:2]
    data_layouts.write_tar(tmp_path / "a-0.tar", [first._replace(name="000000.png")])
    data_layouts.write_tar(tmp_path / "a-1.tar", [second._replace(name="000000.png")])
    for n in (None, 2):
        assert content(load("tar", tmp_path, n)) == expected([first, second])
    (only,) = content(load("tar", tmp_path, 1))
    assert only in expected([first, second])
