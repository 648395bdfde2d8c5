"""The one file that a browser may give."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from alignbench.errors import DataError
from alignbench.ui import uploads
from alignbench.ui.uploads import open_upload, preview

if TYPE_CHECKING:
    from pathlib import Path


def png(width: int = 8, height: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


def test_an_uploaded_image_is_opened_by_its_name(folder: Path) -> None:
    (folder / "dog.png").write_bytes(png(8, 6))
    found = open_upload(str(folder / "dog.png"), folder)
    assert found is not None
    assert (found[0], found[1].size) == ("dog.png", (8, 6))


def test_no_upload_is_no_image(folder: Path) -> None:
    assert open_upload(None, folder) is None


def test_an_image_elsewhere_is_not_opened(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(png())
    for path in (tmp_path / "private.png", folder / ".." / "private.png"):
        with pytest.raises(DataError, match="only an image that was uploaded"):
            open_upload(str(path), folder)


def test_a_link_out_of_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(png())
    (folder / "link.png").symlink_to(tmp_path / "private.png")
    with pytest.raises(DataError, match="only an image that was uploaded"):
        open_upload(str(folder / "link.png"), folder)


@pytest.mark.parametrize("path", ["", "\0", "gone.png"])
def test_a_path_to_nothing_says_so(folder: Path, path: str) -> None:
    with pytest.raises(DataError):
        open_upload(str(folder / path), folder)


def test_text_named_png_is_refused_in_one_line(folder: Path) -> None:
    (folder / "text.png").write_text("no image at all", encoding="utf-8")
    with pytest.raises(DataError, match="not one of PNG") as caught:
        open_upload(str(folder / "text.png"), folder)
    assert "\n" not in str(caught.value)


def test_too_many_bytes_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_FILE", 10)
    (folder / "large.png").write_bytes(png())
    with pytest.raises(DataError, match="at most 10 are read"):
        open_upload(str(folder / "large.png"), folder)


def test_too_many_pixels_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_PIXELS", 100)
    (folder / "wide.png").write_bytes(png(20, 20))
    with pytest.raises(DataError, match="too many pixels"):
        open_upload(str(folder / "wide.png"), folder)


def test_a_hostile_name_stays_text() -> None:
    shown = preview('"><script>alert(1)</script>.png', Image.new("RGB", (4, 4)))
    assert "<script" not in shown
    assert 'alt="&quot;&gt;' in shown
