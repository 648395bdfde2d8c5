"""The samples of report.html: thumbnails, embedding spaces, and what each sample does to a score."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.datasets import Dataset
from alignbench.datasets.dataset import Sample
from alignbench.datasets.thumbnails import SIDE, TEXT_LENGTH, thumbnails
from alignbench.session import samples as kept
from alignbench.session.runfolder import RunFolder
from alignbench.session.samples import keep_samples
from alignbench.tests.html_fakes import Page, page_of, write_influence, write_layout, write_samples
from alignbench.tests.report_fakes import HOSTILE, make_score, make_scores
from alignbench.tests.toys import copy_benchmarks, run

if TYPE_CHECKING:
    from pathlib import Path

IDS = [f"sample-{i}" for i in range(12)]
CAPTION = "</script><script>alert(1)</script><!-- \u2028 & \x1b[2J"


def space_of(page: Page) -> dict[str, Any]:
    """Return the data that the page's script draws."""
    found: dict[str, Any] = json.loads(page.inside["script"][0])
    return found


def picture(size: tuple[int, int] = (400, 200)) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


def savez(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path, allow_pickle=False, **arrays)


def sample(name: str, image: Path | bytes | None = b"", text: str = "a text") -> Sample:
    return Sample(name, picture() if image == b"" else image, (text,), "chart", group=name)


@pytest.mark.slow
def test_points_samples_and_pictures_belong_together(tmp_path: Path) -> None:
    write_layout(tmp_path, IDS)
    write_layout(tmp_path, IDS[::-1], model="mini-llama")
    write_samples(tmp_path, IDS[:3], ["one", "two", "three"])
    data = space_of(page_of(tmp_path, make_scores()))
    assert [panel["model"] for panel in data["panels"]] == ["mini-clip", "mini-llama"]
    for panel, ids in zip(data["panels"], (IDS, IDS[::-1]), strict=True):
        assert [data["samples"][i]["id"] for i in panel["samples"]] == ids
        assert np.array(panel["points"]).shape == (12, 2)
        assert np.ptp(panel["points"], axis=0).tolist() == [1000, 1000]
    named = {one["id"]: one for one in data["samples"]}
    assert named["sample-1"]["text"] == "two"
    kind, _, coded = named["sample-1"]["picture"].partition(",")
    assert (kind, base64.b64decode(coded)) == ("data:image/webp;base64", b"RIFF0001")
    assert named["sample-7"]["picture"] == ""


@pytest.mark.slow
def test_a_higher_point_is_drawn_higher(tmp_path: Path) -> None:
    write_layout(tmp_path, IDS)
    [path] = (tmp_path / "artifacts").glob("layout-*")
    with np.load(path) as file:
        highest = file["points"][:, 1].argmax()
    [panel] = space_of(page_of(tmp_path, make_scores()))["panels"]
    assert panel["points"][highest][1] == 0


@pytest.mark.parametrize("nasty", [CAPTION, *HOSTILE])
def test_captions_and_ids_stay_text(tmp_path: Path, nasty: str) -> None:
    ids = [nasty, *IDS]
    write_layout(tmp_path, ids)
    write_samples(tmp_path, ids, [nasty] * len(ids))
    write_influence(tmp_path, ids, np.linspace(-1, 1, len(ids)).tolist(), "rsa")
    page = page_of(tmp_path, [make_score("rsa", 0.2)])
    assert len(page.all("script")) == 2
    [block, _] = page.inside["script"]
    assert not {"<", ">", "&", "\u2028", "\x1b", "\u202e"} & set(block)
    texts = {one["text"] for one in json.loads(block)["samples"]}
    assert len(texts) == 1
    assert texts.pop() in page.text


@pytest.mark.slow
def test_samples_are_sorted_by_what_they_do_to_the_score(tmp_path: Path) -> None:
    write_samples(tmp_path, IDS, [f"text {i}" for i in range(12)])
    write_influence(tmp_path, IDS, [0.1 * (i - 6) for i in range(12)], "calibrated_cka")
    text = page_of(tmp_path, make_scores()).text
    carry, spoil = text.split("Carry it")[1].split("Spoil it")
    assert carry.index("sample-11") < carry.index("sample-10") < carry.index("sample-7")
    assert spoil.index("sample-0 ") < spoil.index("sample-1 ") < spoil.index("sample-5")
    assert "sample-6" not in carry
    assert "+0.5" in carry
    assert "text 11" in carry


