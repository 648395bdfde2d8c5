"""Opening image files that nobody vouches for."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from alignbench.datasets import images
from alignbench.datasets.images import check_image, open_image
from alignbench.errors import DataError
from alignbench.tests.data_files import encoded, png, png_that_claims, png_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

GRADIENT = Image.fromarray(np.arange(64 * 48 * 3, dtype=np.uint32).reshape(48, 64, 3).astype(np.uint8))


def pixels(source: bytes) -> NDArray[np.uint8]:
    image = open_image(source)
    assert image.mode == "RGB"
    return np.asarray(image)


def outcome(source: bytes) -> str:
    """The image's mode, or the message of the only error that may come out."""
    try:
        return open_image(source, max_pixels=10**6).mode
    except DataError as error:
        return str(error)


@pytest.fixture(params=[open_image, check_image], ids=["open", "check"])
def look(request: pytest.FixtureRequest) -> Callable[..., object]:
    """Both ways in: what must not be decoded is refused by both."""
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_lossless_formats_come_back_as_they_were(kind: str) -> None:
    assert np.array_equal(pixels(encoded(GRADIENT, kind)), np.asarray(GRADIENT))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_back_close(kind: str) -> None:
    smooth = GRADIENT.resize((8, 6)).resize((64, 48))
    difference = pixels(encoded(smooth, kind, quality=95)).astype(int) - np.asarray(smooth)
    assert np.abs(difference).mean() < 6


