"""Names of data types: the reserved word is refused wherever a name comes in, and names don't collide."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench import score_arrays
from alignbench.config import load_config
from alignbench.datasets import DATASETS, Dataset, Sample, load_dataset, load_mixed
from alignbench.datasets.arrays import read_labels, rows_dataset
from alignbench.datasets.samples import with_unique_ids
from alignbench.datasets.synthetic.source import FAMILIES
from alignbench.datatypes import ALL, RESERVED, check_free, check_type, check_unmixed
from alignbench.errors import AlignbenchError, ConfigError, DataError, InputError
from alignbench.session.runfolder import RunFolder, file_stem
from alignbench.tests.data_files import charts_and_tables, line, make_root, png
from alignbench.tests.toys import RECORD, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


WHY = "scores over all types are filed under it"


def in_a_folder(root: Path) -> object:
    """An image's first folder, the only one."""
    return load_mixed(None, root=make_root(root, [line("all/a.png")], {"all/a.png": png()}))


def in_a_tree(root: Path) -> object:
    (root / "alignbench.yaml").write_text("data:\n  all: {labels: a.jsonl, images: a}\n")
    return load_config(root / "alignbench.yaml")


def in_labels_of_arrays(root: Path) -> object:
    (root / "labels.txt").write_text("chart\nall\n")
    return read_labels(root / "labels.txt", 2)


def in_labels_of_an_npy_file(root: Path) -> object:
    np.save(root / "labels.npy", np.array(["all", "all"]))
    return read_labels(root / "labels.npy", 2)


def in_the_types_asked_for(root: Path) -> object:
    return load_mixed(1, ["all"], root=charts_and_tables(root, n=1))


def in_scored_arrays(labels: list[str]) -> Callable[[Path], object]:
    def score(root: Path) -> object:
        x, y = np.random.default_rng(0).standard_normal((2, 10, 3))
        return score_arrays(x, y, labels=labels)

    return score


def in_a_registered_dataset(*types: str) -> Callable[[Path], object]:
    def load(root: Path) -> object:
        samples = tuple(Sample(str(i), png((i, 0, 0)), ("a",), kind) for i, kind in enumerate(types))
        DATASETS.add("mine", lambda **options: Dataset("mine", samples, "here"))
        try:
            return load_dataset("mine")
        finally:
            DATASETS.remove("mine")

    return load


ENTRANCES: dict[str, Callable[[Path], object]] = {
    "a folder of images": in_a_folder,
    "a tree of the configuration": in_a_tree,
    "a file of labels": in_labels_of_arrays,
    "an array of labels": in_labels_of_an_npy_file,
    "types asked for": in_the_types_asked_for,
    "some labels of scored arrays": in_scored_arrays(["all", *"aabbccdde"]),
    "all labels of scored arrays": in_scored_arrays(["all"] * 10),
    "a registered dataset": in_a_registered_dataset("chart", "all"),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_the_reserved_word_is_refused_at_every_entrance(entrance: str, tmp_path: Path) -> None:
    with pytest.raises(AlignbenchError, match=WHY) as caught:
        ENTRANCES[entrance](tmp_path)
    assert "'all'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_the_reserved_name_costs_its_own_rows_only(tmp_path: Path) -> None:
    images = {"all/a.png": png((1, 1, 1)), "chart/b.png": png((2, 2, 2))}
    dataset = load_mixed(None, root=make_root(tmp_path, [line("all/a.png"), line("chart/b.png")], images))
    assert dataset.data_types == ("chart",)
    [dropped] = dataset.dropped
    assert dropped.reason == (
        f"image 'all/a.png': its folder 'all' can't be the name of a data type: {WHY}; name it otherwise"
    )


def test_a_pair_has_types_or_has_none() -> None:
    from alignbench.tests.pairs import make_pair

    pair = make_pair(n=6)
    assert replace(pair, labels=(ALL,) * 6).labels == (ALL,) * 6
    with pytest.raises(InputError, match=f"data types 'all' and 'chart': 'all' is reserved: {WHY}"):
        replace(pair, labels=(ALL, *("chart",) * 5))


def test_rows_of_arrays_without_labels_are_of_one_unnamed_type() -> None:
    assert rows_dataset(3, "here").data_types == (ALL,)
    with pytest.raises(DataError, match=r"'all' and 'chart'"):
        rows_dataset(3, "here", labels=["chart", ALL, ALL])


@pytest.mark.parametrize("option", ["--data-types=all", "--data-types=chart,all"])
def test_the_option_of_types_says_how_to_take_all(project: pytest.Pytester, option: str) -> None:
    project.makepyfile(RECORD)
    result = run(project, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: --data-types: 'all' is reserved: {WHY}; leave the option out to take all"]
    )


@pytest.mark.parametrize("name", ["", "a,b", " a", "a ", "a\n", "\x1b[2J", "x" * 65, *RESERVED])
def test_a_name_that_no_option_can_say_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="can't be the name of a data type"):
        check_type(name)


