"""Whether an image is whole: its markers are followed, and damage that a format can show is refused."""

from __future__ import annotations

import contextlib
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from alignbench.datasets.containers import NotWholeError, check_filled, check_whole
from alignbench.datasets.formats import kind_of
from alignbench.datasets.images import check_image, open_image
from alignbench.errors import DataError
from alignbench.tests.data_files import encoded, png_chunk, png_with
from alignbench.workshop.measure.damage import damage, flipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
SMALL = NOISE.resize((7, 5))
SMOOTH = NOISE.resize((8, 6)).resize((320, 240))
EVERY_FORMAT: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "gif": ("GIF", {}),
    "tiff": ("TIFF", {}),
    "tiff with deflate": ("TIFF", {"compression": "tiff_deflate"}),
    "avif": ("AVIF", {}),
}


def pixels(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(open_image(content))


def png_of(rows: bytes, header: tuple[int, ...]) -> bytes:
    """A PNG of these rows, each with its filter byte."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def interlaced(values: NDArray[np.uint8], further: int = 0) -> bytes:
    """A grey PNG in the seven passes of Adam7, written from the specification's picture of them.

    Its header says that it has further rows.
    """
    pattern = np.array(
        [
            [1, 6, 4, 6, 2, 6, 4, 6],
            [7, 7, 7, 7, 7, 7, 7, 7],
            [5, 6, 5, 6, 5, 6, 5, 6],
            [7, 7, 7, 7, 7, 7, 7, 7],
            [3, 6, 4, 6, 3, 6, 4, 6],
            [7, 7, 7, 7, 7, 7, 7, 7],
            [5, 6, 5, 6, 5, 6, 5, 6],
            [7, 7, 7, 7, 7, 7, 7, 7],
        ]
    )
    height, width = values.shape
    passes = np.tile(pattern, (height // 8 + 1, width // 8 + 1))[:height, :width]
    rows = b""
    for number in range(1, 8):
        for row, which in zip(values, passes == number, strict=True):
            rows += b"\0" + row[which].tobytes() if which.any() else b""
    return png_of(rows, (width, height + further, 8, 0, 0, 0, 1))


def with_orientation() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(SMALL, exif=exif)


GREY = np.arange(77, dtype=np.uint8).reshape(7, 11)
PALETTE = SMALL.quantize(8)
PNGS = {
    "rgb": encoded(SMALL),
    "transparent palette": encoded(PALETTE, transparency=bytes([0, 90, 255])),
    "16-bit grey": encoded(Image.fromarray(GREY.astype(np.uint16) * 700)),
    "turned": with_orientation(),
    "interlaced": interlaced(GREY),
    "large": encoded(SMOOTH.resize((640, 480))),
}


@pytest.mark.parametrize("name", PNGS)
def test_no_flipped_bit_of_a_png_changes_a_pixel_unseen(name: str) -> None:
    content = PNGS[name]
    whole = pixels(content)
    refused = 0
    for bit in range(0, 8 * len(content), max(3, len(content) // 50)):
        try:
            found = pixels(flipped(content, bit))
        except DataError:
            refused += 1
        else:
            assert np.array_equal(whole, found), bit
    assert refused > 100


@pytest.mark.slow
def test_what_a_flipped_bit_does_is_measured_by_format() -> None:
    png, jpeg = damage("PNG", 2, 40), damage("JPEG", 2, 40)
    assert (png.files, png.unseen, png.refused + png.harmless) == (80, 0, 80)
    assert jpeg.refused + jpeg.harmless + jpeg.unseen == 80
    # JPEG has no checksum: if this ever falls to 0, the documentation should say something better.
    assert jpeg.unseen >= jpeg.much > 0


@pytest.mark.parametrize("chunk", [b"tEXt", b"tRNS", b"zzZz"])
def test_a_wrong_checksum_is_damage_in_any_chunk(chunk: bytes) -> None:
    content = bytearray(png_with(chunk, b"a\0b\0c\0"))
    content[content.index(chunk) + 4 + 6] ^= 1  # the chunk's checksum
    for look in (open_image, check_image):
        with pytest.raises(DataError, match=f"damaged: the checksum of a chunk {chunk.decode()} of the PNG"):
            look(bytes(content))


@pytest.mark.parametrize("name", EVERY_FORMAT)
@pytest.mark.parametrize(
    "behind",
    [
        b"\0" * 100_000,
        b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20 + b"\xff\xd9..\xff\xda\x01\x02",
        b"IEND" + b"\xff\xd8\xff\xe0\x00\x10JFIF",
    ],
    ids=["padding", "a video", "the beginning of another image"],
)
def test_what_lies_behind_an_image_is_no_part_of_it(name: str, behind: bytes) -> None:
    kind, how = EVERY_FORMAT[name]
    content = encoded(SMOOTH, kind, **how)
    check_image(content + behind)
    assert np.array_equal(pixels(content + behind), pixels(content))


@pytest.mark.parametrize("name", EVERY_FORMAT)
@pytest.mark.parametrize("look", [open_image, check_image])
def test_a_host_that_lets_pillow_load_half_images_does_not_lower_the_bar(
    name: str, look: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    kind, how = EVERY_FORMAT[name]
    content = encoded(SMOOTH, kind, **how)
    look(content)
    for kept in (0.1, 0.5, 0.99):
        with pytest.raises(DataError, match="truncated"):
            look(content[: int(len(content) * kept)])


@pytest.mark.parametrize("name", ["png", "jpeg", "progressive jpeg"])
def test_a_half_of_zeros_is_refused_where_the_end_goes_with_it(name: str) -> None:
    kind, how = EVERY_FORMAT[name]
    content = encoded(SMOOTH, kind, **how)
    half = len(content) // 2
    for look in (open_image, check_image):
        with pytest.raises(DataError, match=r"truncated|damaged"):
            look(content[:half] + b"\0" * (len(content) - half))


def claims(name: str, width: int, height: int) -> bytes:
    """The file of a small image whose header says that it is larger."""
    kind, how = EVERY_FORMAT[name]
    content = bytearray(encoded(NOISE, kind, **how))
    if kind == "PNG":
        header = struct.pack(">II", width, height) + content[24:29]
        return bytes(content[:8]) + png_chunk(b"IHDR", header) + bytes(content[33:])
    if kind == "JPEG":
        at = content.index(b"\xff\xc2" if how else b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", height, width)
    elif kind == "BMP":
        content[18:26] = struct.pack("<ii", width, height)
    elif kind == "GIF":
        at = content.index(struct.pack("<HHHH", 0, 0, 32, 24), 13) + 4  # behind the palette
        content[6:10] = content[at : at + 4] = struct.pack("<HH", width, height)
    elif kind == "TIFF":
        first = int.from_bytes(content[4:8], "little")
        for at in range(first + 2, first + 2 + 12 * content[first], 12):
            tag = int.from_bytes(content[at : at + 2], "little")
            if tag in {256, 257, 278}:  # width, height, rows of a strip
                content[at + 8 : at + 10] = struct.pack("<H", width if tag == 256 else height)
    elif how:
        at = content.index(b"VP8L") + 9
        kept = int.from_bytes(content[at : at + 4], "little") >> 28
        content[at : at + 4] = (kept << 28 | (height - 1) << 14 | width - 1).to_bytes(4, "little")
    else:
        at = content.index(b"\x9d\x01\x2a") + 3
        content[at : at + 4] = struct.pack("<HH", width, height)
    return bytes(content)


# The decoder of AVIF scales an image to the size that the header says.
@pytest.mark.parametrize("name", [name for name in EVERY_FORMAT if name != "avif"])
def test_a_header_over_far_too_little_data_is_refused(name: str) -> None:
    open_image(claims(name, 32, 24))  # what it is
    with pytest.raises(DataError, match=r"incomplete|truncated"):
        open_image(claims(name, 7000, 7000))


def test_a_jpeg_over_far_too_little_data_is_seen_without_decoding() -> None:
    for name in ("jpeg", "progressive jpeg"):
        with pytest.raises(DataError, match=r"incomplete: .* bytes of JPEG data can't hold so many pixels"):
            check_image(claims(name, 7000, 7000))


@pytest.mark.parametrize(("width", "height"), [(32, 25), (32, 48), (33, 24)])
def test_a_png_that_lacks_a_row_is_refused(width: int, height: int) -> None:
    with pytest.raises(DataError, match=r"incomplete: [\d,]+ bytes of its pixels are not there"):
        open_image(claims("png", width, height))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"optimize": True},
        {"progressive": True},
        {"optimize": True, "progressive": True, "subsampling": 0},
        {"optimize": True, "subsampling": 2},
        {"restart_marker_blocks": 3},
    ],
    ids=str,
)
def test_the_emptiest_jpegs_are_whole(mode: str, how: dict[str, Any]) -> None:
    for size in ((1, 1), (9, 17), (801, 97), (640, 640)):
        assert open_image(encoded(Image.new(mode, size), "JPEG", quality=1, **how)).size == size


def test_an_interlaced_png_has_its_pixels() -> None:
    for height, width in ((1, 1), (2, 3), (7, 11), (16, 16), (9, 5)):
        values = np.random.default_rng(height).integers(0, 256, (height, width), dtype=np.uint8)
        assert np.array_equal(pixels(interlaced(values))[:, :, 0], values)
    with pytest.raises(DataError, match="incomplete: 12 bytes"):
        open_image(interlaced(GREY, further=1))


def test_the_pixels_of_a_large_png_are_counted_to_the_byte() -> None:
    row = b"\0" + np.random.default_rng(0).bytes(1999)
    header = (1999, 1500, 8, 0, 0, 0, 0)
    check_filled(png_of(row * 1500, header))
    check_filled(png_of(row * 1600, header))  # what is too much is not shown
    check_filled(png_of(bytes(2000 * 1500), header))
    for rows in (row * 1499 + row[:-1], bytes(2000 * 1500 - 1)):
        with pytest.raises(NotWholeError, match="incomplete: 1 bytes"):
            check_filled(png_of(rows, header))


def test_fill_bytes_and_restarts_are_part_of_a_jpeg() -> None:
    content = encoded(SMOOTH, "JPEG", restart_marker_blocks=1)
    assert b"\xff\xd0" in content
    filled = content.replace(b"\xff\xda", b"\xff\xff\xff\xff\xda").replace(b"\xff\xd9", b"\xff\xff\xd9")
    assert np.array_equal(pixels(filled), pixels(content))


def test_a_jpeg_without_a_scan_is_not_whole() -> None:
    content = encoded(SMOOTH, "JPEG")
    with pytest.raises(DataError, match="incomplete: 0 bytes"):
        check_image(content[: content.index(b"\xff\xda")] + b"\xff\xd9")


# How slowly a busy machine draws says nothing of the code.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "AVIF"]), data=st.data())
def test_any_bytes_are_whole_or_not(kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(SMALL, kind))
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(12, len(content) - 1), st.integers(0, 255)), max_size=9)
    ):
        content[at] = value
    damaged = bytes(content)[: data.draw(st.integers(12, len(content)))]
    assert kind_of(damaged) == kind
    with contextlib.suppress(NotWholeError):  # and no other error
        check_whole(damaged, kind)
        if kind == "PNG":
            check_filled(damaged)
