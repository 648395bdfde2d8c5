"""Whether an encoded image is complete: its container is parsed marker by marker, without decoding pixels.

Whatever follows the image's own end (a video, padding, the rest of an older file) is not part of it. PNG has
a checksum on every chunk, so damage shows. The other formats have none: all that can be checked is that the
end is there and, for some, that there are enough bytes for the pixels.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"

# In a JPEG, a marker that is neither a stuffed zero nor a restart nor a fill byte begins a segment.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_TEMPORARY, _START, _END, _SCAN = 0x01, 0xD8, 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# The fewest bits of a block of 8 x 8 values, by the kind of frame. A Huffman code has at least one bit: one
# for the mean and one to end the rest, or, where the rest comes in scans of its own, one for the mean.
_FEWEST_BITS = {0xC0: 2, 0xC1: 2, 0xC2: 1}

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by colour type
# Where each pass of an interlaced PNG begins (x, y), and its step widths.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_INFLATE_BYTES = 2**20


class NotWholeError(ValueError):
    """The file is incomplete, or differs from what was written."""


def check_whole(data: bytes, kind: str) -> None:
    """Check that the image's end is there and, where the format has checksums, that they are right.

    A BMP is not checked: its own length field is often wrong. A TIFF needs its header to be read first.

    Raises:
        NotWholeError: the image is cut off or damaged.
    """
    if kind == "PNG":
        for _ in _chunks(data):
            pass
    elif kind == "JPEG":
        _check_jpeg(data)
    elif kind == "WEBP" and len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise NotWholeError("truncated: the WEBP file ends before its image does")
    elif kind == "GIF":
        _check_gif(data)
    elif kind == "AVIF":
        _check_boxes(data)


def check_filled(data: bytes) -> None:
    """Check that a PNG's compressed data are as long as its header says; this costs half a decoding.

    Raises:
        NotWholeError: they are shorter (a decoder would leave the last rows black), or can't be inflated.
    """
    missing = 0
    inflate = zlib.decompressobj()
    for kind, content in _chunks(data):
        if kind == b"IHDR":
            missing = _raw_bytes(content)
        while kind == b"IDAT" and missing > 0 and content and not inflate.eof:
            try:
                missing -= len(inflate.decompress(content, _INFLATE_BYTES))
            except zlib.error as error:
                raise NotWholeError(f"damaged: its pixels can't be inflated ({error})") from error
            content = inflate.unconsumed_tail
    if missing > 0 and missing > len(inflate.flush()):
        raise NotWholeError(f"incomplete: {missing:,} bytes of its pixels are not there")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes | memoryview]]:
    """Yield the type and content of a PNG's chunks up to IEND, each with the right checksum.

    An ancillary chunk may say how the image is turned or what is transparent, and a wrong checksum anywhere
    means that the file differs from what was written, so no chunk is skipped.
    """
    view, at = memoryview(data), len(_PNG)
    kind = b""
    while kind != b"IEND":
        if len(data) < at + 12:
            raise NotWholeError("truncated: the PNG file ends before its image does")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if len(data) < end:
            raise NotWholeError("truncated: the PNG file ends before its image does")
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            name = kind.decode("ascii", "replace") if kind.isalpha() else repr(kind)[1:]
            raise NotWholeError(f"damaged: the checksum of a chunk {name} of the PNG file is wrong")
        yield kind, view[at + 8 : end - 4]
        at = end


def _raw_bytes(header: bytes | memoryview) -> int:
    """Return the size in bytes of a PNG's pixels and filter types before compression."""
    if len(header) < 13:
        raise NotWholeError("damaged: the header of the PNG file is too short")
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", header)
    total = 0
    for x, y, step_x, step_y in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -((x - width) // step_x), -((y - height) // step_y)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * depth * _CHANNELS.get(colour, 1) // 8))
    return total


def _check_jpeg(data: bytes) -> None:
    """Parse the segments and scans up to the end of the image, and count the bytes of the scans."""
    at, coded, fewest = 2, 0, 0
    marker = 0
    while marker != _END:
        found = _MARKER.search(data, at)
        if found is None:
            raise NotWholeError("truncated: the JPEG file ends before its image does")
        coded += found.start() - at if marker == _SCAN else 0
        marker, at = found[1][0], found.end()
        if marker in (_TEMPORARY, _START, _END):
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if marker in _FRAMES and not fewest:
            fewest = _fewest_bytes(marker, data[at + 2 : at + length])
        at += length
        if length < 2 or at > len(data):
            raise NotWholeError("truncated: the JPEG file ends before its image does")
    if coded < max(fewest, 1):
        raise NotWholeError(f"incomplete: {coded:,} bytes of JPEG data can't hold so many pixels")


def _fewest_bytes(marker: int, frame: bytes) -> int:
    """Return a lower bound on the bytes of the scans of this frame; 0 if there is none."""
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        return 0
    height, width = (int.from_bytes(frame[at : at + 2], "big") for at in (1, 3))
    sampling = [(frame[at] >> 4, frame[at] & 15) for at in range(7, 6 + 3 * frame[5], 3)]
    widest, highest = (max((pair[side] for pair in sampling), default=0) for side in (0, 1))
    if not (widest and highest):
        return 0
    blocks = sum(-(-width * h // (8 * widest)) * -(-height * v // (8 * highest)) for h, v in sampling)
    return _FEWEST_BITS.get(marker, 0) * blocks // 8


def _check_gif(data: bytes) -> None:
    """Parse the blocks up to the end of the first image."""
    try:
        at = 13 + _palette_bytes(data[10])
        while data[at] == 0x21:  # an extension
            at = _after_blocks(data, at + 2)
        if data[at] != 0x2C:
            raise NotWholeError("incomplete: the GIF file has no image")
        _after_blocks(data, at + 11 + _palette_bytes(data[at + 9]))
    except IndexError as error:
        raise NotWholeError("truncated: the GIF file ends before its image does") from error


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Return the offset behind a sequence of blocks of a GIF."""
    while data[at]:
        at += data[at] + 1
    return at + 1


def _check_boxes(data: bytes) -> None:
    """Check that the boxes of an AVIF are there, up to the pixels."""
    at, kind = 0, b""
    while kind != b"mdat":
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:  # up to the end of the file
            size = len(data) - at
        at += size
        if size < 8 or at > len(data):
            raise NotWholeError("truncated: the AVIF file ends before its image does")
