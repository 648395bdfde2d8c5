"""Which data is taken: the order of roots, the two layouts, the names of `--align-dataset`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alignbench.config import Config, DataSource, load_config
from alignbench.datasets import DATASETS, Dataset, Layout, Sample, load_dataset, load_mixed, load_samples
from alignbench.errors import ConfigError, DataError, UnknownNameError
from alignbench.tests.data_files import charts_and_tables, line, make_root, png


@pytest.fixture(autouse=True)
def _no_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VLM_DATA_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def config() -> Config:
    return load_config()


def tree(root: Path, types: dict[str, DataSource], rows: int = 3) -> Path:
    """A root with a label file and an image folder for each type."""
    for kind, at in types.items():
        labels, images = root / at.labels, root / at.images
        labels.parent.mkdir(parents=True, exist_ok=True)
        (images / "sub").mkdir(parents=True)
        for i in range(rows):
            (images / f"sub/{i}.png").write_bytes(png((i, len(kind), ord(kind[0]))))
        labels.write_text(
            "\n".join(line(f"sub/{i}.png", f"{kind} {i} 번") for i in range(rows)), encoding="utf-8"
        )
    return root


def test_the_argument_comes_first_then_the_variable_then_the_config_then_the_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Config
) -> None:
    roots = {name: charts_and_tables(tmp_path / name, n=1) for name in ("argument", "variable", "config")}
    configured = replace(config, data_root=roots["config"])

    assert load_mixed(1, config=config).name == "sample_data"
    assert load_mixed(1, config=config).origin == "the packaged samples"
    sampled = replace(config, sample_dir=charts_and_tables(tmp_path / "samples", n=1))
    from_samples = load_mixed(1, config=sampled)
    how = "read as messages: it has a labels.jsonl"
    assert from_samples.origin == f"{tmp_path / 'samples'} (data.sample_dir of the configuration; {how})"
    configured = replace(configured, sample_dir=sampled.sample_dir)
    from_config = load_mixed(1, config=configured)
    assert from_config.origin == f"{roots['config']} (data_root of the configuration; {how})"
    monkeypatch.setenv("VLM_DATA_ROOT", str(roots["variable"]))
    assert load_mixed(1, config=configured).origin == f"{roots['variable']} (VLM_DATA_ROOT; {how})"
    argument = load_mixed(1, config=configured, root=roots["argument"])
    assert argument.origin == f"{roots['argument']} (as asked for; {how})"


@pytest.mark.parametrize("how", ["argument", "variable", "config", "samples"])
def test_a_wrong_root_never_falls_through_to_the_next(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Config
) -> None:
    wrong = tmp_path / "typo"
    if how == "variable":
        monkeypatch.setenv("VLM_DATA_ROOT", str(wrong))
    configured = replace(config, data_root=wrong) if how == "config" else config
    configured = replace(config, sample_dir=wrong) if how == "samples" else configured
    with pytest.raises(DataError, match=r"typo \(.*no such folder"):
        load_mixed(1, config=configured, root=wrong if how == "argument" else None)


def test_a_folder_without_data_names_the_readers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no reader recognises it; it holds nothing.*messages, llava, coco"):
        load_mixed(1, root=tmp_path)


def test_a_label_file_can_be_named_itself(tmp_path: Path) -> None:
    root = charts_and_tables(tmp_path, n=2)
    assert load_mixed(1, root=root / "labels.jsonl").digest == load_mixed(1, root=root).digest


def test_labels_without_images_are_an_error(tmp_path: Path, config: Config) -> None:
    (tmp_path / "labels.jsonl").write_text(line("chart/a.png"))
    with pytest.raises(DataError, match="no folder images/ beside it"):
        load_mixed(1, root=tmp_path)
    at = config.data["math"]
    root = tree(tmp_path / "tree", {"math": at})
    (root / at.images).rename(root / "moved")
    with pytest.raises(DataError, match=r"not its .*AIHUB_mathproblem_multiple"):
        load_mixed(1, root=root)


def test_the_five_types_of_the_toolkit_are_read_from_their_places(tmp_path: Path, config: Config) -> None:
    assert list(config.data) == ["chart", "table", "visualization", "text", "math"]
    root = tree(tmp_path, dict(config.data))
    dataset = load_mixed(2, root=root)
    assert dataset.data_types == ("chart", "table", "visualization", "text", "math")
    assert len(dataset) == 10
    assert dataset.notes == ()
    (one,) = load_samples("math", 1, root=root).samples
    assert one.text.startswith("math")


def test_types_that_a_tree_lacks_are_said(tmp_path: Path, config: Config) -> None:
    root = tree(tmp_path, {kind: config.data[kind] for kind in ("chart", "text")})
    dataset = load_mixed(1, root=root)
    assert dataset.data_types == ("chart", "text")
    assert [note.split(":")[0] for note in dataset.notes] == ["no table", "no visualization", "no math"]
    with pytest.raises(UnknownNameError, match=r"unknown data type 'math'.* Known: chart, text"):
        load_samples("math", root=root)


def test_a_type_of_ones_own_is_configured_in_the_same_form(tmp_path: Path, config: Config) -> None:
    recipes = DataSource(labels="mine/recipes.jsonl", images="mine/pictures")
    configured = replace(config, data={**config.data, "recipe": recipes})
    dataset = load_mixed(None, root=tree(tmp_path, {"recipe": recipes}), config=configured)
    assert dataset.data_types == ("recipe",)
    assert len(dataset) == 3


def test_a_tree_row_out_of_its_image_folder_is_refused(tmp_path: Path, config: Config) -> None:
    root = tree(tmp_path, {kind: config.data[kind] for kind in ("chart", "text")})
    labels = root / config.data["chart"].labels
    labels.write_text(labels.read_text(encoding="utf-8") + "\n" + line("../AIHUB_x/0.png"), encoding="utf-8")
    dataset = load_samples("chart", root=root)
    assert len(dataset) == 3
    assert "'..' in the path" in dataset.dropped[0].reason


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    charts_and_tables(tmp_path / "data", n=1)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(load_mixed(1, root="~/data")) == 2


def test_the_packaged_samples_are_whole() -> None:
    dataset = load_mixed(None)
    assert {kind: sum(s.data_type == kind for s in dataset.samples) for kind in dataset.data_types} == {
        "chart": 30,
        "document": 30,
        "table": 30,
    }
    assert dataset.dropped == ()
    assert dataset.notes == ()
    assert len({sample.group for sample in dataset.samples}) == 90
    assert load_mixed(30).digest == dataset.digest


def test_a_dataset_goes_by_name_by_folder_or_by_the_order_of_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = charts_and_tables(tmp_path / "mine", n=1)
    assert load_dataset(n_per_type=1).name == "sample_data"
    monkeypatch.setenv("VLM_DATA_ROOT", str(root))
    assert load_dataset(n_per_type=1).name == "mine"
    named = load_dataset("sample_data", n_per_type=1)
    assert (named.name, named.origin) == ("sample_data", "the packaged samples")
    monkeypatch.delenv("VLM_DATA_ROOT")
    assert load_dataset(str(root), n_per_type=1).name == "mine"
    assert load_dataset(root=root, n_per_type=1).name == "mine"


def test_a_dataset_that_is_neither_a_name_nor_a_folder_is_answered_with_the_names() -> None:
    with pytest.raises(UnknownNameError, match=r"'syntetic'.*'synthetic'.*Known: sample_data, synthetic"):
        load_dataset("syntetic")


def test_two_places_at_once_are_refused(tmp_path: Path) -> None:
    root = charts_and_tables(tmp_path / "mine", n=1)
    for spec in (str(root), "sample_data", "synthetic"):
        with pytest.raises(ConfigError, match="root"):
            load_dataset(spec, root=root)


@pytest.mark.slow
def test_synthetic_serves_any_number_without_files() -> None:
    dataset = load_dataset("synthetic", n_per_type=3, types=["chart", "table"], seed=7)
    assert [sample.data_type for sample in dataset.samples] == ["chart"] * 3 + ["table"] * 3
    assert all(sample.group for sample in dataset.samples)
    assert load_dataset("synthetic", n_per_type=3, types=["chart", "table"], seed=7).digest == dataset.digest
    assert load_dataset("synthetic", n_per_type=3, types=["chart"], seed=8).digest != dataset.digest
    questions = load_dataset("synthetic", n_per_type=1, seed=7, text_field="question")
    assert questions.samples[0].texts == (questions.samples[0].question,)


def test_a_third_party_dataset_needs_a_name_and_a_function() -> None:
    def mine(**options: Any) -> Dataset:
        return Dataset(
            "mine", (Sample("1", png(), ("a text",), "chart"),), f"{options['n_per_type']} of mine"
        )

    DATASETS.add("mine", mine)
    try:
        assert load_dataset("mine", n_per_type=5).origin == "5 of mine"
    finally:
        DATASETS.remove("mine")


def test_the_places_in_the_documentation_are_those_of_the_config(config: Config) -> None:
    page = (Path(__file__).parents[1] / "docs/data.md").read_text(encoding="utf-8")
    for kind, at in config.data.items():
        assert f"| {kind} | {at.labels} | {at.images} |" in page


@pytest.mark.slow
def test_importing_datasets_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "PIL.Image", "scipy", "matplotlib", "safetensors", "filelock")
    code = (
        f"import sys, alignbench.datasets, alignbench.embed; print([m for m in {heavy} if m in sys.modules])"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


def test_boxes_beside_the_captions_of_coco_are_no_captions(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.png"}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "train2017").mkdir()
    (tmp_path / "train2017" / "a.png").write_bytes(png())
    for name, said in (("instances", {"bbox": [0, 0, 1, 1]}), ("captions", {"caption": "a box"})):
        content = {"images": [image], "annotations": [{"id": 1, "image_id": 1, **said}]}
        file = tmp_path / "annotations" / f"{name}_train2017.json"
        file.write_text(json.dumps(content), encoding="utf-8")
    data = load_mixed(None, root=tmp_path)
    assert [sample.texts for sample in data.samples] == [("a box",)]
    assert "captions_train2017.json read as coco" in data.origin


def test_a_table_may_be_called_labels_jsonl(tmp_path: Path) -> None:
    root = make_root(tmp_path, ['{"image": "a.png", "caption": "a square"}'], {"a.png": png()})
    data = load_mixed(None, root=root)
    assert [sample.texts for sample in data.samples] == [("a square",)]
    assert "labels.jsonl read as table" in data.origin


def test_images_may_have_a_capital(tmp_path: Path) -> None:
    make_root(tmp_path, [line("a.png", "a square")], {"a.png": png()})
    (tmp_path / "images").rename(tmp_path / "Images")
    assert [sample.texts for sample in load_mixed(None, root=tmp_path).samples] == [("a square",)]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("tabel:mine.csv", "unknown reader 'tabel'. Did you mean 'table'?"),
        (
            "https://example.org/mine.csv",
            "a URL; download it first, or name a data set of the Hub: hf:org/name",
        ),
    ],
)
def test_a_spec_that_names_nothing_says_what_would(
    spec: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("image,caption\na.png,a square\n", encoding="utf-8")
    with pytest.raises((DataError, UnknownNameError)) as error:
        load_mixed(root=spec)
    assert says in str(error.value)


def test_an_image_root_that_is_not_there_is_refused(tmp_path: Path) -> None:
    root = make_root(tmp_path, [line("a.png", "a square")], {"a.png": png()})
    with pytest.raises(ConfigError, match=r"^--align-image-root \S+: no such folder$"):
        load_mixed(root=root, layout=Layout(image_root=tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"txt": ("caption",)}, "columns: unknown role 'txt'. Did you mean 'text'?"),
        ({"text": "caption"}, "columns: text: expected a tuple of names, such as ('caption',)"),
    ],
)
def test_a_layout_has_columns_of_known_roles(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        Layout(columns=given)
    assert str(error.value).startswith(says)
