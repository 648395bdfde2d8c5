"""An image's file is read in one place: nothing outside its root, and only what it was at first."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.datasets import Dataset, Sample, get_images_and_texts, load_mixed
from alignbench.datasets.finding import resolve_under
from alignbench.datasets.thumbnails import thumbnails
from alignbench.embed.batches import image_batches
from alignbench.errors import DataError
from alignbench.experiments.speed import works as speed
from alignbench.files import UnfitFileError, read_regular
from alignbench.tests.data_files import charts_and_tables, line, make_root, png
from alignbench.tests.html_fakes import Page, page_of
from alignbench.tests.report_fakes import make_scores
from alignbench.tests.test_report_html_samples import space_of
from alignbench.tests.toys import copy_benchmarks, run

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")

SECRET = png((200, 100, 50), (40, 30))


def embedded(data: Dataset) -> object:
    return list(image_batches(data.samples, lambda image: np.asarray(image), 2))


CONSUMERS: dict[str, Callable[[Dataset], object]] = {
    "bytes": lambda data: [sample.image_bytes() for sample in data.samples],
    "pixels": lambda data: [sample.open_image() for sample in data.samples],
    "images and texts": lambda data: get_images_and_texts(data.samples),
    "embedding": embedded,
    "timing": speed.decoding,
    "a copy with other exchanges": lambda data: [
        replace(sample, exchanges=()).open_image() for sample in data.samples
    ],
    "a copy in another group": lambda data: [sample.but(group="g").open_image() for sample in data.samples],
}


def link_to_secret(file: Path) -> None:
    secret = file.parents[3] / "secret.png"
    secret.write_bytes(SECRET)
    file.unlink()
    file.symlink_to(secret)


def link_to_a_copy(file: Path) -> None:
    """The digest would not tell: only that nothing outside the root is opened."""
    copy = file.parents[3] / "copy.png"
    copy.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(copy)


def linked_folder(file: Path) -> None:
    file.parent.rename(file.parents[3] / "moved")
    file.parent.symlink_to(file.parents[3] / "moved", target_is_directory=True)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


SWAPS: dict[str, tuple[Callable[[Path], object], str]] = {
    "other content": (lambda file: file.write_bytes(SECRET), "it has changed since the data was read"),
    "a link to another file": (link_to_secret, "a link, or a file in the place of a folder, is in its path"),
    "a link to the same content": (link_to_a_copy, "a link, or a file in the place of a folder, is in its"),
    "a linked folder": (linked_folder, "a link, or a file in the place of a folder, is in its path"),
    "a pipe without a writer": (pipe, "not a regular file"),
    "nothing": (lambda file: file.unlink(), "no such file"),
}


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return load_mixed(None, root=charts_and_tables(tmp_path / "root", n=2))


def file_of(sample: Sample) -> Path:
    assert isinstance(sample.image, Path)
    return sample.image


@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.parametrize("consumer", CONSUMERS)
def test_an_image_that_was_exchanged_is_used_nowhere(data: Dataset, swap: str, consumer: str) -> None:
    exchange, reason = SWAPS[swap]
    CONSUMERS[consumer](data)
    exchange(file_of(data.samples[0]))
    with pytest.raises(DataError, match=reason) as caught:
        CONSUMERS[consumer](data)
    assert "\n" not in str(caught.value)
    assert "'chart_00.png'" in str(caught.value)


@pytest.mark.parametrize("swap", SWAPS)
def test_an_image_that_was_exchanged_has_no_thumbnail_and_the_reason_is_said(
    data: Dataset, swap: str
) -> None:
    whole, nothing_missing = thumbnails(data.samples)
    assert nothing_missing == []
    exchange, reason = SWAPS[swap]
    exchange(file_of(data.samples[3]))
    arrays, [error] = thumbnails(data.samples[3:])
    assert arrays["ids"].tolist() == whole["ids"].tolist()[3:]
    assert len(arrays["pictures"]) == arrays["ends"].tolist()[-1] == 0
    assert reason in str(error)


def test_an_image_that_is_exchanged_while_the_data_is_read_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_root(tmp_path / "root", [line("chart/a.png"), line("chart/b.png", id="b")], {})
    for name in "ab":
        (root / "images/chart").mkdir(exist_ok=True)
        (root / f"images/chart/{name}.png").write_bytes(png((ord(name), 0, 0)))

    def resolve_then_lose(folder: Path, name: str, *, follow_links: bool) -> Path:
        found = resolve_under(folder, name, follow_links=follow_links)
        if found.name == "a.png":
            link_to_secret(found)
        return found

    monkeypatch.setattr("alignbench.datasets.finding.resolve_under", resolve_then_lose)
    dataset = load_mixed(None, root=root)
    assert [sample.id for sample in dataset.samples] == ["b"]
    assert "a link, or a file in the place of a folder" in dataset.dropped[0].reason


def test_a_sample_of_ones_own_may_name_a_link_but_not_change(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(png())
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    own = Sample("1", tmp_path / "link.png", ("a text",), "chart")
    assert own.open_image().size == (12, 8)
    (tmp_path / "real.png").write_bytes(SECRET)
    with pytest.raises(DataError, match=r"image 'link\.png': it has changed since the data was read"):
        own.open_image()


def test_a_regular_file_below_its_root_is_read(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    file = tmp_path / "a/b/c.bin"
    file.write_bytes(b"content")
    assert read_regular(file, 7) == read_regular(file, 7, root=tmp_path) == b"content"
    assert read_regular(file, 7, root=file.parent) == b"content"
    with pytest.raises(UnfitFileError, match="7 bytes; at most 6 are read"):
        read_regular(file, 6, root=tmp_path)
    for path, root in (
        (file, tmp_path / "other"),
        (tmp_path, tmp_path),
        (tmp_path / "a" / ".." / "a/b/c.bin", tmp_path),
    ):
        with pytest.raises(UnfitFileError, match="not a file below"):
            read_regular(path, 7, root=root)
    with pytest.raises(UnfitFileError, match="not a regular file"):
        read_regular(file.parent, 7, root=tmp_path)
    with pytest.raises(UnfitFileError, match="a file in the place of a folder"):
        read_regular(file / "d", 7, root=tmp_path)


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png())
    (tmp_path / "link").symlink_to(file)
    before = sum(1 for _ in Path("/dev/fd").iterdir())
    for path in (file, tmp_path / "link", tmp_path, tmp_path / "missing", file / "below"):
        for most in (10, 10_000):
            try:
                read_regular(path, most, root=tmp_path)
            except (UnfitFileError, OSError):
                continue
    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before


@pytest.mark.slow
def test_figures_of_somebody_elses_run_bring_no_other_file_into_the_page(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("root:x:0:0")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "own.png").write_bytes(png())
    (folder / "a.svg").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(folder / "b.png")
    (folder / "own.svg").symlink_to(tmp_path / "secret.txt")
    pictures = [dict(image)["src"] for image in page_of(folder, make_scores()).all("img")]
    assert len(pictures) == 1
    assert str(pictures[0]).startswith("data:image/png;base64,")


SWAP_AT_THE_END = """
import pathlib

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    file = pathlib.Path("{file}")
    file.unlink()
    file.symlink_to("{secret}")
