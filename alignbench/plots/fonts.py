"""Fonts behind the Latin one: an installed family for letters that it lacks, looked for where there are any.

matplotlib takes a letter from the first of a text's families that has it. Its own list of fonts is made once
and kept, so a font that was installed since then is looked for as well before letters are given up.
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
_MOST_SHOWN = 5


class Behind(NamedTuple):
    """What stands behind the first font for some letters.

    Args:
        families: that have letters which it lacks; the first has most of them.
        missing: the letters that no installed font has.
    """

    families: tuple[str, ...] = ()
    missing: frozenset[str] = frozenset()


def behind(figure: Figure) -> Behind:
    """Return the families that a figure's texts need behind the first font, and what letters remain boxes."""
    lacking = frozenset().union(*(_lacking(text.get_text()) for text in _texts(figure)))
    return families_with(lacking) if lacking else Behind()


def stand_behind(figure: Figure) -> None:
    """Give the texts of a figure that need them families behind the first font."""
    families = behind(figure).families
    for text in _texts(figure) if families else ():
        if _lacking(text.get_text()):
            text.set_fontfamily(["sans-serif", *families])


def boxes(letters: Iterable[str]) -> str:
    """Return the sentence that says which letters are boxes in figures and what to install; "" of none."""
    found = sorted(letters)
    if not found:
        return ""
    shown = ", ".join(found[:_MOST_SHOWN]) + (", ..." if len(found) > _MOST_SHOWN else "")
    packages = dict.fromkeys(_package(letter) for letter in found)
    install = f"apt install {' '.join(packages)}"
    return (
        f"figures show boxes instead of {plural(len(found), 'letter')} ({shown}) that no installed font has; "
        f"install fonts that have them (on Debian or Ubuntu: {install}) and make the run anew"
    )


@contextmanager
def any_weight() -> Iterator[None]:
    """Let a bold text be regular where its family has no bold face, without a word of matplotlib's log."""
    log = logging.getLogger("matplotlib.font_manager")
    log.addFilter(_of_no_weight)
    try:
        yield
    finally:
        log.removeFilter(_of_no_weight)


def _of_no_weight(record: logging.LogRecord) -> bool:
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
def families_with(letters: frozenset[str]) -> Behind:
    """Return the families that have the letters: one that has all, or those that have most, in turn."""
    from matplotlib.font_manager import fontManager

    found = _chosen(letters, fontManager.ttflist)
    if found.missing and (new := list(_installed_since())):
        more = _chosen(found.missing, new)
        found = Behind((*found.families, *more.families), more.missing)
    return found


def _chosen(letters: frozenset[str], entries: Iterable[FontEntry]) -> Behind:
    families: dict[str, FontEntry] = {}
    for entry in sorted(entries, key=_plainness):
        if not entry.name.startswith("Last Resort"):  # which has a box for every letter
            families.setdefault(entry.name, entry)
    has: dict[str, frozenset[str]] = {}
    for name in sorted(families, key=_likelihood):
        has[name] = _letters_in(families[name], letters)
        if has[name] == letters:
            return Behind((name,))
    chosen: list[str] = []
    while letters and has:
        best = max(has, key=lambda name: len(has[name] & letters))
        if not has[best] & letters:
            break
        chosen.append(best)
        letters -= has[best]
    return Behind(tuple(chosen), letters)


def _plainness(entry: FontEntry) -> tuple[bool, int, str]:
    """Sort a family's upright, regular face first."""
    weight = entry.weight if isinstance(entry.weight, int) else 400
    return entry.style != "normal", abs(weight - 400), entry.fname


def _likelihood(family: str) -> tuple[int, str]:
    """Sort families first that are likely to have all, so that few are opened."""
    name = family.lower()
    return next((i for i, part in enumerate(_LIKELY) if part in name), len(_LIKELY)), family


def _letters_in(entry: FontEntry, letters: frozenset[str]) -> frozenset[str]:
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(entry.fname)
    except (OSError, RuntimeError):  # gone since the list was made, or broken
        return frozenset()
    return frozenset(letter for letter in letters if font.get_char_index(ord(letter)))


def _installed_since() -> Iterator[FontEntry]:
    """Yield the fonts of the system that matplotlib's own list does not know; it knows them then."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {entry.fname for entry in fontManager.ttflist}
    for path in sorted(set(findSystemFonts()) - known):
        before = len(fontManager.ttflist)
        with suppress(Exception):  # whatever a broken font raises
            fontManager.addfont(path)
        yield from fontManager.ttflist[before:]


def _package(letter: str) -> str:
    name = unicodedata.name(letter, "")
    return next(package for package, starts in _PACKAGES.items() if name.startswith(starts))
