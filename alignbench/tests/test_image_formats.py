"""The formats of images: what is read, and how what is not read is called."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, features

from alignbench.datasets.formats import FORMATS, SUFFIXES, kind_of
from alignbench.datasets.images import check_image, open_image
from alignbench.errors import DataError
from alignbench.tests.data_files import encoded

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
AVIF = pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=AVIF if name == "AVIF" else ()) for name in FORMATS]
)
def test_every_format_is_known_by_its_content_and_opened(name: str) -> None:
    content = encoded(PICTURE, name)
    assert kind_of(content) == name
    check_image(content)
    assert open_image(content).size == PICTURE.size


def test_no_ending_belongs_to_two_formats() -> None:
    assert len(set(SUFFIXES)) == len(SUFFIXES)


def test_the_first_frame_of_a_gif_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue", "green")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_image(content).getpixel((0, 0)) == (255, 0, 0)


def test_what_is_transparent_in_a_gif_becomes_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.putpixel((3, 3), 1)
    opened = open_image(encoded(image, "GIF", transparency=0))
    assert opened.getpixel((0, 0)) == (255, 255, 255)
    assert opened.getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "packbits"])
def test_a_tiff_holds_the_same_pixels_however_it_is_compressed(compression: str) -> None:
    content = encoded(PICTURE, "TIFF", compression=compression)
    assert np.array_equal(np.asarray(open_image(content)), np.asarray(PICTURE))


def test_a_tiff_of_16_bits_is_scaled() -> None:
    grey = Image.fromarray(np.array([[0, 0x8080, 0xFFFF]], dtype=np.uint16))
    assert np.asarray(open_image(encoded(grey, "TIFF")))[0, :, 0].tolist() == [0, 128, 255]


def test_a_tiff_of_several_pages_is_refused() -> None:
    content = encoded(PICTURE, "TIFF", save_all=True, append_images=[PICTURE])
    with pytest.raises(DataError, match="a document of 2 pages; expected one still image"):
        check_image(content)


@pytest.mark.parametrize("name", ["GIF", "TIFF", pytest.param("AVIF", marks=AVIF)])
def test_a_file_that_was_cut_off_is_refused_before_it_is_decoded(name: str) -> None:
    content = encoded(PICTURE, name)
    for end in (20, len(content) // 3, len(content) // 2, len(content) - 5):
        with pytest.raises(DataError, match=r"image of .* in memory: (truncated|incomplete|broken)"):
            check_image(content[:end])


@AVIF
def test_bytes_behind_an_avif_are_not_part_of_it() -> None:
    assert open_image(encoded(PICTURE, "AVIF") + b"\0\0\0\x10free" + bytes(8)).size == PICTURE.size


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%PDF-1.7 ...", "a PDF file"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b'<?xml version="1.0"?><svg xmlns="x"/>', "an SVG drawing"),
        (b"<!DOCTYPE html><body>404</body>", "a page of HTML"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC photo"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "a video"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "`git lfs pull`"),
        (b"PK\x03\x04...", "a ZIP archive"),
        (b"just a text", "whatever its name says"),
        (b"", "whatever its name says"),
    ],
)
def test_what_is_refused_is_called_by_its_name(content: bytes, name: str) -> None:
    with pytest.raises(DataError, match="not one of PNG, JPEG, WEBP, BMP, GIF, TIFF, AVIF") as error:
        open_image(content)
    assert name in str(error.value)
    assert "\n" not in str(error.value)
