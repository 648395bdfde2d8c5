"""`alignbench data`: what it says, its contact sheet, and the set that --to writes."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from alignbench.cli import main
from alignbench.datasets import Dataset, Sample, load_mixed
from alignbench.datasets.dataset import SHOWN_TYPES, with_groups
from alignbench.datasets.share import write_messages
from alignbench.errors import DataError, UnwritableError
from alignbench.files import replacing_folder
from alignbench.plots.sheet import Card, contact_sheet, save_sheet
from alignbench.tests.data_files import png
from alignbench.text import display_width

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Said:
    """Runs the command in an empty folder of 80 columns; returns its exit status and what it printed."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*argv: str) -> tuple[int, str, str]:
        status = main(["data", *argv])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def make_table(folder: Path, rows: int = 6, types: int = 2) -> Path:
    """Write captions.csv: two captions an image, a copied image, a copied text, two rows without an image."""
    (folder / "images").mkdir(parents=True)
    lines = [("image", "caption", "type")]
    for i in range(rows):
        (folder / f"images/{i}.png").write_bytes(png((min(i, rows - 2) * 7 % 256, i // 200, 3)))
        text = f"drawing number {max(i, 1)}"
        lines += [
            (f"{i}.png", text, f"t{i % types}"),
            (f"{i}.png", f"another caption of {i}", f"t{i % types}"),
        ]
    lines += [("gone.png", "nothing", "t0"), ("lost.png", "nothing", "t1")]
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return folder / "captions.csv"


def facts(out: str) -> dict[str, str]:
    """Return heading -> what is said under it, on one line."""
    found: dict[str, str] = {}
    heading = ""
    for line in out.splitlines():
        if line[:12].strip():
            heading = line[:12].strip()
        if line:
            found[heading] = " ".join((found.get(heading, "") + " " + line[12:]).split())
    return found


def test_it_says_what_a_run_would_take(said: Said, tmp_path: Path) -> None:
    status, out, err = said(str(make_table(tmp_path / "set")), "--sheet", "none")
    told = facts(out)
    assert (status, err) == (0, "")
    assert "read as table: it has the columns image=image, text=caption, type=type" in told["from"]
    assert told["rows"] == "14 rows; a run takes 6 samples in 4 groups"
    assert told["types"] == "3 t0, 3 t1"
    assert told["texts"] == "2 texts for each image"
    assert told["copies"].startswith("1 image is that of an earlier sample")
    assert told["tokens"] == "mini-llama reads 128 tokens of a text: none is cut"
    assert "2, such as captions.csv:14: image 'gone.png'" in told["unusable"]
    assert told["sample 1"] == "0.png (type t0)"
    assert "12 x 8" in told["image"]
    assert all(display_width(line) <= 80 for line in out.splitlines() if str(tmp_path) not in line)
    assert not list((tmp_path / "here").iterdir())


def test_texts_that_an_llm_would_cut_are_counted(said: Said, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png((1, 2, 3)))
    (tmp_path / "b.png").write_bytes(png((3, 2, 1)))
    rows = f"image,text\na.png,short\nb.png,{'many words ' * 200}\n"
    (tmp_path / "t.csv").write_text(rows, encoding="utf-8")
    _, out, _ = said(str(tmp_path / "t.csv"), "--sheet", "none")
    assert facts(out)["tokens"] == "mini-llama reads 128 tokens of a text: 1 of 2 lose their end"


def test_a_text_without_spaces_is_not_shortened_in_its_middle(said: Said, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    text = "".join(chr(0x4E00 + i) for i in range(90))
    (tmp_path / "t.csv").write_text(f"image,text\na.png,{text}\n", encoding="utf-8")
    _, out, _ = said(str(tmp_path / "t.csv"), "--sheet", "none")
    assert facts(out)["text"].replace(" ", "") == text
    assert all(display_width(line) <= 80 for line in out.splitlines())


def test_the_options_of_data_apply(said: Said, tmp_path: Path) -> None:
    table = str(make_table(tmp_path / "set"))
    given = ("--sheet", "none", "--n-samples", "2", "--type-from", "none", "--seed", "3")
    assert facts(said(table, *given)[1])["types"] == "2 all"
    _, out, _ = said(table, "--sheet", "none", "--data-types", "t1", "--columns", "text=caption")
    assert facts(out)["types"] == "3 t1"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("--sheet", "sheet.jpg"), "--sheet: expected a file that ends in .png"),
        (("--sheet", "nowhere/sheet.png"), "--sheet: there is no folder nowhere"),
        (("--type-from", "column:kind"), "unknown column 'kind'"),
        (("--to", ".."), "is there and not an empty folder"),
        (("--to", "../set/captions.csv/deep/new"), "captions.csv can't be written: there is a file where a"),
    ],
)
def test_errors_are_one_line(said: Said, tmp_path: Path, given: tuple[str, ...], expected: str) -> None:
    status, out, err = said(str(make_table(tmp_path / "set")), *given)
    assert (status, out) == (4, "")
    assert expected in err
    assert err.count("\n") == 1


def test_many_types_have_a_line_together(said: Said, tmp_path: Path) -> None:
    types = SHOWN_TYPES + 2
    table = make_table(tmp_path / "set", rows=2 * types, types=types)
    _, out, _ = said(str(table), "--sheet", "none")
    told = facts(out)
    assert told["types"] == f"{types} types of 2 to 2 samples"
    assert told["note"].endswith(
        f"{types} types: 2 to 2 samples each; 30 were asked for and there are no more"
    )
    lines = load_mixed(root=table).describe()
    assert len(lines) < 8


@pytest.mark.slow
def test_the_sheet_is_a_picture_of_the_samples(said: Said, tmp_path: Path) -> None:
    status, out, _ = said(str(make_table(tmp_path / "set")))
    assert status == 0
    assert facts(out)["sheet"] == "alignbench-data.png"
    with Image.open(tmp_path / "here/alignbench-data.png") as sheet:
        # the colours of the drawings are on it
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 24) or ()}
    assert {(i * 7, 0, 3) for i in range(5)} <= colours


