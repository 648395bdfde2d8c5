"""The run's figures as data in the page: for each, the smaller file that is still sharp."""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from alignbench.failures import missing
from alignbench.files import UnfitFileError, read_regular
from alignbench.plots import FIGURES
from alignbench.plots.declared import Caption, caption_of, shown_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.types import Failure, Score

MOST_BYTES = 4_500_000  # the limit for all figures together, before base64
_MOST_READ = 10 * MOST_BYTES  # the limit for reading one file
_SHARP = 2  # an SVG is taken unless it is more than this many times larger than the PNG
_POINT = 4 / 3  # pixels
_SVG_SIZE = re.compile(rb'<svg[^>]*?\swidth="([\d.]+)pt"\s+height="([\d.]+)pt"')
_SVG_NOISE = re.compile(rb"<metadata>.*?</metadata>|<!DOCTYPE[^>]*>|(?<=>)\s+(?=<)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FigureView:
    """A figure in the page.

    Args:
        name: the name of its files, without suffix.
        caption: the text beside it.
        source: a data URI; "" if it would make the page too large.
        file: the file that was chosen.
        width, height: the size in CSS pixels; 0 if it is unknown.
        missing: what it lacks because tests failed, or "".
    """

    name: str
    caption: Caption
    source: Markup
    file: str
    width: int
    height: int
    missing: str


def figure_views(
    folder: Path, failures: Sequence[Failure] = (), scores: Sequence[Score] = ()
) -> list[FigureView]:
    """Return the figures in a run's folder in the order of their declarations, then others by name.

    The run may come from somebody else, so links and pipes are ignored, and nothing outside the folder is
    read.

    Args:
        folder: the run's folder.
        failures: the run's failed tests.
        scores: the run's scores.
    """
    stems = {path.stem for path in folder.iterdir() if path.suffix in {".png", ".svg"} and _is_own(path)}
    order = [name for name in FIGURES if name in stems]
    room = MOST_BYTES
    views = []
    for name in [*order, *sorted(stems - set(order))]:
        path = _lighter(folder, name)
        data = _slim(path)
        fits = 0 < len(data) <= room
        room -= len(data) if fits else 0
        kind = "svg+xml" if path.suffix == ".svg" else "png"
        source = Markup(f"data:image/{kind};base64,{base64.b64encode(data).decode()}" if fits else "")
        lacks = missing(shown_in(name), failures, scores)
        views.append(FigureView(name, caption_of(name), source, path.name, *_size(data), lacks))
    return views


def _lighter(folder: Path, name: str) -> Path:
    """Return the SVG, which is sharp at every size, unless the PNG is much smaller."""
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    if not (_is_own(svg) and _is_own(png)):
        return svg if _is_own(svg) else png
    return svg if svg.stat().st_size <= _SHARP * png.stat().st_size else png


def _is_own(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _slim(path: Path) -> bytes:
    """Return the file's content, without the blanks and metadata that matplotlib puts into an SVG.

    The content of a file that is far too large is empty, because it would not fit into the page.
    """
    try:
        data = read_regular(path, _MOST_READ, root=path.parent)
    except UnfitFileError:
        return b""
    return _SVG_NOISE.sub(b"", data) if path.suffix == ".svg" else data


def _size(data: bytes) -> tuple[int, int]:
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return round(width * 96 / 150), round(height * 96 / 150)
    match = _SVG_SIZE.search(data[:2000])
    if match is None:
        return 0, 0
    return round(float(match[1]) * _POINT), round(float(match[2]) * _POINT)
