"""Fonts for any text: a drawing's own face, then fonts of many scripts, then those of the system."""

from __future__ import annotations

import importlib.util
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PIL import ImageFont, features

from alignbench.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Faces in addition to Pillow's own; matplotlib, which the figures need anyway, ships them.
FACES = {"serif": "DejaVuSerif.ttf", "mono": "DejaVuSansMono.ttf", "sans": "DejaVuSans.ttf"}
_NO_CHARACTER = (
    "\U0010ffff"  # Unicode guarantees that it is never assigned, so every font shows its sign for "missing"
)
_PROBE = 32.0  # size in pixels at which a sign is compared with the one for "missing"
_RIGHT_TO_LEFT = frozenset({"R", "AL"})
_EAST_ASIAN = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA", "BOPOMOFO")


@lru_cache(maxsize=128)
def font(size: float, face: str = "") -> ImageFont.FreeTypeFont:
    """Return Pillow's built-in scalable font at `size` pixels, one of `FACES`, or the font in a file.

    Raises:
        OSError: the file holds no font that can be drawn at this size.
    """
    if not face:
        return cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))
    return ImageFont.truetype(str(_font_folder() / FACES[face]) if face in FACES else face, size)


@lru_cache(maxsize=1)
def _font_folder() -> Path:
    """Return where matplotlib has its fonts, without importing it."""
    spec = importlib.util.find_spec("matplotlib")
    places = list(spec.submodule_search_locations or ()) if spec else []
    folder = Path(places[0]) / "mpl-data" / "fonts" / "ttf" if places else Path()
    if not (folder / FACES["serif"]).is_file():
        raise DataError(f"fonts of other drawings: expected {FACES['serif']} with matplotlib; reinstall it")
    return folder


@lru_cache(maxsize=4096)
def pieces(text: str, face: str = "") -> tuple[tuple[str, str], ...]:
    """Return `text` in pieces of one font each: (face, piece), in writing order.

    Every character is drawn in the first font that has it: `face`, DejaVu Sans, then those of the system.
    Text that runs from right to left is one piece, because only a whole text can be put in order.

    Raises:
        InputError: no font here has a character, or a script can't be typeset.
    """
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text):
        return ((_face_of_all(text, face), text),)
    pieces: list[tuple[str, str]] = []
    for character in text:
        last = pieces[-1][0] if pieces else face
        stays = unicodedata.combining(character) and _has(last, character)
        own = last if stays or character.isspace() else _face_of(character, face)
        if pieces and own == last:
            pieces[-1] = (own, pieces[-1][1] + character)
        else:
            pieces.append((own, character))
    return tuple(pieces)


@lru_cache(maxsize=4096)
def _face_of(character: str, face: str) -> str:
    for candidate in _candidates(face):
        if _has(candidate, character):
            return candidate
    name = unicodedata.name(character, "a character without a name")
    package = "fonts-noto-cjk" if name.startswith(_EAST_ASIAN) else "fonts-noto"
    raise InputError(
        f"no font of this machine has {character!r} (U+{ord(character):04X}, {name}); install one that has, "
        f"such as the system's package {package}"
    )


def _face_of_all(text: str, face: str) -> str:
    if not features.check("raqm"):
        raise InputError(
            f"{text[:40]!r} runs from right to left, which this pillow can't set; install one with raqm"
        )
    for candidate in _candidates(face):
        if all(character.isspace() or _has(candidate, character) for character in text):
            return candidate
    raise InputError(
        f"no font of this machine has all characters of {text[:40]!r}, which runs from right to left; "
        "install one that has, such as the system's package fonts-noto"
    )


def _candidates(face: str) -> Iterator[str]:
    yield face
    yield "sans"
    yield from system_fonts()


@lru_cache(maxsize=1)
def system_fonts() -> tuple[str, ...]:
    """Return the system's font files: sans serif of regular weight first, then by name."""
    from matplotlib.font_manager import findSystemFonts

    def order(path: str) -> tuple[bool, bool, str]:
        name = Path(path).name.lower()
        return "regular" not in name, "serif" in name, path

    return tuple(sorted(findSystemFonts(), key=order))


@lru_cache(maxsize=16384)
def _has(face: str, character: str) -> bool:
    """Whether a font has its own sign for a character."""
    try:
        signs = [font(_PROBE, face).getmask(one) for one in (character, _NO_CHARACTER)]
    except OSError:  # not every font file can be scaled: emoji pictures can't
        return False
    return (signs[0].size, bytes(signs[0])) != (signs[1].size, bytes(signs[1]))