TEXTS = (
    "",
    "short",
    "many words in a long text " * 60,
    "W" * 400,
    "그림은 월별 매출을 나타냅니다 " * 20,
    "مرحبا بالعالم " * 30,
    "e\u0301" * 300,
)


@pytest.mark.parametrize("count", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, len(TEXTS)))])
def test_nothing_on_a_sheet_leaves_its_place(count: int, tmp_path: Path) -> None:
    cards = [
        Card(Image.new("RGB", (40, 400), "red"), "folder/" * 30 + "name.png", "type " * 12, text, 3)
        for text in TEXTS[-count:]
    ]
    figure = contact_sheet(cards, "a title " * 40)
    save_sheet(figure, tmp_path / "sheet.png")
    page = figure.bbox
    boxes = [text.get_window_extent() for text in figure.texts]
    assert len(boxes) > 3 * count
    for box in boxes:
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1 + 1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1
    for i, box in enumerate(boxes):
        for other in boxes[i + 1 :]:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            assert across < 2 or min(box.y1, other.y1) - max(box.y0, other.y0) < 4, "two texts overlap"


def test_a_picture_that_can_not_be_opened_is_named(tmp_path: Path) -> None:
    figure = contact_sheet([Card("image 'a.png': broken", "a.png", "chart", "text")], "one")
    assert [text.get_text() for text in figure.axes[0].texts] == ["image 'a.png': broken"]


@pytest.mark.parametrize("seed", [42, 7])
def test_what_to_writes_is_read_as_the_same_samples(said: Said, tmp_path: Path, seed: int) -> None:
    table = make_table(tmp_path / "set")
    given = ("--sheet", "none", "--n-samples", "2", "--seed", str(seed), "--to", "mine")
    status, out, _ = said(str(table), *given)
    assert status == 0
    was = load_mixed(2, root=table, seed=seed)
    now = load_mixed(None, root=tmp_path / "here/mine", seed=seed)
    assert facts(out)["digest"] == was.digest == now.digest
    assert was.groups == now.groups
    assert [sample.texts for sample in was.samples] == [sample.texts for sample in now.samples]
    assert not now.dropped
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["mine"]


def rich() -> Dataset:
    samples = [
        Sample("a/b.png", png((1, 1, 1)), ("one", "two", "three"), "bar/chart", question="What?"),
        Sample("A/B.PNG", png((2, 1, 1)), ("four",), "bar_chart", exchanges=(("Why?", "So."), ("", "More."))),
        Sample("ㄱ 그림", png((3, 1, 1)), ("다섯\nlines",), "사진"),
        Sample("copy", png((1, 1, 1)), ("six",), "사진"),
    ]
    return Dataset("rich", with_groups(samples), "here")


def test_questions_exchanges_and_odd_names_survive(tmp_path: Path) -> None:
    dataset = rich()
    write_messages(dataset, tmp_path / "out", seed=42)
    back = load_mixed(None, root=tmp_path / "out")
    assert back.digest == dataset.digest
    assert back.groups == dataset.groups
    assert [(s.question, s.exchanges) for s in back.samples] == [
        (s.question, s.exchanges) for s in dataset.samples
    ]
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png"))
    assert len({file.casefold() for file in files}) == 4


def test_samples_that_would_be_read_as_others_are_refused(tmp_path: Path) -> None:
    odd = Sample("a", png(), ("see <im<image>age> here",), "chart")
    with pytest.raises(DataError, match=r"written set|another one"):
        write_messages(Dataset("odd", with_groups([odd]), "here"), tmp_path / "out", seed=42)
    bare = Sample("a", png(), (), "chart")
    with pytest.raises(DataError, match="'a' has no text"):
        write_messages(Dataset("bare", with_groups([bare]), "here"), tmp_path / "out", seed=42)
    assert not list(tmp_path.iterdir())


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail() -> None:
        with replacing_folder(tmp_path / "out") as place:
            (place / "labels.jsonl").write_text("{}", encoding="utf-8")
            assert not (tmp_path / "out").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    with replacing_folder(tmp_path / "out") as place:
        (place / "a").write_text("a", encoding="utf-8")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
    with pytest.raises(UnwritableError, match="not empty"), replacing_folder(tmp_path / "out"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_images_without_texts_are_shown(said: Said, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for i in range(3):
        (tmp_path / f"photos/{i}.png").write_bytes(png((i, 2, 3)))
    status, out, _ = said(str(tmp_path / "photos"))
    assert status == 0
    assert facts(out)["texts"] == "none"
    assert "tokens" not in facts(out)
    status, _, err = said(str(tmp_path / "photos"), "--sheet", "none", "--to", "mine")
    assert status == 4
    assert "has no text: a messages set has pairs of an image and a text" in err
    assert not (tmp_path / "here/mine").exists()


def test_readers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "readers"]) == 0
    out = capsys.readouterr().out
    assert "coco" in out
    assert "webdataset" in out
