"""The page of trends over runs: one file that loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from alignbench.findings.numbers import interval_text, value_text
from alignbench.plots.style import DATA_TYPES as PALETTE
from alignbench.show.history import about, since, times
from alignbench.show.html.frame import asset, environment, policy
from alignbench.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from alignbench.findings.history import History, Line, Moment, Trend

_WIDTH, _HEIGHT = 760, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 20, 14, 34
_APART = 7.0  # pixels between the dots of two encoders in one run
_CHARACTER = 11  # pixels for a character of a time below the picture, with the space to the next time
_Look = tuple[str, str]  # a colour and dashes
_DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True, slots=True)
class _Cell:
    value: str
    interval: str


@dataclass(frozen=True, slots=True)
class _Row:
    encoder: str
    swatch: Markup
    since: str
    cells: tuple[_Cell, ...]


@dataclass(frozen=True, slots=True)
class _View:
    """A trend as the page shows it, with its runs from the latest to the earliest."""

    id: str
    trend: Trend
    about: str
    drawing: Markup
    moments: tuple[Moment, ...]
    lines: tuple[_Row, ...]

    @property
    def changes(self) -> bool:
        """Whether any encoder has a run before its last."""
        return any(line.since for line in self.lines)


def history_html(history: History) -> str:
    """Return the page; the same runs give the same bytes."""
    style = asset("report.css") + asset("history.css")
    encoders = dict.fromkeys(line.encoder for trend in history.trends for line in trend.lines)
    looks = {encoder: _look(i) for i, encoder in enumerate(encoders)}
    views = [_view(f"trend-{i}", trend, looks) for i, trend in enumerate(history.trends)]
    context = {"policy": policy(style, ""), "style": Markup(style), "history": history, "views": views}
    return environment().get_template("history.html").render(context)


def _view(name: str, trend: Trend, looks: Mapping[str, _Look]) -> _View:
    moments = tuple(reversed(trend.moments))
    rows = tuple(
        _Row(line.encoder, _swatch(looks[line.encoder]), since(line), tuple(_cell(line, m) for m in moments))
        for line in trend.lines
    )
    return _View(name, trend, about(trend), _drawing(trend, looks), moments, rows)


def _cell(line: Line, moment: Moment) -> _Cell:
    score = line.scores.get(moment)
    return _Cell("–", "") if score is None else _Cell(value_text(score), interval_text(score.interval, ""))


def _drawing(trend: Trend, looks: Mapping[str, _Look]) -> Markup:
    """Return the trend as inline SVG: a line for each encoder, and its interval in each run."""
    ends = [0.0]
    for line in trend.lines:
        for score in line.scores.values():
            ends += [score.value] if score.value is not None else []
            ends += [score.interval.low, score.interval.high] if score.interval is not None else []
    ticks = _ticks(min(ends), max(ends))
    low, high = min(*ends, *ticks), max(*ends, *ticks)

    def y(value: float) -> float:
        return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / ((high - low) or 1.0), 1)

    xs = _positions(trend.moments, (len(trend.lines) - 1) * _APART)
    parts = [_tick(y(tick), f"{tick:g}") for tick in ticks]
    parts += _times(trend.moments, xs)
    for i, line in enumerate(trend.lines):
        shift = (i - (len(trend.lines) - 1) / 2) * _APART
        parts.append(_course(line, looks[line.encoder], {m: round(x + shift, 1) for m, x in xs.items()}, y))
    head = Markup('<svg class="course" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        _WIDTH, _HEIGHT, clean(f"{trend.title}: the values are in the table below")
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def _positions(moments: Sequence[Moment], spread: float) -> dict[Moment, float]:
    """Return where each run is: at equal distances, whatever time lies between."""
    left, right = _LEFT + spread / 2 + 12, _WIDTH - _RIGHT - spread / 2
    if len(moments) == 1:
        return {moments[0]: (left + right) / 2}
    step = (right - left) / (len(moments) - 1)
    return {moment: left + i * step for i, moment in enumerate(moments)}


def _tick(y: float, text: str) -> Markup:
    line = Markup('<path class="grid" d="M{} {}H{}"/>').format(_LEFT, y, _WIDTH - _RIGHT)
    return line + Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(_LEFT - 8, y + 4, text)


def _times(moments: Sequence[Moment], xs: dict[Moment, float]) -> list[Markup]:
    """Return the times below the picture, as many as there is room for, the first and the last among them."""
    last, whens = len(moments) - 1, times(moments)
    most = _WIDTH // (_CHARACTER * max(map(len, whens.values())))
    shown = {round(i * last / (most - 1)) for i in range(most)}
    return [
        Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
            round(xs[moment], 1),
            _HEIGHT - 12,
            "middle" if 0 < i < last or last == 0 else "start" if i == 0 else "end",
            clean(whens[moment]),
        )
        for i, moment in enumerate(moments)
        if i in shown
    ]


def _course(line: Line, look: _Look, xs: Mapping[Moment, float], y: Callable[[float], float]) -> Markup:
    colour, dash = look
    known = {moment: score for moment, score in line.scores.items() if score.value is not None}
    points = " L".join(f"{xs[m]} {y(s.value)}" for m, s in known.items() if s.value is not None)
    parts = [
        Markup('<path class="range" stroke="{}" d="M{} {}V{}"/>').format(
            colour, xs[moment], y(score.interval.low), y(score.interval.high)
        )
        for moment, score in known.items()
        if score.interval is not None
    ]
    if len(known) > 1:
        parts.append(
            Markup('<path class="path" stroke="{}" stroke-dasharray="{}" d="M{}"/>').format(
                colour, dash, points
            )
        )
    for moment, score in known.items():
        said = f"{line.encoder}, {moment.when}: {value_text(score)} {interval_text(score.interval, '')}"
        parts.append(
            Markup('<circle cx="{}" cy="{}" r="3.6" fill="{}"><title>{}</title></circle>').format(
                xs[moment], y(score.value or 0.0), colour, clean(said)
            )
        )
    return Markup("").join(parts)


def _swatch(look: _Look) -> Markup:
    colour, dash = look
    return Markup(
        '<svg class="swatch" viewBox="0 0 30 10" aria-hidden="true">'
        '<path d="M1 5H29" stroke="{}" stroke-width="2" stroke-dasharray="{}"/>'
        '<circle cx="15" cy="5" r="3.6" fill="{}"/></svg>'
    ).format(colour, dash, colour)


def _look(index: int) -> _Look:
    """Return the colour and the dashes of an encoder; both together differ for 28 encoders."""
    return PALETTE[index % len(PALETTE)], _DASHES[index // len(PALETTE) % len(_DASHES)]


def _ticks(low: float, high: float) -> list[float]:
    """Return the round values at the axis."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [round(float(tick), 10) for tick in ticks]