@pytest.mark.slow
def test_of_a_metric_where_low_is_good_the_negative_carries(tmp_path: Path) -> None:
    write_influence(tmp_path, ["a-good-one", "a-bad-one"], [-0.2, 0.1], "ncoral")
    carry, spoil = page_of(tmp_path, make_scores()).text.split("Carry it")[1].split("Spoil it")
    assert "a-good-one -0.2" in carry
    assert "a-bad-one +0.1" in spoil


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["influence-x", "layout-x", "samples"])
def test_artifacts_of_somebody_else_are_passed_over(tmp_path: Path, kind: str) -> None:
    write_layout(tmp_path, IDS)
    for i, arrays in enumerate(({"other": np.zeros(3)}, {"ids": np.array([]), "influence": np.array([])})):
        savez(tmp_path / "artifacts" / f"{kind}{i}.npz", arrays)
    names = ("ids", "influence", "points", "labels", "texts", "ends", "pictures")
    odd = {name: np.array(["x"] * (i + 1)) for i, name in enumerate(names)}
    scalars = {name: np.array("x") for name in ("metric", "encoder", "llm", "name", "method")}
    savez(tmp_path / "artifacts" / f"{kind}-odd.npz", odd | scalars)
    assert len(space_of(page_of(tmp_path, make_scores()))["panels"]) == 1


def test_thumbnails_are_small_and_in_order() -> None:
    from PIL import Image

    long = "x" * 1000
    found, missing = thumbnails(
        [sample("a"), sample("b", None), sample("c", b"no image"), sample("d", text=long)]
    )
    assert [str(error) for error in missing] == [
        "image of 8 bytes in memory: not one of PNG, JPEG, WEBP, BMP, GIF, TIFF, AVIF, whatever its name says"
    ]
    assert found["ids"].tolist() == ["a", "b", "c", "d"]
    assert len(found["texts"][3]) == TEXT_LENGTH
    ends = found["ends"].tolist()
    assert ends[0] == ends[1] == ends[2] < ends[3] == len(found["pictures"])
    first = Image.open(io.BytesIO(found["pictures"][: ends[0]].tobytes()))
    assert first.size == (SIDE, SIDE // 2)


def test_samples_that_move_a_score_are_kept_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 22)
    ids = [f"s{i:02}" for i in range(60)]
    write_layout(tmp_path, ids)
    write_influence(tmp_path, ids, [float(i) for i in range(60)], "rsa")
    data = Dataset("d", tuple(sample(name) for name in ids), "here")
    keep_samples(RunFolder(tmp_path), data)
    with np.load(tmp_path / "artifacts" / "samples.npz") as file:
        names = file["ids"].tolist()
    assert set(ids[:10] + ids[-10:]) < set(names)
    assert len(names) == 22


def test_rows_of_arrays_have_no_thumbnails(tmp_path: Path) -> None:
    write_layout(tmp_path, IDS)
    keep_samples(RunFolder(tmp_path), Dataset("d", tuple(sample(name, None) for name in IDS), "here"))
    assert not (tmp_path / "artifacts" / "samples.npz").exists()


@pytest.mark.parametrize("args", [(), ("--align-no-thumbnails",)], ids=["kept", "left out"])
def test_a_run_keeps_its_samples_unless_it_is_told_not_to(
    project: pytest.Pytester, args: tuple[str, ...]
) -> None:
    copy_benchmarks(project, "test_embedding.py")
    assert run(project, "benchmarks", "-k", "pca", "-p", "no:xdist", *args).ret == 0
    latest = project.path / "reports" / "latest"
    assert (latest / "artifacts" / "samples.npz").exists() == (not args)
    pictures = [
        one["picture"] for one in space_of(Page((latest / "report.html").read_text("utf-8")))["samples"]
    ]
    assert len(pictures) == 30
    assert all(pictures) == (not args)
