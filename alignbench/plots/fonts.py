"""Fallback fonts: installed families that have the letters which the first font lacks.

matplotlib takes each letter from the first of a text's families that has it. It makes its list of fonts once
and keeps it, so fonts that were installed later are looked for as well before a letter is given up.
"""

from __future__ import annotations

import logging
import unicodedata
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontEntry
    from matplotlib.text import Text

FIRST = "DejaVu Sans"  # comes with matplotlib
FAMILIES = (FIRST, "Verdana", "Arial", "Helvetica")
_LIKELY = ("cjk", "source han", "noto sans", "gothic", "hei", "pingfang", "fallback", "unicode", "sans")
_PACKAGES = {
    "fonts-noto-cjk": ("CJK", "HANGUL", "HIRAGANA", "KATAKANA", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH"),
    "fonts-noto": ("",),
}
_MOST_LISTED = 5


class FallbackFonts(NamedTuple):
    """The fonts that stand in for the first font where it lacks letters.

    Args:
        families: the families that have these letters; the first has most of them.
        missing: the letters that no installed font has.
    """

    families: tuple[str, ...] = ()
    missing: frozenset[str] = frozenset()


def fallback_fonts(figure: Figure) -> FallbackFonts:
    """Return the families that a figure's texts need besides the first font, and letters that none has."""
    lacking = frozenset().union(*(_lacking(text.get_text()) for text in _texts(figure)))
    return families_with(lacking) if lacking else FallbackFonts()


def set_fallback_fonts(figure: Figure) -> None:
    """Give fallback families to those texts of a figure that need them."""
    families = fallback_fonts(figure).families
    if not families:
        return
    for text in _texts(figure):
        if _lacking(text.get_text()):
            text.set_fontfamily(["sans-serif", *families])


def boxes_message(letters: Iterable[str]) -> str:
    """Return the sentence that says which letters are boxes in figures and what to install, or ""."""
    missing = sorted(letters)
    if not missing:
        return ""
    listed = ", ".join(missing[:_MOST_LISTED])
    if len(missing) > _MOST_LISTED:
        listed += ", ..."
    packages = dict.fromkeys(_package(letter) for letter in missing)
    install = f"apt install {' '.join(packages)}"
    return (
        f"figures show boxes instead of {plural(len(missing), 'letter')} ({listed}) that no installed font "
        f"has; install fonts that have them (on Debian or Ubuntu: {install}) and repeat the run"
    )


@contextmanager
def any_weight() -> Iterator[None]:
    """Let a bold text be regular where its family has no bold face, without a warning in matplotlib's log."""
    log = logging.getLogger("matplotlib.font_manager")
    log.addFilter(_is_not_about_weight)
    try:
        yield
    finally:
        log.removeFilter(_is_not_about_weight)


def _is_not_about_weight(record: logging.LogRecord) -> bool:
    return "Failed to find font weight" not in record.getMessage()


def _texts(figure: Figure) -> Iterator[Text]:
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        yield text


@lru_cache(maxsize=4096)
def _lacking(text: str) -> frozenset[str]:
    """Return the letters of a text that the first font lacks."""
    if text.isascii():
        return frozenset()
    return frozenset(c for c in text if not c.isspace() and ord(c) not in _first_letters())


@lru_cache(maxsize=1)
def _first_letters() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(FIRST)).get_charmap())


@lru_cache(maxsize=64)
def families_with(letters: frozenset[str]) -> FallbackFonts:
    """Return one family that has all the letters, or else several, each with most of those still missing."""
    from matplotlib.font_manager import fontManager

    fonts = _choose_families(letters, fontManager.ttflist)
    if fonts.missing and (new := list(_newly_installed())):
        more = _choose_families(fonts.missing, new)
        fonts = FallbackFonts((*fonts.families, *more.families), more.missing)
    return fonts


def _choose_families(letters: frozenset[str], entries: Iterable[FontEntry]) -> FallbackFonts:
    families: dict[str, FontEntry] = {}
    for entry in sorted(entries, key=_plainness):
        if not entry.name.startswith("Last Resort"):  # this family has a box for every letter
            families.setdefault(entry.name, entry)
    has: dict[str, frozenset[str]] = {}
    for name in sorted(families, key=_likelihood):
        has[name] = _letters_in(families[name], letters)
        if has[name] == letters:
            return FallbackFonts((name,))
    chosen: list[str] = []
    while letters and has:
        best = max(has, key=lambda name: len(has[name] & letters))
        if not has[best] & letters:
            break
        chosen.append(best)
        letters -= has[best]
    return FallbackFonts(tuple(chosen), letters)


def _plainness(entry: FontEntry) -> tuple[bool, int, str]:
    """Sort a family's upright, regular face first."""
    weight = entry.weight if isinstance(entry.weight, int) else 400
    return entry.style != "normal", abs(weight - 400), entry.fname


def _likelihood(family: str) -> tuple[int, str]:
    """Sort the families first that are likely to have all letters, so that few files are opened."""
    name = family.lower()
    return next((i for i, part in enumerate(_LIKELY) if part in name), len(_LIKELY)), family


def _letters_in(entry: FontEntry, letters: frozenset[str]) -> frozenset[str]:
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(entry.fname)
    except (OSError, RuntimeError):  # the file is gone since the list was made, or it is broken
        return frozenset()
    return frozenset(letter for letter in letters if font.get_char_index(ord(letter)))


def _newly_installed() -> Iterator[FontEntry]:
    """Add the fonts of the system that matplotlib's list lacks to that list, and yield them."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {entry.fname for entry in fontManager.ttflist}
    for path in sorted(set(findSystemFonts()) - known):
        before = len(fontManager.ttflist)
        with suppress(Exception):  # a broken font may raise anything
            fontManager.addfont(path)
        yield from fontManager.ttflist[before:]


def _package(letter: str) -> str:
    name = unicodedata.name(letter, "")
    return next(package for package, starts in _PACKAGES.items() if name.startswith(starts))
