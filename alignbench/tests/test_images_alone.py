"""Images without any text: they load, one side is scored, and the rest says that there are no texts."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.datasets import Layout, Sample, load_mixed
from alignbench.datasets.dataset import NO_TEXTS, Dataset, all_wordings, get_images_and_texts
from alignbench.datasets.draw import draw_samples
from alignbench.datasets.row import Row
from alignbench.errors import DataError, UnknownNameError
from alignbench.experiments.base import NotApplicableError
from alignbench.session.session import Session
from alignbench.tests.data_files import png
from alignbench.tests.toys import copy_benchmarks, run, scores

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("bird", "cat", "dog")
SKIPPED = "the data has no texts for an LLM to embed: {} skipped"


def write_images(folder: Path, n: int = 4) -> Path:
    """Write n images of each class, in a folder each."""
    rng = np.random.default_rng(0)
    for k, kind in enumerate(KINDS):
        (folder / kind).mkdir(parents=True)
        for i in range(n):
            colour = tuple(int(c) for c in rng.integers(0, 60, 3))
            content = png((60 * k + colour[0], colour[1] + i, colour[2]), (16, 16))
            (folder / kind / f"{kind}{i}.png").write_bytes(content)
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images")


def test_a_folder_of_class_folders_loads(images: Path) -> None:
    data = load_mixed(3, root=images)
    assert data.labels == ("bird",) * 3 + ("cat",) * 3 + ("dog",) * 3
    assert data.has_images
    assert not data.has_texts
    assert not data.dropped
    assert all(sample.texts == () for sample in data.samples)
    assert data.n_groups == 9  # that none has a text is nothing that they have in common
    assert any(line.startswith(NO_TEXTS) for line in data.describe())


def test_the_draw_of_images_is_that_of_images_with_texts(images: Path, tmp_path: Path) -> None:
    alone = load_mixed(2, root=images)
    for path in images.rglob("*.png"):
        path.with_suffix(".txt").write_text(f"a text about {path.stem}", encoding="utf-8")
    both = load_mixed(2, root=images)
    assert both.has_texts
    assert [sample.id for sample in alone.samples] == [sample.id for sample in both.samples]
    assert alone.digest != both.digest


def test_an_image_without_text_is_left_out_where_another_has_one(images: Path) -> None:
    for kind in ("bird", "cat"):
        (images / kind / f"{kind}1.txt").write_text(f"a {kind}", encoding="utf-8")
    data = load_mixed(None, root=images)
    assert [sample.id for sample in data.samples] == ["bird/bird1.png", "cat/cat1.png"]
    assert {row.reason for row in data.dropped} == {"no text"}
    assert [row.where for row in data.dropped if "bird" in row.where] == [
        f"bird/bird{i}.png" for i in (0, 2, 3)
    ]
    assert len(data.dropped) == 10
    assert "10 rows without a text left out, because other rows have one" in data.notes
    drawn = load_mixed(1, root=images)
    assert [sample.id for sample in drawn.samples] == ["bird/bird1.png", "cat/cat1.png"]
    assert "dog: 0 samples; 1 were asked for and there are no more" in drawn.notes


def test_a_type_without_texts_is_known(images: Path) -> None:
    (images / "cat" / "cat1.txt").write_text("a cat", encoding="utf-8")
    with pytest.raises(DataError, match=r"no usable row of type 'dog'.*no text"):
        load_mixed(2, ["cat", "dog"], root=images)
    with pytest.raises(UnknownNameError, match="horse"):
        load_mixed(2, ["horse"], root=images)
    alone = load_mixed(2, ["dog"], root=images)
    assert not alone.has_texts
    assert len(alone) == 2


def test_unreadable_images_are_replaced_and_reported(images: Path) -> None:
    for i in range(3):
        (images / "cat" / f"cat{i}.png").write_bytes(b"no image")
    data = load_mixed(1, ["cat"], root=images)
    assert [sample.id for sample in data.samples] == ["cat/cat3.png"]
    assert all("cat/cat" in row.where for row in data.dropped)


def test_whoever_asks_for_questions_wants_texts(images: Path) -> None:
    with pytest.raises(DataError, match="no question"):
        load_mixed(2, root=images, text_field="question")


def test_a_question_alone_is_a_text_where_questions_are_asked_for() -> None:
    rows = [Row("first", png((1, 2, 3)), (), "Why?"), Row("second", png((4, 5, 6)), ("So.",), "How?")]
    asked = draw_samples(lambda: rows, n=None, types=None, seed=0, text_field="question")
    assert sorted(sample.text for [sample] in asked.samples[""]) == ["How?", "Why?"]
    answered = draw_samples(lambda: rows, n=None, types=None, seed=0, text_field="answer")
    assert [sample.text for [sample] in answered.samples[""]] == ["So."]


def test_wordings_of_nothing_are_nothing(images: Path) -> None:
    drawn, every = load_mixed(2, root=images), load_mixed(2, root=images, wordings="all")
    assert drawn.samples == every.samples
    assert tuple(all_wordings(drawn.samples)) == drawn.samples
    with pytest.raises(DataError, match=NO_TEXTS):
        get_images_and_texts(drawn.samples)


def test_a_dataset_has_texts_or_it_has_none() -> None:
    samples = [Sample(name, png(), texts, "chart", name) for name, texts in (("a", ("one",)), ("b", ()))]
    with pytest.raises(DataError, match="1 of 2 samples have no text, such as 'b'"):
        Dataset("mixed", tuple(samples), "here")


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        ("image,type", {}),
        ("id,image,type,group", {}),
        ("image", {"text": ("none",)}),
        ("image,type,width", {"text": ("none",)}),
        ("image,kind", {"type": ("kind",)}),
        ("image,type,caption", {"text": ("none",)}),
    ],
)
def test_a_table_of_images_alone(images: Path, head: str, columns: dict[str, tuple[str, ...]]) -> None:
    names = head.split(",")
    rows = [
        ",".join({"image": f"{kind}/{kind}{i}.png", "type": kind, "kind": kind}.get(n, f"{i}") for n in names)
        for kind in KINDS
        for i in range(4)
    ]
    table = images / "table.csv"
    table.write_text("\n".join([head, *rows]), encoding="utf-8")
    data = load_mixed(None, root=table, layout=Layout(columns=columns))
    assert not data.has_texts
    assert data.labels == tuple(kind if "," in head else "all" for kind in KINDS for _ in range(4))


def test_a_column_that_nobody_knows_may_be_the_text(images: Path) -> None:
    table = images / "table.csv"
    table.write_text("image,remark\nbird/bird0.png,it sings\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"no reader recognises it.*'remark'.*--align-columns"):
        load_mixed(None, root=table)
    with pytest.raises(DataError, match=r"--align-columns text=COLUMN says which one is, and text=none that"):
        load_mixed(None, root=f"table:{table}")


def test_none_is_no_text_only_if_it_stands_alone(images: Path) -> None:
    table = images / "table.csv"
    table.write_text("image,none,remark\nbird/bird0.png,it sings,it flies\n", encoding="utf-8")
    data = load_mixed(None, root=table, layout=Layout(columns={"text": ("none",)}))
    assert data.samples[0].texts == ("it sings",)
    table.write_text("image,remark\nbird/bird0.png,it flies\n", encoding="utf-8")
    with pytest.raises(DataError, match="unknown column 'none'"):
        load_mixed(None, root=f"table:{table}", layout=Layout(columns={"text": ("none", "remark")}))


def test_an_empty_cell_is_not_a_table_without_texts(images: Path) -> None:
    rows = [
        {"image": "bird/bird0.png", "captions": []},
        {"image": "bird/bird1.png", "captions": ["it sings"]},
    ]
    table = images / "table.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    data = load_mixed(None, root=table)
    assert [sample.text for sample in data.samples] == ["it sings"]
    assert [(row.where, row.reason) for row in data.dropped] == [("table.jsonl:1", "no text")]


def test_an_archive_of_images_and_classes(images: Path) -> None:
    with tarfile.open(images / "a.tar", "w") as archive:
        for path in sorted(images.rglob("*.png")):
            archive.add(path, path.name)
            name = path.with_suffix(".cls")
            name.write_text(path.parent.name, encoding="utf-8")
            archive.add(name, name.name)
    data = load_mixed(None, root=images / "a.tar")
    assert not data.has_texts
    assert data.labels == tuple(kind for kind in KINDS for _ in range(4))


def test_the_last_image_of_an_archive_that_is_cut_off_may_have_had_a_text(images: Path) -> None:
    whole = images / "whole.tar"
    with tarfile.open(whole, "w") as archive:
        for name in ("cat0.png", "cat1.png"):
            archive.add(images / "cat" / name, name)
        (images / "cat1.txt").write_text("a cat " * 200, encoding="utf-8")
        archive.add(images / "cat1.txt", "cat1.txt")
    cut = images / "cut.tar"
    content = whole.read_bytes()
    cut.write_bytes(content[: content.index(b"a cat") + 100])
    data = load_mixed(None, root=cut)
    assert [sample.id for sample in data.samples] == ["cat0"]
    assert data.dropped[0].reason == "no text before the archive ends"
    assert "cut off" in data.dropped[1].reason


def test_a_session_scores_the_side_that_there_is(images: Path) -> None:
    session = Session(encoders="random-vit", llms="mini-llama", data=images, permutations=19)
    result = session.run("eas", "cka", "validity")
    assert {score.metric for score in result.scores} >= {"discriminability", "knn_accuracy"}
    assert set(result.skipped.values()) == {NO_TEXTS}
    assert "validity" in result.skipped
    assert any("mini-llama" in cell for cell in result.skipped)
    assert result.run.warnings == (SKIPPED.format(f"{len(result.skipped)} cells"),)
    assert NO_TEXTS in str(result)


def test_a_session_says_that_nothing_can_be_scored(images: Path) -> None:
    session = Session(encoders="random-vit", llms="mini-llama", data=images, permutations=19)
    result = session.run("cka")
    assert not result.scores
    assert " ".join(str(result).split()) == SKIPPED.format(f"{len(result.skipped)} cells")
    with pytest.raises(NotApplicableError, match=NO_TEXTS):
        session.text("mini-llama")


@pytest.mark.slow
def test_vectors_of_texts_from_elsewhere_serve(images: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "texts.npy", np.random.default_rng(0).standard_normal((12, 6)).astype(np.float32))
    session = Session(
        encoders="random-vit",
        llms=["mini-llama", f"far=npy:{tmp_path / 'texts.npy'}"],
        data=images,
        permutations=19,
    )
    result = session.run("cka")
    assert {score.llm for score in result.scores} == {"far"}
    assert set(result.skipped.values()) == {NO_TEXTS}


@pytest.mark.slow
def test_the_page_says_so_in_one_sentence(images: Path, tmp_path: Path) -> None:
    from alignbench.ui.app import App
    from alignbench.ui.menu import Menu
    from alignbench.ui.results import View
    from alignbench.ui.tabs import tabs

    (tmp_path / "page").mkdir()
    app = App(Menu({"data": str(images), "permutations": 19}), tmp_path / "page")
    [tab] = [tab for tab in tabs() if tab.experiment == "coral"]
    chosen = {"encoders": ["random-vit"], "llms": ["mini-llama"]}
    *_, view = app.run(tab, chosen, "visitor")
    assert isinstance(view, View)
    assert view.answer.count(NO_TEXTS) == 1
    assert f"mini-llama: {NO_TEXTS}" in view.answer


@pytest.fixture
def folder(project: pytest.Pytester) -> pytest.Pytester:
    write_images(project.path / "images")
    copy_benchmarks(project, "test_cka.py", "test_eas.py", "test_validity.py", "test_embedding.py")
    return project


SELECTED = ("--align-data=images", "--encoders=toy-a,toy-b", "--llms=toy-llm", "--align-permutations=19")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_run_skips_what_needs_texts_and_says_so(folder: pytest.Pytester, workers: tuple[str, ...]) -> None:
    result = run(folder, "benchmarks", *SELECTED, *workers)
    outcomes = result.parseoutcomes()
    assert result.ret == 0
    assert not {"failed", "error", "errors"} & set(outcomes)
    text = " ".join(result.stdout.str().split())
    assert "the data has no texts: what needs an LLM to embed them is skipped" in text
    assert SKIPPED.format(f"{outcomes['skipped']} tests") in text
    tests = outcomes["passed"] + 1  # test_validity finds out by itself
    assert f"plan {tests} tests" in text
    assert "toy-llm: " not in text  # nobody looks for the weights of a model that is not used
    assert {score["experiment"] for score in scores(folder).values()} == {"eas", "embedding"}
    for name in ("summary.md", "report.html"):
        page = (folder.path / "reports" / "latest" / name).read_text(encoding="utf-8")
        assert SKIPPED.format(f"{outcomes['skipped']} tests") in page.replace("&#x27;", "'")


@pytest.mark.slow
def test_a_run_of_nothing_but_pairs_says_why_there_is_no_score(folder: pytest.Pytester) -> None:
    result = run(folder, "benchmarks", *SELECTED, "-m", "cka")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*the data has no texts: what needs an LLM to embed them is skipped",
            "plan   0 tests*",
            "*alignbench: no score was recorded*",
            SKIPPED.format("* tests"),
        ]
    )
    assert "passed" not in result.parseoutcomes()
