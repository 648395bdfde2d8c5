"""The file that an image's name means: looked for in a few folders, and never outside them."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from alignbench.datasets.row import shown
from alignbench.errors import DataError
from alignbench.paths import is_dir

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IMAGES = "images"
NOT_FOUND = "no such file in"
_PREFIXES = ("./", f"{IMAGES}/")
_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def image_folder(folder: Path) -> Path:
    """Return the folder `images` beside a label file, or `Images`, as Flickr8k spells it."""
    usual, capital = folder / IMAGES, folder / IMAGES.capitalize()
    return capital if is_dir(capital) and not is_dir(usual) else usual


def find_image(name: str, folders: Sequence[Path], *, follow_links: bool = False) -> tuple[Path, Path | None]:
    """Return the file that an image's name means, and the folder below which no link is followed.

    The name is looked for in each folder, with and without `images/` in front, in the Unicode forms that file
    systems use, and with backslashes read as slashes. An absolute name, or one that begins with `file://`, is
    accepted if it leads into one of the folders.

    Args:
        name: the name as the data has it.
        folders: the folders.
        follow_links: whether a link may lead out of the folder; the second value is then None.

    Raises:
        DataError: it is a URL, no file has the name, several have it, or it leads out of the folders.
    """
    if _URL.match(name):
        raise DataError(f"image {shown(name)}: a URL; download the images first, such as with img2dataset")
    inside = _below(name, folders)
    places: dict[Path, Path] = {}
    for folder in folders:
        for spelling in _spellings(inside):
            check_name(spelling)
            try:
                exists = os.path.lexists(folder / spelling)
            except (OSError, ValueError) as error:
                raise DataError(f"image {shown(name)}: can't be followed ({_reason(error)})") from error
            if exists:
                places.setdefault(resolve_under(folder, spelling, follow_links=follow_links), folder)
    if len(places) > 1:
        first, second = list(places)[:2]
        raise DataError(
            f"image {shown(name)}: two files have this name, {str(first)!r} and {str(second)!r}; "
            "remove one, or name it with its folder"
        )
    if not places:
        searched = " or ".join(repr(str(folder)) for folder in folders) or "any folder"
        raise DataError(f"image {shown(name)}: {NOT_FOUND} {searched}")
    ((path, folder),) = places.items()
    return path, None if follow_links else folder.resolve()


def resolve_under(root: Path, name: str, *, follow_links: bool = False) -> Path:
    """Return the file called `name` under `root`, with all links resolved.

    Raises:
        DataError: the name is absolute, has a `..`, or leads out of the root by a link.
    """
    check_name(name)
    try:
        resolved = (root / name).resolve()
        inside = follow_links or resolved.is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"image {shown(name)}: the path can't be followed ({_reason(error)})") from error
    if not inside:
        raise DataError(
            f"image {shown(name)}: a link leads out of the image root; --align-follow-links permits that"
        )
    return resolved


def check_name(name: str) -> None:
    """Refuse an image name that could lead out of its root, on this or another operating system.

    Raises:
        DataError: it is empty, absolute, or has a `..`.
    """
    if not name or "\0" in name:
        raise DataError(f"image {shown(name)}: not a file name")
    for flavour in (PurePosixPath(name), PureWindowsPath(name)):
        if flavour.anchor:
            raise DataError(f"image {shown(name)}: an absolute path; images are named relative to their root")
        if ".." in flavour.parts:
            raise DataError(f"image {shown(name)}: '..' in the path; images are named relative to their root")


def image_key(name: str) -> str:
    """Return an image's name in the form in which rows about the same image agree."""
    if "\\" in name:
        name = name.replace("\\", "/")
    if name.startswith(_PREFIXES):
        name = name.removeprefix("./").removeprefix(f"{IMAGES}/")
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def first_folder(name: str) -> str:
    """Return the first folder in an image's name, apart from `images/`; "" if there is none."""
    folder, slash, _ = image_key(name).partition("/")
    return folder if slash else ""


def _below(name: str, folders: Sequence[Path]) -> str:
    """Return an absolute name that leads into one of the folders relative to it; any other as it is."""
    path = unquote(urlsplit(name).path) if name.lower().startswith("file:") else name
    if not PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        return path
    for folder in folders:
        for root in (folder.absolute(), folder.resolve()):
            if Path(path) != root and Path(path).is_relative_to(root):
                return str(Path(path).relative_to(root))
    return path


def _spellings(name: str) -> Iterator[str]:
    slashed = dict.fromkeys((name, name.replace("\\", "/")))
    short = dict.fromkeys(spelling for one in slashed for spelling in (one, one.removeprefix(f"{IMAGES}/")))
    for spelling in short:
        yield from dict.fromkeys(
            (spelling, unicodedata.normalize("NFC", spelling), unicodedata.normalize("NFD", spelling))
        )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())
