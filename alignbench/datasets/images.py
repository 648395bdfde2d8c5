"""Opening untrusted image files: from allowed formats, of limited size, complete, upright, RGB."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alignbench.datasets.containers import NotWholeError, check_filled, check_whole
from alignbench.datasets.formats import FORMATS, kind_of, name_of_other
from alignbench.errors import DataError
from alignbench.files import UnfitFileError, read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 128 * 2**20
# Resizing the short side to 224 makes 224 x 22,400 of a 100:1 strip, and a memory bomb of a 100,000:1 one.
MAX_ASPECT = 100

_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True, slots=True)
class Packed:
    """An image that is a part of a larger file, such as a member of an archive.

    Args:
        file: the file.
        offset: where the image begins in it.
        size: its number of bytes.
        name: its name in the file.
    """

    file: Path
    offset: int
    size: int
    name: str


def open_image(source: Path | bytes | Packed, *, name: str = "", max_pixels: int = MAX_PIXELS) -> Image:
    """Return the image of an encoded file, fully decoded: upright, opaque, 8-bit RGB.

    EXIF orientation is applied; transparency is composited on white; 16-bit grey is scaled, not clipped;
    CMYK, palette and grey are converted.

    Args:
        source: the file, or its bytes.
        name: the name of bytes in errors, from `describe`; a file has its own name.
        max_pixels: the largest number of pixels (width x height) that is decoded; it is checked against the
            header, before any pixel is read.

    Raises:
        DataError: it is not a regular file, is too large, has a format that is not in `FORMATS` or too many
            pixels, or is an animation, truncated or damaged; the message is one line with the file's name.
    """
    name = name or describe(source)
    data = read_image_file(source)
    image = _open(data, name, max_pixels)
    try:
        if image.format == "PNG":
            check_filled(data)
        image.load()
        return _to_rgb(_upright(image))
    except NotWholeError as error:
        raise DataError(f"image {name}: {error}") from error
    except Exception as error:  # the parsers of Pillow raise whatever a hostile file makes them raise
        raise DataError(f"image {name}: broken or truncated ({_reason(error)})") from error


def check_image(source: Path | bytes | Packed, *, name: str = "", max_pixels: int = MAX_PIXELS) -> None:
    """Check what can be known of an image without decoding it: format, size, checksums, completeness.

    This costs a read and a pass over the file; problems that only decoding shows (a broken bit stream) are
    left to `open_image`.

    Args:
        source: the file, or its bytes.
        name: see `open_image`.
        max_pixels: see `open_image`.

    Raises:
        DataError: see `open_image`.
    """
    _open(read_image_file(source), name or describe(source), max_pixels)


def read_image_file(
    source: Path | bytes | Packed, *, root: Path | None = None, most: int | None = None
) -> bytes:
    """Return the bytes of an encoded image. All images are read here.

    Args:
        source: the file; bytes are returned as they are.
        root: a folder that contains the file: no link below it is followed. None follows links.
        most: the largest size in bytes; `MAX_FILE_BYTES` by default.

    Raises:
        DataError: there is no such regular file, it can't be read, a link leads to it, or it is too large.
    """
    if isinstance(source, bytes):
        return source
    name = describe(source)
    try:
        if isinstance(source, Packed):
            return _part(source, MAX_FILE_BYTES if most is None else most)
        return read_regular(source, MAX_FILE_BYTES if most is None else most, root=root)
    except FileNotFoundError as error:
        folder = (source.file if isinstance(source, Packed) else source).parent
        raise DataError(f"image {name}: no such file in {str(folder)!r}") from error
    except UnfitFileError as error:
        raise DataError(f"image {name}: {error}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"image {name}: can't be read ({_reason(error)})") from error


def describe(source: Path | bytes | Packed) -> str:
    """Return an image's name for messages; `repr` escapes line breaks and control characters."""
    if isinstance(source, bytes):
        return f"of {len(source):,} bytes in memory"
    if isinstance(source, Packed):
        return f"{describe(Path(source.name))} in {describe(source.file)}"
    return repr(source.name if len(source.name) <= 120 else source.name[:117] + "...")


