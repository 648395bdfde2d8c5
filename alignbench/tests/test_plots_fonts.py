"""Letters that the first font lacks: taken from an installed family, or said once to be boxes."""

from __future__ import annotations

import logging
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from alignbench.plots import FIGURES, FigureInputs, fonts, save, save_for_paper
from alignbench.plots.drawing import Drawing, draw_all, draw_silently
from alignbench.tests.report_fakes import make_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

KOREAN, KANJI = "비전", "図表"
NAMES = ("비전-mini", "clip")


def make_font(path: Path, family: str, letters: str, width: int = 1000) -> Path:
    """Write a font whose letters are triangles, and take so many thousandths of the em."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((500, 800))
    pen.lineTo((1000, 0))
    pen.closePath()
    glyph = pen.glyph()
    names = [".notdef", *(f"g{i}" for i in range(len(letters)))]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord(c): name for c, name in zip(letters, names[1:], strict=True)})
    font.setupGlyf(dict.fromkeys(names, glyph))
    font.setupHorizontalMetrics(dict.fromkeys(names, (width, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": family, "styleName": "Regular", "psName": family.replace(" ", "")})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    return path


@pytest.fixture(autouse=True)
def no_other_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the system have none but matplotlib's own fonts, and remember nothing from test to test."""
    own = [e for e in font_manager.fontManager.ttflist if "mpl-data" in e.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda *a, **k: [])
    forget = fonts.families_with.cache_clear
    forget()
    yield
    forget()


def korean() -> FigureInputs:
    return make_inputs(NAMES, ("mini-llama",))


def drawn(name: str = "cka_vs_coral", inputs: FigureInputs | None = None) -> Figure:
    figure = FIGURES.get(name)(inputs or korean())
    assert figure is not None
    return figure


@pytest.mark.slow
def test_a_family_that_has_the_letters_stands_behind_the_first(tmp_path: Path) -> None:
    without = save(drawn(), tmp_path / "without")[0].read_bytes()
    fonts.families_with.cache_clear()
    font_manager.fontManager.addfont(make_font(tmp_path / "k.ttf", "Test Korean", KOREAN))
    figure = drawn()
    assert fonts.fallback_fonts(figure) == fonts.FallbackFonts(("Test Korean",), frozenset())
    png, svg = save(figure, tmp_path / "with")
    assert png.read_bytes() != without
    assert "'Test Korean'" in svg.read_text()
    [pdf] = save_for_paper(drawn(), tmp_path / "paper")
    assert b"TestKorean" in pdf.read_bytes()


@pytest.mark.slow
def test_room_for_names_is_made_by_the_font_that_they_are_drawn_in(tmp_path: Path) -> None:
    def width(figure: Figure) -> float:
        text = next(t for ax in figure.axes for t in ax.texts if t.get_text() == NAMES[0])
        return float(text.get_window_extent().width)

    narrow = width(drawn())
    fonts.families_with.cache_clear()
    font_manager.fontManager.addfont(make_font(tmp_path / "k.ttf", "Test Korean", KOREAN, width=3000))
    assert width(drawn()) > narrow + 20


@pytest.mark.slow
def test_latin_figures_look_for_no_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "families_with", lambda letters: pytest.fail(f"looked for {letters}"))
    inputs = make_inputs(("clip", "Größe-β ≤ ½"), ("mini-llama",))  # which the first font has
    assert fonts.fallback_fonts(drawn(inputs=inputs)) == fonts.FallbackFonts()


def test_one_family_that_has_all_is_preferred_to_two(tmp_path: Path) -> None:
    for family, letters in (("A Korean Sans CJK", KOREAN), ("B Kanji", KANJI), ("C Both", KOREAN + KANJI)):
        font_manager.fontManager.addfont(make_font(tmp_path / f"{family}.ttf", family, letters))
    assert fonts.families_with(frozenset(KOREAN + KANJI)) == fonts.FallbackFonts(("C Both",), frozenset())
    assert fonts.families_with(frozenset(KOREAN)).families == ("A Korean Sans CJK",)


def test_several_families_share_letters_that_none_has_all_of(tmp_path: Path) -> None:
    for family, letters in (("A Korean", KOREAN), ("B Kanji", KANJI + "字")):
        font_manager.fontManager.addfont(make_font(tmp_path / f"{family}.ttf", family, letters))
    found = fonts.families_with(frozenset(KOREAN + KANJI + "字𒀀"))
    assert found == fonts.FallbackFonts(("B Kanji", "A Korean"), frozenset("𒀀"))


def test_a_font_installed_since_matplotlib_made_its_list_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_font(tmp_path / "new.ttf", "Test New", KOREAN)
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda *a, **k: [str(made), str(broken)])
    assert fonts.families_with(frozenset(KOREAN)) == fonts.FallbackFonts(("Test New",), frozenset())


def test_a_font_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    font_manager.fontManager.addfont(gone := make_font(tmp_path / "gone.ttf", "Gone Sans CJK", KOREAN))
    gone.unlink()
    assert fonts.families_with(frozenset(KOREAN)) == fonts.FallbackFonts((), frozenset(KOREAN))


@pytest.mark.slow
def test_without_such_a_font_all_figures_together_say_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["cka_vs_coral", "eas_dashboard", "coral_comparison"]
    monkeypatch.setattr(FIGURES, "names", lambda: names)
    with caplog.at_level(logging.WARNING):  # raw warnings are errors here
        found = draw_all(Drawing(korean(), tmp_path))
    assert len(found.files) == 2 * len(names)
    [said] = found.problems
    assert "figures show boxes instead of 2 letters (비, 전) that no installed font has" in said
    assert "apt install fonts-noto-cjk)" in said
    assert not caplog.records


@pytest.mark.slow
def test_a_helper_hands_on_what_it_could_not_draw(tmp_path: Path) -> None:
    answer = draw_silently(Drawing(korean(), tmp_path), "cka_vs_coral")
    assert answer is not None
    assert pickle.loads(pickle.dumps(answer)).boxes == frozenset(KOREAN)


@pytest.mark.slow
def test_a_bold_title_in_a_family_without_bold_is_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    font_manager.fontManager.addfont(make_font(tmp_path / "k.ttf", "Test Korean", KOREAN))
    scores = [replace(s, llm=KOREAN) if s.llm else s for s in korean().scores]
    with caplog.at_level(logging.WARNING):
        save(drawn("eas_dashboard", replace(korean(), scores=scores)), tmp_path / "x")
    assert not caplog.records


@pytest.mark.parametrize(
    ("letters", "said"),
    [
        ("", ""),
        ("図", "instead of 1 letter (図)"),
        ("한", "apt install fonts-noto-cjk)"),
        ("あ", "apt install fonts-noto-cjk)"),
        ("ა", "apt install fonts-noto)"),
        ("ა図", "apt install fonts-noto fonts-noto-cjk)"),
        ("".join(map(chr, range(0xAC00, 0xAC09))), "9 letters (가, 각, 갂, 갃, 간, ...)"),
    ],
)
def test_the_sentence_names_letters_and_packages(letters: str, said: str) -> None:
    found: Any = fonts.boxes_message(letters)
    assert said in found
    assert bool(found) == bool(letters)