@pytest.mark.parametrize(
    "content",
    [
        encoded(GRADIENT, "ICO"),
        encoded(GRADIENT, "PPM"),
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
        b"just a text",
        b"",
    ],
    ids=["ico", "ppm", "svg", "eps", "text", "empty"],
)
def test_other_formats_are_refused_whatever_their_name(
    look: Callable[..., object], content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "chart.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"'chart\.png'.*PNG, JPEG, WEBP, BMP"):
        look(path)


@pytest.mark.parametrize("size", [(100_000, 100_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_by_its_header(look: Callable[..., object], size: tuple[int, int]) -> None:
    # 10,000 x 10,000 is what Pillow only warns of.
    with pytest.raises(DataError, match="pixels"):
        look(png_that_claims(*size))


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_our_error_even_if_its_warning_is_raised(look: Callable[..., object]) -> None:
    with pytest.raises(DataError, match="too many pixels"):
        look(png_that_claims(10_000, 10_000))


def test_our_own_cap_comes_before_any_pixel_is_decoded(look: Callable[..., object]) -> None:
    look(png(size=(10, 10)), max_pixels=100)
    with pytest.raises(DataError, match="10 x 11 are too many pixels; at most 100"):
        look(png(size=(10, 11)), max_pixels=100)


@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
def test_a_larger_cap_does_not_lift_that_of_pillow(
    look: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(DataError, match="pixels"):
        look(png(size=(10, 6)), max_pixels=10**9)


def test_a_strip_that_resizing_would_blow_up_is_refused(look: Callable[..., object]) -> None:
    look(png(size=(100, 1)))
    with pytest.raises(DataError, match="102 x 1 is a strip"):
        look(png(size=(102, 1)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_truncated_files_are_refused(kind: str, kept: float) -> None:
    # Noise, so that no format can make do with the beginning.
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = encoded(noise, kind)
    with pytest.raises(DataError):
        open_image(content[: int(len(content) * kept)])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_truncation_is_seen_without_decoding(kind: str) -> None:
    content = encoded(GRADIENT, kind)
    check_image(content)
    with pytest.raises(DataError, match="truncated"):
        check_image(content[:-40])


def test_a_jpegs_thumbnail_does_not_pass_for_its_end() -> None:
    thumbnail = encoded(GRADIENT.resize((8, 6)), "JPEG")
    whole = encoded(GRADIENT, "JPEG")
    with_thumbnail = whole[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + whole[2:]
    check_image(with_thumbnail)
    with pytest.raises(DataError, match="truncated"):
        check_image(with_thumbnail[:-40])


def test_a_broken_bit_stream_is_one_line_with_the_name(tmp_path: Path) -> None:
    content = bytearray(encoded(GRADIENT))
    content[content.index(b"IDAT") + 20] ^= 0xFF
    path = tmp_path / "bad\nname.png"
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"bad\\nname\.png") as caught:
        open_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "content"),
    [(b"zTXt", b"comment\0\0" + zlib.compress(b"a" * 80_000_000)), (b"iCCP", b"profile\0\0" + b"no zlib")],
    ids=["text bomb", "broken profile"],
)
def test_side_chunks_can_do_no_harm(kind: bytes, content: bytes) -> None:
    assert "\n" not in outcome(png_with(kind, content))


def test_an_animation_is_refused(look: Callable[..., object]) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue", "green")]
    content = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="an animation of 3 frames"):
        look(content)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    stored = Image.new("RGB", (32, 16), "white")
    stored.paste("black", (0, 0, 8, 8))  # marks the stored image's upper left corner
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = pixels(encoded(stored, "JPEG", exif=exif, quality=100)).mean(axis=2)
    corners = {
        "upper left": shown[2, 2],
        "upper right": shown[2, -3],
        "lower right": shown[-3, -3],
        "lower left": shown[-3, 2],
    }
    # From the EXIF specification: where row 0 and column 0 of the stored image are shown.
    where = ["upper left", "upper right", "lower right", "lower left"]
    expected = [*where, "upper left", "upper right", "lower right", "lower left"][orientation - 1]
    assert min(corners, key=lambda name: corners[name]) == expected
    assert shown.shape == ((16, 32) if orientation <= 4 else (32, 16))


@pytest.mark.filterwarnings("default:Corrupt EXIF data")
@pytest.mark.parametrize(
    "block", [b"Exif\0\0not a tiff", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff"]
)
def test_exif_that_cannot_be_parsed_says_nothing(block: bytes) -> None:
    assert open_image(encoded(GRADIENT, "JPEG", exif=block)).size == GRADIENT.size


def test_transparency_is_composited_on_white() -> None:
    image = Image.new("RGBA", (2, 1))
    image.putpixel((0, 0), (255, 0, 0, 128))
    image.putpixel((1, 0), (0, 0, 0, 0))
    assert pixels(encoded(image)).tolist() == [[[255, 127, 127], [255, 255, 255]]]


def test_grey_with_alpha_is_composited_on_white() -> None:
    image = Image.new("LA", (2, 1))
    image.putpixel((0, 0), (0, 255))
    image.putpixel((1, 0), (0, 0))
    assert pixels(encoded(image)).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_a_transparent_palette_entry_becomes_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 99, 199, 1, 2, 3])
    image.putpixel((1, 0), 1)
    assert pixels(encoded(image)).tolist() == [[[9, 99, 199], [1, 2, 3]]]
    assert pixels(encoded(image, transparency=1)).tolist() == [[[9, 99, 199], [255, 255, 255]]]


def test_a_transparent_color_becomes_white() -> None:
    image = Image.new("RGB", (2, 1), (5, 6, 7))
    image.putpixel((1, 0), (50, 60, 70))
    assert pixels(encoded(image, transparency=(50, 60, 70))).tolist() == [[[5, 6, 7], [255, 255, 255]]]


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 32_896, 65_535]], dtype=np.uint16)
    assert pixels(encoded(Image.fromarray(values)))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_cmyk_is_converted() -> None:
    cyan = pixels(encoded(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=95))
    assert np.abs(cyan[8, 8].astype(int) - [0, 255, 255]).max() < 10


@pytest.mark.parametrize(("mode", "color", "shown"), [("1", 1, 255), ("L", 77, 77)])
def test_grey_and_bilevel_become_rgb(mode: str, color: int, shown: int) -> None:
    assert pixels(encoded(Image.new(mode, (3, 2), color)))[0, 0].tolist() == [shown] * 3


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_image(tmp_path / "missing.png")
    with pytest.raises(DataError, match="not a regular file"):
        open_image(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(DataError, match="not a regular file"):
            open_image(tmp_path / "pipe.png")  # would wait for a writer for ever


def test_a_file_above_the_size_cap_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 10)
    with pytest.raises(DataError, match="at most 10"):
        open_image(path)


def test_random_damage_gives_an_image_or_a_one_line_error() -> None:
    rng = np.random.default_rng(0)
    for content in [encoded(GRADIENT, kind) for kind in ("PNG", "JPEG", "WEBP", "BMP")]:
        for _ in range(100):
            damaged = bytearray(content)
            for at in rng.integers(0, len(content), rng.integers(1, 6)):
                damaged[at] = rng.integers(256)
            assert "\n" not in outcome(bytes(damaged))
