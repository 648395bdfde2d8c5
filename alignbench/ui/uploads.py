"""The one file that a browser may give: an image, opened with the caps of the datasets."""

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
    root = folder.resolve()
    if not real.is_relative_to(root) or file.is_symlink():
        raise DataError("only an image that was uploaded here is opened")
    data = read_image_file(real, root=root, most=MAX_FILE)
    return file.name, open_image(data, name=describe(file), max_pixels=MAX_PIXELS)


def preview(name: str, image: Image) -> str:
    """Return the image in small as HTML."""
    small = image.copy()
    small.thumbnail((320, 320))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    said = f"{html.escape(clean(name))}, {image.width} x {image.height}"
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure class="ab-upload"><img alt="{said}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{said}</figcaption></figure>"
    )
