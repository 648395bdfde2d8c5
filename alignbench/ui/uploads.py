"""The one file that a browser may give: an image, opened with the caps of the datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.datasets import open_image
from alignbench.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_FILE = 32 * 2**20
MAX_PIXELS = 40_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def open_upload(path: str | None, folder: Path) -> tuple[str, Image] | None:
    """Return an uploaded image with its name; None where there is none.

    Args:
        path: as the page's server says it.
        folder: where that server puts uploads: nothing else is opened, whatever the path says.

    Raises:
        DataError: it is not an upload, or not an image that can be used.
    """
    if path is None:
        return None
    file = Path(path)
    try:
        real = file.resolve(strict=True)
    except (OSError, ValueError) as error:
        raise DataError("the uploaded image is gone; upload it again") from error
    if not real.is_relative_to(folder.resolve()) or file.is_symlink():
        raise DataError("only an image that was uploaded here is opened")
    size = real.stat().st_size
    if size > MAX_FILE:
        raise DataError(f"image {file.name!r}: {size:,} bytes; at most {MAX_FILE:,} are taken")
    return file.name, open_image(real, max_pixels=MAX_PIXELS)