"""


def test_a_run_says_which_images_it_could_not_show(project: pytest.Pytester) -> None:
    root = charts_and_tables(project.path / "mine", n=6)
    copy_benchmarks(project, "test_embedding.py")
    with (project.path / "conftest.py").open("a") as conftest:
        conftest.write(SWAP_AT_THE_END.format(file=root / "images/chart/chart_03.png", secret=root / "s.png"))
    (root / "s.png").write_bytes(SECRET)
    data = f"--align-data-root={root}"
    assert run(project, "benchmarks", "-k", "pca", "-p", "no:xdist", data, "--encoders=toy-a").ret == 0
    latest = project.path / "reports" / "latest"
    samples = space_of(Page((latest / "report.html").read_text("utf-8")))["samples"]
    assert {one["id"]: bool(one["picture"]) for one in samples} == {
        f"{kind}_{i:02}": (kind, i) != ("chart", 3) for kind in ("chart", "table") for i in range(6)
    }
    summary = (latest / "summary.md").read_text("utf-8")
    assert "no picture of 1 of 12 samples; the first: image 'chart_03.png'" in summary.replace("`", "'")


OPENERS = {
    "datasets/images.py",  # the one place
    "datasets/dataset.py",  # of a sample
    "session/workbench.py",  # the user's own image (--align-image)
    "ui/uploads.py",  # the image that a browser sent
    "experiments/speed/works.py",  # bytes in memory, to time it
    "workshop/measure/damage.py",  # bytes in memory, damaged
    "workshop/measure/real/weights.py",  # photographs that a package ships, to check a conversion
}


@pytest.mark.slow
def test_nobody_else_opens_images() -> None:
    package = Path(__file__).parents[1]
    opens = re.compile(r"(?<![\w.])(?:(?:images\.)?open_image|read_image_file|Image\.open)\(")
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if opens.search(path.read_text(encoding="utf-8"))
    }
    # Tests make images; and a contender of a race reads its own, as others do.
    assert {name for name in found if not name.startswith(("tests/", "workshop/measure/_"))} == OPENERS