def _part(source: Packed, most: int) -> bytes:
    if source.size > most:
        raise UnfitFileError(f"{source.size:,} bytes; at most {most:,} are read")
    with source.file.open("rb") as stream:
        stream.seek(source.offset)
        content = stream.read(source.size)
    if len(content) != source.size:
        raise UnfitFileError("the file ends before the image does")
    return content


def _open(data: bytes, name: str, max_pixels: int) -> ImageFile:
    """Check the container, read the header, and refuse what must not be decoded."""
    from PIL import Image, UnidentifiedImageError, features

    kind = kind_of(data)
    if kind is None:
        other = name_of_other(data)
        what = "whatever its name says" if other is None else f"but {other}"
        raise DataError(f"image {name}: not one of {', '.join(FORMATS)}, {what}")
    try:
        check_whole(data, kind)
        image = Image.open(io.BytesIO(data), formats=(kind,))
    except NotWholeError as error:
        raise DataError(f"image {name}: {error}") from error
    except UnidentifiedImageError as error:
        if kind == "AVIF" and not features.check("avif"):
            raise DataError(f"image {name}: this Pillow was built without AVIF") from error
        raise DataError(f"image {name}: broken: its {kind} header can't be read") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"image {name}: too many pixels ({_reason(error)})") from error
    except Exception as error:
        raise DataError(f"image {name}: broken or truncated ({_reason(error)})") from error
    width, height = image.size
    # What Pillow only warns about is refused. (Turning its warning into an error with a filter is not an
    # option: images are opened in threads, and filters apply to the whole process.)
    allowed = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
    if width * height > allowed:
        raise DataError(
            f"image {name}: {width} x {height} are too many pixels; at most {allowed:,} are decoded"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise DataError(f"image {name}: {width} x {height} is a strip; at most {MAX_ASPECT}:1 is taken")
    # The first image of a GIF is taken, and that of an MPO is the photo that cameras mean.
    frames = 1 if image.format in {"MPO", "GIF"} else int(getattr(image, "n_frames", 1))
    if frames > 1:
        what = "a document of {} pages" if kind == "TIFF" else "an animation of {} frames"
        raise DataError(f"image {name}: {what.format(frames)}; expected one still image")
    if kind == "TIFF" and len(data) < _end_of_strips(image):
        raise DataError(f"image {name}: truncated: the TIFF file ends before its image does")
    if kind == "BMP" and len(data) < _end_of_rows(image):
        raise DataError(f"image {name}: truncated: the BMP file ends before its image does")
    return image


def _end_of_rows(image: ImageFile) -> int:
    """Return the offset in bytes of the end of the rows of an uncompressed BMP; 0 for a compressed one."""
    codec, _, offset, how = image.tile[0]
    return offset + image.height * how[1] if codec == "raw" and isinstance(how, tuple) else 0


def _end_of_strips(image: ImageFile) -> int:
    """Return the offset in bytes of the end of the strips or tiles of a TIFF; 0 if it does not name them."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    for offsets, sizes in ((273, 279), (324, 325)):
        if tags.get(offsets) and tags.get(sizes):
            return max(int(at) + int(size) for at, size in zip(tags[offsets], tags[sizes], strict=False))
    return 0


def _upright(image: Image) -> Image:
    """Apply the EXIF orientation; EXIF that can't be parsed is ignored, as in browsers."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # as in open_image, a hostile block may raise any error
        return image
    turn = turns.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image) -> Image:
    from PIL import Image

    if image.mode in ("I", "I;16", "I;16L", "I;16B"):
        return _grey_16_to_rgb(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _grey_16_to_rgb(image: Image) -> Image:
    """Scale 0..65535 to 0..255; Pillow's own conversion clips at 255, which gives a white picture."""
    from PIL import Image

    values = np.asarray(image).astype(np.uint32)
    if values.max(initial=0) > 0xFFFF:
        raise ValueError("more than 16 bits a sample")
    grey = ((values * 255 + 0x7FFF) // 0xFFFF).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _reason(error: Exception) -> str:
    """Return an exception's message in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:117] + "..."
