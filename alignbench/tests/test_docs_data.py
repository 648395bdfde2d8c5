"""The page about data, to the letter: its recipes are read, and its tables are those of the code."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from alignbench import Session, paths
from alignbench.config import load_config
from alignbench.datasets import DATASETS, READERS, columns, load_dataset, load_mixed
from alignbench.datasets.columns import choose_columns
from alignbench.datasets.reading import ANY
from alignbench.errors import DataError
from alignbench.options import OPTIONS
from alignbench.tests.data_files import png

if TYPE_CHECKING:
    from alignbench.datasets import Dataset, Sample

PAGE = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
README = Path(__file__).parents[2] / "README.md"
IMAGES = (".jpg", ".png")
TEA, DOG, BUS = "Two cups of tea.", "A dog runs along the beach.", "A red bus."
# Recipe -> for each of its commands: the reader, and image -> (type, texts).
EXPECTED: dict[str, list[tuple[str, dict[str, tuple[str, set[str]]]]]] = {
    "CSV and TSV": [
        (
            "table",
            {
                "a.jpg": ("outdoor", {DOG}),
                "b.jpg": ("indoor", {"Two cups of tea, both full."}),
                "c.jpg": ("outdoor", {BUS}),
            },
        ),
        ("table", {"a.jpg": ("holidays", {DOG}), "b.jpg": ("home", {TEA})}),
    ],
    "Flickr8k and Flickr30k": [
        (
            "table",
            {
                "1000.jpg": ("all", {"A child climbs the stairs .", "A girl goes into a house ."}),
                "1001.jpg": ("all", {"Two dogs play .", "Dogs on the road ."}),
            },
        )
    ],
    "JSON lines, and the Hub's metadata.jsonl": [
        ("table", {"a.jpg": ("all", {DOG}), "b.jpg": ("all", {TEA})})
    ],
    "COCO captions": [
        (
            "coco",
            {
                "9": ("all", {"A plate of food."}),
                "25": ("all", {"A giraffe eats leaves.", "Two giraffes under a tree."}),
            },
        )
    ],
    "LLaVA and ShareGPT4V": [("llava", {"000": ("all", {TEA}), "001": ("all", {"A red bus at a stop."})})],
    "Conversations: messages": [
        (
            "messages",
            {"a": ("chart", {"Sales by month, highest in May.", "Monthly sales with their peak in May."})},
        )
    ],
    "A folder of images": [
        (
            "imagefolder",
            {
                "indoor/c.jpg": ("indoor", {TEA}),
                "outdoor/a.jpg": ("outdoor", {DOG, "A brown dog by the sea."}),
                "outdoor/b.jpg": ("outdoor", {BUS}),
            },
        )
    ],
    "WebDataset": [("webdataset", {"a": ("all", {DOG}), "b": ("all", {TEA})})],
    "Parquet and Arrow": [("table", {"1": ("all", {DOG}), "2": ("all", {TEA})})] * 2,
    "Hugging Face datasets": [
        ("datasets", {"1": ("all", {DOG}), "2": ("all", {TEA})}),
        ("hf", {"1": ("cup", {DOG}), "2": ("dog", {TEA})}),
    ],
    "A label file for each type": [("tree", {"r1.jpg": ("receipt", {"Tea."})})],
}


def recipes() -> dict[str, str]:
    """Return title -> text of each recipe."""
    text = PAGE.split("\n## Recipes\n")[1].split("\n## ")[0]
    _, *parts = re.split(r"^### (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def blocks(text: str, kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [content for of, content in found if of == kind]


def write_files(text: str, folder: Path) -> None:
    """Write the files that a recipe lists: drawings, and the contents that follow a file's name."""
    contents = dict(re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    contents |= dict(zip(("alignbench.yaml",), blocks(text, "yaml"), strict=False))
    listed = [name for listing in blocks(text, "text") for name in listing.split()]
    for number, name in enumerate([*listed, *(name for name in contents if name not in listed)]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in IMAGES:
            Image.new("RGB", (40, 30), (number * 40, 90, 200)).save(path)
        else:
            path.write_text(unfolded(name, contents[name]), encoding="utf-8")


def unfolded(name: str, content: str) -> str:
    """Return a file's content; the page shows a long line of JSON on several lines."""
    is_folded = name.endswith(".jsonl") and not content.partition("\n")[0].endswith("}")
    return content.replace("\n", "") + "\n" if is_folded else content


def commands(text: str) -> list[dict[str, Any]]:
    """Return the options of each command, as pytest and `alignbench` spell them."""
    parser = argparse.ArgumentParser()
    for option in OPTIONS:
        settings = option.settings()
        if option.is_list:
            settings |= {"action": "extend", "nargs": "+"}
        flags = dict.fromkeys((option.flag, option.short_flag))
        parser.add_argument(*flags, dest=option.name, **settings)
    lines = [line for block in blocks(text, "") for line in block.splitlines()]
    assert all(line.startswith(("pytest benchmarks/ ", "alignbench ")) for line in lines)
    found = [vars(parser.parse_known_args(shlex.split(line, comments=True))[0]) for line in lines]
    return [{name: value for name, value in of.items() if value is not None} for of in found]


def from_the_hub(name: str, *_: object, split: str, revision: str, streaming: bool, **__: object) -> Any:
    """What the library gives for `hf:org/name@main#validation`, without a network."""
    import datasets

    assert (name, split, revision, streaming) == ("org/name", "validation", "main", True)
    features = datasets.Features(
        image=datasets.Image(), text=datasets.Value("string"), label=datasets.ClassLabel(names=["cup", "dog"])
    )
    images = [{"bytes": Path(file).read_bytes(), "path": None} for file in ("a.jpg", "b.jpg")]
    rows = {"image": images, "text": [DOG, TEA], "label": [0, 1]}
    return datasets.Dataset.from_dict(rows, features=features).to_iterable_dataset()


def understood(data: Dataset) -> dict[str, tuple[str, set[str]]]:
    return {_named(sample): (sample.data_type, set(sample.texts)) for sample in data.samples}


def _named(sample: Sample) -> str:
    """The sample's id, or the number of its row if it is named after the content of its image."""
    unnamed = sample.id == f"image-{sample.image_digest[:12]}"
    return str(sample.row + 1) if unnamed and sample.row is not None else sample.id


def test_each_recipe_of_the_page_is_tested() -> None:
    assert list(recipes()) == list(EXPECTED)


def test_the_line_of_a_conversation_says_what_the_page_says(tmp_path: Path) -> None:
    write_files(recipes()["Conversations: messages"], tmp_path)
    (sample,) = load_mixed(None, root=tmp_path / "mine").samples
    assert sample.question == "What does the chart show?"
    assert sample.exchanges == (("Which kind?", "A bar chart."),)


@pytest.mark.parametrize("title", EXPECTED)
def test_a_recipe_is_read_as_the_page_says(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = recipes()[title]
    if "pyarrow" in text or "datasets" in text:
        import datasets

        monkeypatch.setattr(datasets, "load_dataset", from_the_hub)
    monkeypatch.chdir(tmp_path)
    write_files(text, tmp_path)
    for code in blocks(text, "python"):
        exec(code, {})
    for code in blocks(text, "sh"):
        subprocess.run(["sh", "-ec", code], check=True, cwd=tmp_path)
    found = commands(text)
    assert len(found) == len(EXPECTED[title])
    for options, (reader, samples) in zip(found, EXPECTED[title], strict=True):
        data = Session(encoders="mini-clip", llms="mini-llama", **options).dataset
        assert understood(data) == samples
        assert data.dropped == ()
        how = "from the Hugging Face Hub" if reader == "hf" else f"read as {reader}: it has "
        assert how in data.origin


def test_the_python_of_the_page_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(recipes()["CSV and TSV"], tmp_path)
    session, loading = (code for code in blocks(PAGE, "python") if '"captions.csv"' in code)
    names: dict[str, Any] = {}
    exec(session, names)
    assert len(names["session"].dataset) == 3
    exec(loading, names)
    assert len(names["outdoor"]) == 2
    assert names["untyped"].data_types == ("all",)
    assert len(names["images"]) == len(names["texts"]) == 3
    assert "read as table" in capsys.readouterr().out


def test_the_tables_of_the_page_are_those_of_the_code() -> None:
    for name in READERS:
        assert f"| `{name}` | {READERS.get(name).summary} |\n" in PAGE
    reading = ANY.reading(load_config(), None)
    table = PAGE.split("\n## Columns\n")[1].split("\n## ")[0]
    for role in ("image", "text", "question", "type", "group", "id"):
        (listed,) = re.findall(rf"^\| `{role}` \| (.*) \|$", table, re.MULTILINE)
        names = re.findall(r"`(\w+)`", listed)
        known = columns.USUAL_NAMES[role] + (columns.OTHER_TEXT if role == "text" else ())
        assert names == list(known)
        for name in names:
            chosen = choose_columns([name.upper()], reading)
            assert name.upper() in (chosen.texts if role == "text" else (getattr(chosen, role),))


def test_the_readme_has_a_command_for_each_format() -> None:
    text = README.read_text(encoding="utf-8").split("\n## Your data\n")[1].split("\n## ")[0]
    anchors = re.findall(r"\(alignbench/docs/data\.md#([\w-]+)\)", text)
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    assert set(anchors) <= {anchor(heading) for heading in headings}
    assert {anchor(title) for title in EXPECTED} <= set(anchors)


def test_links_within_the_page_lead_somewhere() -> None:
    headings = {anchor(heading) for heading in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= headings


def anchor(heading: str) -> str:
    """Return the name that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


[READER] = [code for code in blocks(PAGE, "python") if code.startswith("# conftest.py: photos.sqlite")]
[DIGITS] = [code for code in blocks(PAGE, "python") if code.startswith("# conftest.py: the digits")]


def write_database(folder: Path) -> None:
    import sqlite3
    from contextlib import closing

    for i, name in enumerate("abc"):
        (folder / f"{name}.png").write_bytes(png((i * 70, 10, 10)))
    with closing(sqlite3.connect(folder / "photos.sqlite")) as database, database:
        database.execute("CREATE TABLE photos (name, caption, kind)")
        rows = [
            ("a.png", "dark", "old"),
            ("b.png", "red", "new"),
            ("c.png", "bright", "new"),
            ("d.png", "?", "new"),
        ]
        database.executemany("INSERT INTO photos VALUES (?, ?, ?)", rows)


def check_database(data: Dataset) -> None:
    assert understood(data) == {
        "a.png": ("old", {"dark"}),
        "b.png": ("new", {"red"}),
        "c.png": ("new", {"bright"}),
    }
    (lacking,) = data.dropped
    assert lacking.where == "row 4"
    assert lacking.reason.startswith("image 'd.png': no such file in ")
    assert "read as sqlite: it has the ending .sqlite" in data.origin


def test_a_reader_of_twenty_lines_reads(tmp_path: Path) -> None:
    assert len(READER.splitlines()) <= 20
    write_database(tmp_path)
    with pytest.raises(DataError, match="no reader recognises it"):
        load_dataset(tmp_path / "photos.sqlite")
    exec(READER, {})
    try:
        check_database(load_dataset(tmp_path / "photos.sqlite"))
        check_database(load_mixed(root=f"sqlite:{tmp_path / 'photos.sqlite'}"))
    finally:
        READERS.remove("sqlite")


@pytest.mark.slow
@pytest.mark.parametrize("by", ["conftest", "entry point"])
def test_a_reader_of_a_conftest_or_a_package_serves_a_run(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(paths.benchmarks().parent))
    write_database(tmp_path)
    if by == "conftest":
        (tmp_path / "conftest.py").write_text(READER, encoding="utf-8")
    else:
        code = READER.partition("READERS.add")[0]
        (tmp_path / "mine.py").write_text(code, encoding="utf-8")
        info = tmp_path / "mine-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(
            "[alignbench.readers]\nsqlite = mine:SQLITE\n", encoding="utf-8"
        )
    words = ["layers", "--data", "photos.sqlite", "--encoders", "mini-clip", "--llms", "mini-llama"]
    line = [sys.executable, "-m", "alignbench", *words, "--permutations", "19"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "read as sqlite: it has the ending .sqlite" in done.stdout, done.stdout + done.stderr
    assert "row 4" in done.stdout


def test_the_named_dataset_of_the_page_loads() -> None:
    exec(DIGITS, {})
    try:
        data = load_dataset("digits", n_per_type=100)
        assert len(data) == len({sample.group for sample in data.samples}) == 100
        assert Counter(sample.data_type for sample in data.samples) == {"digit": 100}
    finally:
        DATASETS.remove("digits")