@pytest.mark.parametrize("name", ["chart", "All", "ALL", "overall", "차트", "two words", "x" * 64, "a/b"])
def test_other_names_are_free(name: str) -> None:
    assert check_type(name) == check_free(name) == name
    check_unmixed([name, "chart"])


def test_no_drawing_has_a_reserved_name() -> None:
    assert not {name for family in FAMILIES.values() for name in family} & set(RESERVED)


def test_a_registered_dataset_gets_its_groups_and_is_looked_at() -> None:
    def mine(**options: Any) -> Any:
        return made

    DATASETS.add("mine", mine)
    try:
        made: Any = Dataset(
            "mine", tuple(Sample(str(i), png((i // 2, 0, 0)), (f"{i}",), "chart") for i in range(4)), "here"
        )
        groups = [sample.group for sample in load_dataset("mine").samples]
        assert groups[0] == groups[1] != groups[2] == groups[3]
        made = list(made.samples)
        with pytest.raises(
            DataError, match=r"'mine': expected a Dataset from its function, got list; return "
        ):
            load_dataset("mine")
    finally:
        DATASETS.remove("mine")


def test_two_samples_with_one_id_are_refused() -> None:
    samples = tuple(Sample(name, png(), ("a",), "chart") for name in ("a", "b", "a"))
    with pytest.raises(DataError, match="dataset mine: 2 samples have the id 'a'"):
        Dataset("mine", samples, "here")


@pytest.mark.parametrize("wordings", ["draw", "all"])
def test_ids_made_unique_meet_no_id_of_the_data(tmp_path: Path, wordings: Any) -> None:
    names = ["a", "a", "chart/a", "chart/a#2", "b", "b~0", "a"]
    images = {f"chart/{i}.png": png((i, 0, 0)) for i in range(len(names))}
    lines = [
        line(f"chart/{i}.png", f"text {i}", id=name, wordings=[f"other {i}"] if name == "b" else ())
        for i, name in enumerate(names)
    ]
    dataset = load_mixed(None, root=make_root(tmp_path, lines, images), wordings=wordings)
    ids = [sample.id for sample in dataset.samples]
    assert len(set(ids)) == len(ids) == len(names) + (wordings == "all")
    assert {"chart/a", "chart/a#2"} <= set(ids)
    assert dataset.samples[2].id == "chart/a"  # who came with it alone keeps it


def test_names_that_were_unique_by_type_and_count_stay_as_they_were() -> None:
    samples = [Sample("a", None, (), kind) for kind in ("chart", "chart", "table")]
    named = with_unique_ids(samples)
    assert [sample.id for sample in named] == ["chart/a", "chart/a#2", "table/a"]


ALIKE = [
    ("coral-a b~c", "coral-a_b~c"),
    ("coral-a/b~c", "coral-a:b~c"),
    ("coral-A~c", "coral-a~c"),
    ("coral-ViT~c", "coral-VIT~c"),
    ("coral-\u00e9~c", "coral-e\u0301~c"),
    ("coral-" + "x" * 300 + "~c", "coral-" + "x" * 300 + "~d"),
    ("coral-" + "\ud55c" * 100 + "~c", "coral-" + "\ud55c" * 100 + "~d"),
]


@pytest.mark.parametrize("names", ALIKE)
def test_artifacts_of_models_with_like_names_are_apart_on_every_system(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    folder = RunFolder(tmp_path)
    files = [folder.write_artifact(name, {"value": np.array(i)}) for i, name in enumerate(names)]
    assert files == [f"artifacts/{file_stem(name)}.npz" for name in names]
    assert len({file.casefold() for file in files}) == 2
    for i, file in enumerate(files):
        with np.load(tmp_path / file) as arrays:
            assert arrays["value"] == i
        assert file.startswith("artifacts/coral-")
        assert len((tmp_path / file).name.encode()) < 200


def test_a_plain_name_stays_that_of_its_file() -> None:
    assert file_stem("coral-mini-clip~mini-llama") == "coral-mini-clip~mini-llama"


def test_a_type_of_the_configuration_is_checked_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "alignbench.yaml").write_text("data:\n  'a,b': {labels: a.jsonl, images: a}\n")
    with pytest.raises(ConfigError, match=r"alignbench\.yaml: data: 'a,b' can't be the name of a data type"):
        load_config(tmp_path / "alignbench.yaml")
