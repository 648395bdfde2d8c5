"""Uploads of images, the only files that a browser may send; they are opened like those of datasets."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.datasets.images import describe, open_image, read_image_file
from alignbench.errors import DataError
from alignbench.text import clean

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_FILE = 32 * 2**20
MAX_PIXELS = 40_000_000


def open_upload(path: str | None, folder: Path) -> tuple[str, Image] | None:
    """Return the name of an uploaded image and the image; None if there is no upload.

    Args:
        path: the path of the upload, which may be forged.
        folder: the folder of the server's uploads; nothing outside of it is opened.

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
    root = folder.resolve()
    if not real.is_relative_to(root) or file.is_symlink():
        raise DataError("only an image that was uploaded here is opened")
    data = read_image_file(real, root=root, most=MAX_FILE)
    return file.name, open_image(data, name=describe(file), max_pixels=MAX_PIXELS)


def preview(name: str, image: Image) -> str:
    """Return a small version of the image, with its name and size, as HTML."""
    small = image.copy()
    small.thumbnail((320, 320))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    caption = f"{html.escape(clean(name))}, {image.width} x {image.height}"
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure class="ab-upload"><img alt="{caption}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
