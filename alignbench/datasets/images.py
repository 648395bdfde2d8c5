"""Opening image files that nobody vouches for: allow-listed, capped, complete, upright, RGB."""

from __future__ import annotations

import io
import stat
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 128 * 2**20
# Resizing the short side to 224 makes 224 x 22,400 of a 100:1 strip, and a memory bomb of a 100,000:1 one.
MAX_ASPECT = 100

_ORIENTATION_TAG = 0x0112


def open_image(source: Path | bytes, *, data: bytes | None = None, max_pixels: int = MAX_PIXELS) -> Image:
    """Return the image of an encoded file, decoded in full: upright, opaque, 8-bit RGB.

    EXIF orientation is applied; transparency is composited on white; 16-bit grey is scaled, not clipped;
    CMYK, palette and grey are converted.

    Args:
        source: the file, or its bytes; names it in errors.
        data: the file's bytes, where they are at hand.
        max_pixels: the most pixels (width x height) that are decoded; read from the header, before any pixel
            is.

    Raises:
        DataError: not a regular file, too large, of a format that is not in `FORMATS`, more pixels than
            allowed, an animation, truncated or broken; in one line with the file's name.
    """
    name = describe(source)
    data = read_image_file(source) if data is None else data
    image = _open(data, name, max_pixels)
    try:
        image.load()
        return _to_rgb(_upright(image))
    except Exception as error:  # the parsers of Pillow raise whatever a hostile file makes them raise
        raise DataError(f"image {name}: broken or truncated ({_reason(error)})") from error


def check_image(source: Path | bytes, *, data: bytes | None = None, max_pixels: int = MAX_PIXELS) -> None:
    """Check what can be known of an image without decoding it: format, size, and that the file is complete.

    It costs a read and a walk over the header; what only decoding shows (a broken bit stream) is left to
    `open_image`.

    Args:
        source: the file, or its bytes; names it in errors.
        data: the file's bytes, where they are at hand.
        max_pixels: as in `open_image`.

    Raises:
        DataError: as `open_image`.
    """
    name = describe(source)
    data = read_image_file(source) if data is None else data
    image = _open(data, name, max_pixels)
    if not _is_complete(data, str(image.format)):
        raise DataError(f"image {name}: truncated: the {image.format} file ends before its image does")


def read_image_file(source: Path | bytes) -> bytes:
    """Return the bytes of an encoded image.

    Raises:
        DataError: there is no such regular file, it can't be read, or it is larger than `MAX_FILE_BYTES`.
    """
    if isinstance(source, bytes):
        return source
    name = describe(source)
    try:
        status = source.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"image {name}: not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise DataError(f"image {name}: {status.st_size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        return source.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"image {name}: no such file in {str(source.parent)!r}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"image {name}: can't be read ({_reason(error)})") from error


def describe(source: Path | bytes) -> str:
    """Return an image's name for messages; `repr` keeps line breaks and control characters out."""
    if isinstance(source, bytes):
        return f"of {len(source):,} bytes in memory"
    return repr(source.name if len(source.name) <= 120 else source.name[:117] + "...")


def _open(data: bytes, name: str, max_pixels: int) -> Image:
    """Read the header, and refuse what must not be decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise DataError(f"image {name}: not one of {', '.join(FORMATS)}, whatever its name says") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"image {name}: too many pixels ({_reason(error)})") from error
    except Exception as error:
        raise DataError(f"image {name}: broken or truncated ({_reason(error)})") from error
    width, height = image.size
    # What Pillow only warns of is refused, too. (Turning its warning into an error by a filter is no option:
    # images are opened in threads, and the filters are the process's.)
    allowed = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
    if width * height > allowed:
        raise DataError(
            f"image {name}: {width} x {height} are too many pixels; at most {allowed:,} are decoded"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise DataError(f"image {name}: {width} x {height} is a strip; at most {MAX_ASPECT}:1 is taken")
    frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    if frames > 1:
        raise DataError(f"image {name}: an animation of {frames} frames; expected one still image")
    return image


def _is_complete(data: bytes, kind: str) -> bool:
    """Say whether the container's end is there, without decoding what is in it."""
    if kind == "PNG":
        return b"IEND" in data[-64 * 1024 :]
    if kind in ("JPEG", "MPO"):
        # After the last start-of-scan there is an end-of-image: a thumbnail's own pair comes before the
        # scans, and inside a scan every 0xFF is stuffed with a zero.
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    return True  # WebP's decoder asks for the whole file at once; a BMP's length field is often wrong


def _upright(image: Image) -> Image:
    """Apply the EXIF orientation; EXIF that can't be parsed says nothing, as in browsers."""
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
    except Exception:  # as in open_image: any error may come out of a hostile block
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
    """Scale 0..65535 to 0..255; Pillow's own conversion clips at 255 and gives a white picture."""
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
